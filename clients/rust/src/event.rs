//! What the events of streams have in common, and where a stream stands.

use prost::Message;
use tonic::Code;

use crate::admin::v1::LoadModelResponse;
use crate::error::{Error, Kind};
use crate::health::v1::HealthCheckResponse;
use crate::v1::{CallInfo, ModelState, WatchModelsResponse};

include!(concat!(env!("OUT_DIR"), "/calls.rs"));

/// An event of a stream of the contract.
pub trait StreamEvent: Message + Default + Send + 'static {
    /// Whether the stream may be silent for long although nothing is wrong: it has no idle limit unless it is given one.
    const IS_QUIET: bool = false;

    /// Its place in the stream, from 0 and without gaps; `None` where the events of the stream are not counted.
    fn sequence(&self) -> Option<i64>;

    /// Whether it says that everything was sent.
    fn is_terminal(&self) -> bool;

    /// What the call did, where this event says so.
    fn info(&self) -> Option<&CallInfo>;
}

/// The load is over when the model is ready.
impl StreamEvent for LoadModelResponse {
    const IS_QUIET: bool = true;

    fn sequence(&self) -> Option<i64> {
        None
    }

    fn is_terminal(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.state() == ModelState::Ready)
    }

    fn info(&self) -> Option<&CallInfo> {
        None
    }
}

/// Only the caller ends a watch.
macro_rules! watch {
    ($($event:ty),*) => {
        $(impl StreamEvent for $event {
            const IS_QUIET: bool = true;

            fn sequence(&self) -> Option<i64> {
                None
            }

            fn is_terminal(&self) -> bool {
                false
            }

            fn info(&self) -> Option<&CallInfo> {
                None
            }
        })*
    };
}

watch!(WatchModelsResponse, HealthCheckResponse);

/// How far a stream has come.
#[derive(Default)]
pub(crate) struct Course {
    next: i64,
    has_begun: bool,
    is_complete: bool,
}

impl Course {
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the terminal event came: what follows it takes nothing away.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(crate) fn accept(&mut self, event: &impl StreamEvent) -> Result<(), Error> {
        self.has_begun = true;
        if let Some(sequence) = event.sequence() {
            if sequence != self.next {
                return Err(truncated(&format!("event {} of the stream is missing; {sequence} came", self.next)));
            }
            self.next += 1;
        }
        self.is_complete |= event.is_terminal();
        Ok(())
    }

    /// The server ended the stream well.
    pub(crate) fn end(&self) -> Result<(), Error> {
        if self.is_complete {
            return Ok(());
        }
        Err(truncated("the stream ended without its last event: what came is not the whole answer"))
    }
}

fn truncated(message: &str) -> Error {
    Error::of_kind(Kind::TruncatedStream, Code::DataLoss, message, "")
}
