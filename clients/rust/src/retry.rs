//! When a failed call is sent again. Channels do not retry by themselves, so this is the only place that does.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use crate::error::Kind;
use crate::status::Failure;

const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A server that asks for more gets no retry.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The attempts of one call.
pub(crate) struct Attempts {
    most: u32,
    made: u32,
    deadline: Option<Instant>,
}

impl Attempts {
    /// `most` counts the first one. `None` as deadline is without limit.
    pub(crate) fn new(most: u32, deadline: Option<Instant>) -> Self {
        Self { most, made: 0, deadline }
    }

    /// Counts an attempt.
    pub(crate) fn begin(&mut self) {
        self.made += 1;
    }

    /// The attempt at hand brought the call forward: it counts as the first one.
    pub(crate) fn renew(&mut self) {
        self.made = 1;
    }

    /// Returns how long to wait before the next attempt, `None` where there must not be one.
    pub(crate) fn delay_before_retry(&self, failure: &Failure) -> Option<Duration> {
        if self.made >= self.most || !is_retriable(failure) {
            return None;
        }
        let delay = self.delay(failure)?;
        let ends = Instant::now() + delay;
        self.deadline.is_none_or(|deadline| ends < deadline).then_some(delay)
    }

    fn delay(&self, failure: &Failure) -> Option<Duration> {
        if let Some(pushback) = failure.pushback {
            return Some(spread(pushback.allowed()?));
        }
        let doubled = FIRST_BACKOFF.saturating_mul(1 << self.made.saturating_sub(1).min(16));
        let backoff = times(doubled.min(LONGEST_BACKOFF), 0.5..1.0);
        match failure.error.retry_after() {
            None => Some(backoff),
            Some(wanted) if wanted > LONGEST_WAIT => None,
            Some(wanted) => Some(backoff.max(spread(wanted))),
        }
    }
}

/// What `grpc-retry-pushback-ms` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushback {
    /// Negative or unreadable.
    Never,
    After(Duration),
}

impl Pushback {
    pub(crate) fn parse(value: &str) -> Self {
        match value.parse::<i64>() {
            Ok(ms) if ms >= 0 => Self::After(Duration::from_millis(ms.unsigned_abs())),
            _ => Self::Never,
        }
    }

    fn allowed(self) -> Option<Duration> {
        match self {
            Self::After(wait) if wait <= LONGEST_WAIT => Some(wait),
            _ => None,
        }
    }
}

fn is_retriable(failure: &Failure) -> bool {
    let error = &failure.error;
    if failure.is_lasting {
        return false;
    }
    match error.code() {
        Code::Unavailable => true,
        Code::ResourceExhausted => error.retry_after().is_some(),
        _ => error.kind() == Some(Kind::ServerUnavailable),
    }
}

/// Lengthens a wait by up to a fifth: callers that were refused together must not come back together.
fn spread(wait: Duration) -> Duration {
    times(wait, 1.0..1.2)
}

fn times(wait: Duration, factor: Range<f64>) -> Duration {
    wait.mul_f64(factor.start + fastrand::f64() * (factor.end - factor.start))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::error::Error;
    use crate::rpc;

    fn failure(code: Code) -> Failure {
        Failure { error: Error::new(code, ""), pushback: None, is_lasting: false }
    }

    fn asking(code: Code, retry_after: Duration) -> Failure {
        let info = rpc::RetryInfo { retry_delay: retry_after.try_into().ok() };
        let detail = prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        };
        let status = rpc::Status { code: code.into(), message: String::new(), details: vec![detail] };
        Failure { error: status.into(), ..failure(code) }
    }

    fn attempts(made: u32) -> Attempts {
        Attempts { made, ..Attempts::new(100, None) }
    }

    fn delay_of(failure: &Failure, made: u32) -> Option<f64> {
        attempts(made).delay_before_retry(failure).map(|delay| delay.as_secs_f64())
    }

    #[test]
    fn waits_are_between_half_and_all_of_a_doubling_limit() {
        for (made, limit) in [(1, 0.2), (2, 0.4), (3, 0.8), (5, 3.2), (6, 5.0), (90, 5.0)] {
            for _ in 0..100 {
                let delay = delay_of(&failure(Code::Unavailable), made).unwrap();
                assert!((limit / 2.0..=limit).contains(&delay), "attempt {made}: {delay}");
            }
        }
    }

    #[test]
    fn a_server_that_names_a_delay_gets_at_least_that_and_at_most_a_fifth_more() {
        let exhausted = asking(Code::ResourceExhausted, Duration::from_secs(2));
        let delay = delay_of(&exhausted, 1).unwrap();
        assert!((2.0..=2.4).contains(&delay), "{delay}");
        assert_eq!(delay_of(&asking(Code::Unavailable, Duration::from_millis(30_001)), 1), None);
    }

    #[test]
    fn pushback_decides_alone() {
        for (value, expected) in [("0", Some(0.0)), ("500", Some(0.5)), ("-1", None), ("soon", None), ("30001", None)] {
            let mut failure = asking(Code::Unavailable, Duration::from_secs(3));
            failure.pushback = Some(Pushback::parse(value));
            match (delay_of(&failure, 1), expected) {
                (Some(delay), Some(least)) => assert!((least..=least * 1.2).contains(&delay), "{value}: {delay}"),
                (delay, expected) => assert_eq!(delay, expected, "{value}"),
            }
        }
    }

    #[test]
    fn nothing_else_is_sent_again() {
        for code in [Code::Internal, Code::Unknown, Code::DeadlineExceeded, Code::Aborted, Code::ResourceExhausted] {
            assert_eq!(delay_of(&failure(code), 1), None, "{code:?}");
        }
        let lasting = Failure { is_lasting: true, ..failure(Code::Unavailable) };
        assert_eq!(delay_of(&lasting, 1), None);
    }

    #[test]
    fn attempts_end_by_number_and_by_deadline() {
        let mut attempts = Attempts::new(2, None);
        attempts.begin();
        assert!(attempts.delay_before_retry(&failure(Code::Unavailable)).is_some());
        attempts.begin();
        assert_eq!(attempts.delay_before_retry(&failure(Code::Unavailable)), None);

        let soon = Attempts { made: 1, ..Attempts::new(4, Some(Instant::now() + Duration::from_millis(50))) };
        assert_eq!(soon.delay_before_retry(&failure(Code::Unavailable)), None);
    }
}
