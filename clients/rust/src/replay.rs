//! What of an answer was given, and what of a further stream of it is new.
//!
//! A stream that breaks goes on in another call with the same request, which makes the same answer anew; see "Resume"
//! in docs/sdks.md.

use std::any::Any;
use std::collections::BTreeMap;

use crate::v1::stream_generate_response::Event;
use crate::v1::{
    CandidateFinished, ContentDelta, GenerationStarted, StreamGenerateRequest, StreamGenerateResponse, content_delta,
};

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is given.
    New,
    /// It was given before.
    Known,
    /// The stream is of another answer than what was given.
    Different,
}

/// Passes the events of a stream, and after a break what is new of the next one.
#[derive(Default)]
pub(crate) struct Replay {
    digest: Option<String>,
    candidates: BTreeMap<i32, Given>,
    num_given: i64,
    /// From the number of an event in the stream at hand to the caller's.
    shift: i64,
    has_progressed: bool,
    is_resumed: bool,
}

impl Replay {
    /// Returns one for a request whose answer is the same again, `None` for any other.
    pub(crate) fn of(request: &dyn Any) -> Option<Self> {
        let input = request.downcast_ref::<StreamGenerateRequest>()?.input.as_ref()?;
        let sampling = input.sampling.as_ref()?;
        let is_repeatable = sampling.seed.is_some() || sampling.temperature == Some(0.0);
        let has_logprobs = input.output.as_ref().is_some_and(|output| output.top_logprobs.is_some());
        (is_repeatable && !has_logprobs).then(Self::default)
    }

    /// Whether the stream at hand brought anything new; heartbeats do not count.
    pub(crate) fn has_progressed(&self) -> bool {
        self.has_progressed
    }

    /// The next event is the first one of another stream.
    pub(crate) fn restart(&mut self) {
        self.is_resumed = self.num_given > 0;
        self.has_progressed = false;
        self.shift = self.num_given;
        self.candidates.values_mut().for_each(Given::restart);
    }

    /// Takes the next event, and what is known away of it. It is numbered as the event of one stream, so that one that
    /// is missing leaves a gap.
    pub(crate) fn take(&mut self, event: &mut dyn Any) -> Verdict {
        let Some(response) = event.downcast_mut::<StreamGenerateResponse>() else {
            return Verdict::New;
        };
        let verdict = match self.judge(response.event.as_mut()) {
            verdict if self.is_resumed => verdict,
            _ => Verdict::New, // whatever a first stream brings
        };
        if verdict == Verdict::New {
            response.sequence += self.shift;
            self.num_given += 1;
            self.has_progressed |= !matches!(response.event, None | Some(Event::Heartbeat(_)));
        } else {
            self.shift -= 1;
        }
        verdict
    }

    fn judge(&mut self, event: Option<&mut Event>) -> Verdict {
        match event {
            Some(Event::Started(started)) => self.start(started),
            Some(Event::Delta(delta)) => self.candidates.entry(delta.candidate_index).or_default().trim(delta),
            Some(Event::CandidateFinished(finished)) => {
                self.candidates.entry(finished.candidate_index).or_default().finish(finished)
            }
            Some(Event::Completed(_)) if self.is_behind() => Verdict::Different,
            Some(Event::Completed(_)) => Verdict::New,
            _ if self.is_behind() => Verdict::Known,
            _ => Verdict::New,
        }
    }

    fn start(&mut self, started: &GenerationStarted) -> Verdict {
        let digest = started.model.as_ref().map_or("", |model| &model.digest);
        match &self.digest {
            None => {
                self.digest = Some(digest.to_owned());
                Verdict::New
            }
            Some(known) if known == digest => Verdict::Known,
            Some(_) => Verdict::Different,
        }
    }

    fn is_behind(&self) -> bool {
        self.candidates.values().any(Given::is_behind)
    }
}

/// What was given of a candidate, and how much of that the stream at hand has still to bring.
#[derive(Default)]
struct Given {
    text: String,
    num_tokens: i32,
    end: Option<CandidateFinished>,
    /// Of `text`, as long as it was at the last break: what the stream at hand brought of it, and its length.
    seen_len: usize,
    known_len: usize,
    num_tokens_owed: i32,
}

impl Given {
    fn is_behind(&self) -> bool {
        self.seen_len < self.known_len
    }

    fn restart(&mut self) {
        self.seen_len = 0;
        self.known_len = self.text.len();
        self.num_tokens_owed = self.num_tokens;
    }

    /// Takes away of a delta what was given already.
    fn trim(&mut self, delta: &mut ContentDelta) -> Verdict {
        let text = match &delta.delta {
            Some(content_delta::Delta::Text(text)) => text.as_str(),
            None => "",
        };
        let owed = &self.text.as_bytes()[self.seen_len..self.known_len];
        let len = text.len().min(owed.len());
        let is_past_end = self.end.is_some() && text.len() > len;
        let Some(rest) = text.get(len..).filter(|_| !is_past_end && text.as_bytes()[..len] == owed[..len]) else {
            return Verdict::Different;
        };
        let num_tokens_known = delta.token_count.min(self.num_tokens_owed).max(0);
        let was_behind = self.is_behind() || num_tokens_known > 0;
        self.seen_len += len;
        self.num_tokens_owed -= num_tokens_known;
        self.text.push_str(rest);
        if was_behind {
            let rest = rest.to_owned();
            delta.token_count -= num_tokens_known;
            delta.token_ids.drain(..delta.token_ids.len().min(usize::try_from(num_tokens_known).unwrap_or(0)));
            if rest.is_empty() && delta.token_count <= 0 {
                return Verdict::Known;
            }
            delta.delta = Some(content_delta::Delta::Text(rest));
        }
        self.num_tokens = self.num_tokens.saturating_add(delta.token_count.max(0));
        Verdict::New
    }

    fn finish(&mut self, finished: &CandidateFinished) -> Verdict {
        if self.is_behind() {
            return Verdict::Different;
        }
        match &self.end {
            None => {
                self.end = Some(finished.clone());
                Verdict::New
            }
            Some(end) if end == finished => Verdict::Known,
            Some(_) => Verdict::Different,
        }
    }
}
