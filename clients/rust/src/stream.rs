//! Calls with a stream of events as answer.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};
use tonic::{Code, Status};

use crate::call::{Call, Ending};
use crate::error::{Error, Kind};
use crate::event::{Course, StreamEvent};
use crate::replay::{Replay, Verdict};
use crate::transport::{Opened, Requests};
use crate::v1::CallInfo;

/// The events of a streaming call, as a [`Stream`] and by [`next`](EventStream::next).
///
/// Events are the messages of the contract, in their order. After the last one, or after an error, comes `None`.
/// An event of a kind that this version does not know is given as it is, with an empty `event`. Dropping the stream
/// ends the call at the server. The call was sent when the stream was made; its messages wait at the server while
/// nobody reads them.
#[must_use = "dropping a stream ends its call"]
pub struct EventStream<Res> {
    call: Call,
    requests: Requests,
    phase: Phase<Res>,
    course: Course,
    /// Where a stream that breaks goes on in another one.
    replay: Option<Replay>,
    /// How the stream before this one broke.
    loss: Option<Error>,
    info: Option<CallInfo>,
    ending: Ending,
    deadline: Option<Pin<Box<Sleep>>>,
    idle: Idle,
}

enum Phase<Res> {
    Opening(Opening<Res>),
    Reading(Box<Opened<Res>>),
    Waiting(Pin<Box<Sleep>>),
    Over,
}

/// A task of its own, so that the call is sent and its requests are taken although nobody reads yet.
struct Opening<Res>(JoinHandle<Result<Opened<Res>, Status>>);

