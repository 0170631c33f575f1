//! The one error type of the crate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

use crate::v1::Usage;

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the client itself has to say about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// No server could be reached, or it was lost before it answered. The call was sent again as often as allowed.
    ServerUnavailable,
    /// The connection broke after the answer had begun.
    ConnectionLost,
    /// A stream ended well before its last event, or an event is missing: what came is not the whole answer.
    TruncatedStream,
    /// A stream brought nothing for its idle timeout, so the client ended the call.
    StreamIdleTimeout,
    /// The caller ended the call, or the client was closed.
    Cancelled,
    /// The client refused an argument. Nothing was sent.
    InvalidCall,
}

impl Kind {
    /// The name that all Trivium clients use, such as `server_unavailable`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerUnavailable => "server_unavailable",
            Self::ConnectionLost => "connection_lost",
            Self::TruncatedStream => "truncated_stream",
            Self::StreamIdleTimeout => "stream_idle_timeout",
            Self::Cancelled => "cancelled",
            Self::InvalidCall => "invalid_call",
        }
    }
}

/// A wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, for example `input.sampling.top_p`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// A call failed.
///
/// [`reason`](Error::reason) says why, where a Trivium server made the error; [`kind`](Error::kind) where the client
/// did; [`code`](Error::code) always says something.
///
/// ```
/// use trivium::{Error, Reason};
///
/// fn advice(error: &Error) -> String {
///     match error.reason() {
///         Some(Reason::ModelNotFound) => format!("did you mean {}?", error.metadata()["near_matches"]),
///         Some(Reason::QueueFull) => format!("come back in {:?}", error.retry_after()),
///         _ => error.to_string(),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error(Box<Parts>);

#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) kind: Option<Kind>,
    pub(crate) reason: Option<Reason>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) field_violations: Vec<FieldViolation>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: String,
    pub(crate) usage: Option<Usage>,
    pub(crate) source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Parts {
            code,
            message: message.into(),
            kind: None,
            reason: None,
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            retry_after: None,
            request_id: String::new(),
            usage: None,
            source: None,
        }
        .into()
    }

    pub(crate) fn of_kind(kind: Kind, code: Code, message: impl Into<String>, request_id: &str) -> Self {
        let mut error = Self::new(code, message);
        error.0.kind = Some(kind);
        error.0.request_id = request_id.to_owned();
        error
    }

    /// An argument that the client refuses.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::of_kind(Kind::InvalidCall, Code::InvalidArgument, message, "")
    }

    pub(crate) fn cancelled(message: &str, request_id: &str) -> Self {
        Self::of_kind(Kind::Cancelled, Code::Cancelled, message, request_id)
    }

    pub(crate) fn with_request_id(mut self, request_id: &str) -> Self {
        request_id.clone_into(&mut self.0.request_id);
        self
    }

    /// The status code of gRPC.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Why the call failed; `None` where no Trivium server made the error.
    pub fn reason(&self) -> Option<&Reason> {
        self.0.reason.as_ref()
    }

    /// What the client itself has to say; `None` where it only hands on what a server said.
    pub fn kind(&self) -> Option<Kind> {
        self.0.kind
    }

    /// What happened, in English, for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What varies in the message, by name; the error catalogue says which names each reason has.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// The wrong fields of the request.
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.field_violations
    }

    /// After how long the server wants the call to be sent again, where it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Finds the call in the server's log. Empty where there was no call.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// What the call used before it failed, where the server said so.
    pub fn usage(&self) -> Option<&Usage> {
        self.0.usage.as_ref()
    }
}

impl From<Parts> for Error {
    fn from(parts: Parts) -> Self {
        Self(Box::new(parts))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.0.message)?;
        match &self.0.reason {
            Some(reason) => write!(f, "{reason}")?,
            None => f.write_str(code_name(self.0.code))?,
        }
        if !self.0.request_id.is_empty() {
            write!(f, ", request {}", self.0.request_id)?;
        }
        f.write_str(")")
    }
}

/// `{:?}`, which `main` and `unwrap` print, is the line for people and the kind; `{:#?}` has everything.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            fmt::Display::fmt(self, f)?;
            return self.0.kind.map_or(Ok(()), |kind| write!(f, ", {}", kind.name()));
        }
        f.debug_struct("Error")
            .field("code", &self.0.code)
            .field("kind", &self.0.kind)
            .field("reason", &self.0.reason)
            .field("message", &self.0.message)
            .field("metadata", &self.0.metadata)
            .field("field_violations", &self.0.field_violations)
            .field("retry_after", &self.0.retry_after)
            .field("request_id", &self.0.request_id)
            .field("usage", &self.0.usage)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The name of a status code as gRPC writes it, such as `NOT_FOUND`.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
