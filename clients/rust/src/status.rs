//! Turns a status of gRPC into the error of this crate.

use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};

use crate::error::{Error, FieldViolation, Kind, Parts, Reason};
use crate::retry::Pushback;
use crate::rpc;
use crate::target::Target;
use crate::trouble::{Trouble, explain};
use crate::v1::Usage;

const ERROR_DOMAIN: &str = "trivium.v1";

/// An error ready to be returned, and what the retry policy must know beyond it.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) pushback: Option<Pushback>,
    /// Another attempt would meet the same.
    pub(crate) is_lasting: bool,
}

/// Maps a failed attempt. `answer_begun`: whether a message of the answer had arrived.
pub(crate) fn read_failure(status: &Status, request_id: &str, target: &Target, answer_begun: bool) -> Failure {
    let details = Details::of_bytes(status.details());
    let trouble = if details.reason.is_some() { None } else { Trouble::of(status) };
    let code = match trouble {
        None if is_too_large(status) => Code::ResourceExhausted,
        None => status.code(),
        Some(Trouble::Reset(code)) => code,
        Some(Trouble::Deadline) => Code::DeadlineExceeded,
        // What tonic makes of a broken connection is UNKNOWN, INTERNAL or CANCELLED, by the moment at which it breaks.
        Some(Trouble::Tls | Trouble::Refused | Trouble::Connect | Trouble::Lost) => Code::Unavailable,
    };
    let is_loss = details.reason.is_none() && code == Code::Unavailable;
    let usage = status.metadata().get_bin("trivium-usage-bin").and_then(|packed| packed.to_bytes().ok());
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    let error = Parts {
        code,
        message: match trouble {
            Some(trouble) => explain(trouble, status, target),
            None if status.message().is_empty() => crate::code_name(code).to_owned(),
            None => status.message().to_owned(),
        },
        kind: is_loss.then_some(if answer_begun { Kind::ConnectionLost } else { Kind::ServerUnavailable }),
        usage: usage.and_then(|packed| Usage::decode(packed).ok()),
        source: trouble.map(|_| std::sync::Arc::new(status.clone()) as _),
        ..details.into_parts(request_id)
    };
    Failure {
        error: error.into(),
        pushback: pushback.map(|value| Pushback::parse(value.to_str().unwrap_or_default())),
        is_lasting: trouble == Some(Trouble::Tls),
    }
}

/// tonic calls a response over the limit OUT_OF_RANGE, all other gRPC libraries RESOURCE_EXHAUSTED.
fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().starts_with("Error, decoded message length too large")
}

/// The error of an item that failed alone, while the others of its call were answered.
impl From<rpc::Status> for Error {
    fn from(status: rpc::Status) -> Self {
        Parts {
            code: Code::from_i32(status.code),
            message: status.message.clone(),
            ..Details::of(&status).into_parts("")
        }
        .into()
    }
}

/// What `google.rpc.Status` says beyond code and message. Of a malformed or foreign one: nothing.
#[derive(Default)]
struct Details {
    reason: Option<Reason>,
    metadata: std::collections::BTreeMap<String, String>,
    field_violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    request_id: Option<String>,
}

impl Details {
    fn of_bytes(packed: &[u8]) -> Self {
        rpc::Status::decode(packed).map_or_else(|_| Self::default(), |status| Self::of(&status))
    }

    fn of(status: &rpc::Status) -> Self {
        let mut details = Self::default();
        for detail in &status.details {
            details.read(detail);
        }
        details
    }

    fn read(&mut self, detail: &prost_types::Any) {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let packed = &detail.value[..];
        match name {
            "google.rpc.ErrorInfo" => {
                if let Some(info) = rpc::ErrorInfo::decode(packed).ok().filter(|info| info.domain == ERROR_DOMAIN) {
                    self.reason = Some(Reason::from_name(&info.reason));
                    self.metadata = info.metadata.into_iter().collect();
                }
            }
            "google.rpc.BadRequest" => {
                let violations = rpc::BadRequest::decode(packed).unwrap_or_default().field_violations;
                self.field_violations.extend(
                    violations
                        .into_iter()
                        .map(|violation| FieldViolation { field: violation.field, description: violation.description }),
                );
            }
            "google.rpc.RetryInfo" => {
                let delay = rpc::RetryInfo::decode(packed).ok().and_then(|info| info.retry_delay);
                self.retry_after = delay.and_then(|delay| Duration::try_from(delay).ok());
            }
            "google.rpc.RequestInfo" => {
                let id = rpc::RequestInfo::decode(packed).unwrap_or_default().request_id;
                self.request_id = Some(id).filter(|id| !id.is_empty());
            }
            _ => {}
        }
    }

    fn into_parts(self, request_id: &str) -> Parts {
        Parts {
            code: Code::Unknown,
            message: String::new(),
            kind: None,
            reason: self.reason,
            metadata: self.metadata,
            field_violations: self.field_violations,
            retry_after: self.retry_after,
            request_id: self.request_id.unwrap_or_else(|| request_id.to_owned()),
            usage: None,
            source: None,
        }
    }
}