impl<Res> Drop for Opening<Res> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The limit of one read. It costs no timer where the next message is there already.
struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl<Res: StreamEvent> EventStream<Res> {
    pub(crate) fn start(
        call: Call,
        requests: Requests,
        replay: Option<Replay>,
        ending: Ending,
        idle_limit: Duration,
    ) -> Self {
        let deadline = call.deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        let mut stream = Self {
            call,
            requests,
            phase: Phase::Over,
            course: Course::default(),
            replay,
            loss: None,
            info: None,
            ending,
            deadline,
            idle: Idle { limit: idle_limit, timer: None, is_waiting: false },
        };
        stream.send();
        stream
    }

    /// Returns the next event, `None` after the last. May be dropped without loss before it is ready.
    pub async fn next(&mut self) -> Option<Result<Res, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The request id that the call was sent with.
    pub fn request_id(&self) -> &str {
        &self.call.request_id
    }

    /// What the call did: model, usage, time. Known once the last event has come.
    pub fn info(&self) -> Option<&CallInfo> {
        self.info.as_ref()
    }

    fn send(&mut self) {
        self.call.attempts.begin();
        self.idle.is_waiting = false;
        let (transport, path, deadline) = (self.call.transport.clone(), self.call.path, self.call.deadline);
        let (headers, requests) = (self.call.headers.clone(), self.requests.clone());
        let attempt = async move { transport.open(path, &headers, requests, deadline).await };
        self.phase = Phase::Opening(Opening(tokio::spawn(attempt)));
    }

    /// `Ok(None)` is the end.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Res>, Error>> {
        loop {
            if !self.course.is_complete()
                && let Poll::Ready(error) = Pin::new(&mut self.ending).poll(cx)
            {
                return Poll::Ready(Err(error));
            }
            match self.poll_phase(cx) {
                Poll::Ready(Ok(None)) => {} // another phase began
                Poll::Ready(Ok(Some(Read::Event(event)))) => {
                    if let Some(event) = self.accept(event).transpose() {
                        return Poll::Ready(event.map(Some));
                    }
                }
                Poll::Ready(Ok(Some(Read::End))) => {
                    let end = self.course.end().map_err(|error| error.with_request_id(&self.call.request_id));
                    return Poll::Ready(end.map(|()| None));
                }
                Poll::Ready(Err(_)) if self.course.is_complete() => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let expired = ready!(self.poll_limits(cx));
                    return Poll::Ready(if self.course.is_complete() { Ok(None) } else { Err(expired) });
                }
            }
        }
    }

    /// `Ok(None)`: the phase changed, poll again.
    fn poll_phase(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Read<Res>>, Error>> {
        match &mut self.phase {
            Phase::Opening(opening) => match ready!(Pin::new(&mut opening.0).poll(cx)) {
                Ok(Ok(opened)) => self.phase = Phase::Reading(Box::new(opened)),
                Ok(Err(status)) => self.fail(&status)?,
                Err(broken) => match broken.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return Poll::Ready(Err(self.cancelled("the runtime was shut down"))),
                },
            },
            Phase::Reading(opened) => match ready!(Pin::new(&mut opened.responses).poll_next(cx)) {
                Some(Ok(event)) => return Poll::Ready(Ok(Some(Read::Event(event)))),
                None => return Poll::Ready(Ok(Some(Read::End))),
                Some(Err(status)) => self.fail(&status)?,
            },
            Phase::Waiting(timer) => {
                ready!(timer.as_mut().poll(cx));
                self.send();
            }
            Phase::Over => return Poll::Ready(Ok(Some(Read::End))),
        }
        Poll::Ready(Ok(None))
    }

    /// Waits for another attempt, or returns the error.
    fn fail(&mut self, status: &Status) -> Result<(), Error> {
        let answer_begun = self.course.has_begun();
        let failure = self.call.failure(status, answer_begun);
        if self.course.is_complete() || answer_begun && self.replay.is_none() {
            return Err(failure.error);
        }
        if self.replay.as_ref().is_some_and(Replay::has_progressed) {
            self.call.attempts.renew();
        }
        let Some(delay) = self.call.attempts.delay_before_retry(&failure) else {
            return Err(failure.error);
        };
        if let Some(replay) = &mut self.replay {
            replay.restart();
        }
        self.loss = Some(failure.error);
        self.phase = Phase::Waiting(Box::pin(sleep(delay)));
        Ok(())
    }

    /// `Ok(None)`: the caller had the event before.
    fn accept(&mut self, mut event: Res) -> Result<Option<Res>, Error> {
        self.idle.is_waiting = false;
        match self.replay.as_mut().map_or(Verdict::New, |replay| replay.take(&mut event)) {
            Verdict::New => {}
            Verdict::Known => return Ok(None),
            Verdict::Different => return Err(self.loss.take().expect("a stream that broke")),
        }
        self.course.accept(&event).map_err(|error| error.with_request_id(&self.call.request_id))?;
        if let Some(info) = event.info() {
            self.info = Some(info.clone());
        }
        Ok(Some(event))
    }

    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.deadline.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(self.call.late());
        }
        if matches!(self.phase, Phase::Waiting(_)) || self.is_listened_to() {
            return Poll::Pending;
        }
        ready!(self.idle.poll(cx));
        let message = format!("no event for {:?}", self.idle.limit);
        let id = &self.call.request_id;
        Poll::Ready(Error::of_kind(Kind::StreamIdleTimeout, Code::DeadlineExceeded, message, id))
    }

    /// Whether the server has answered and waits for what the caller may still say, which may take long.
    fn is_listened_to(&self) -> bool {
        self.course.has_begun() && self.ending.may_still_send()
    }

    fn cancelled(&self, message: &str) -> Error {
        Error::cancelled(message, &self.call.request_id)
    }
}

enum Read<Res> {
    Event(Res),
    End,
}

impl Idle {
    /// Ready when the limit has passed since the read began to wait.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(ends) = Instant::now().checked_add(self.limit) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends)));
        if !self.is_waiting {
            timer.as_mut().reset(ends);
            self.is_waiting = true;
        }
        timer.as_mut().poll(cx)
    }
}

impl<Res: StreamEvent> Stream for EventStream<Res> {
    type Item = Result<Res, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let me = self.get_mut();
        if matches!(me.phase, Phase::Over) {
            return Poll::Ready(None);
        }
        let read = ready!(me.poll_event(cx)).transpose();
        if !matches!(read, Some(Ok(_))) {
            me.phase = Phase::Over; // ends the call, at the server too
        }
        Poll::Ready(read)
    }
}

impl<Res> Unpin for EventStream<Res> {}

impl<Res> fmt::Debug for EventStream<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("path", &self.call.path)
            .field("request_id", &self.call.request_id)
            .field("is_over", &matches!(self.phase, Phase::Over))
            .finish_non_exhaustive()
    }
}
