//! What came out of a call, as the suite reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trivium::prost::Message;
use trivium::{Error, code_name};

/// What the caller saw.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) responses: Vec<String>,
    pub(crate) error: Option<Error>,
    pub(crate) text: Option<String>,
    pub(crate) request_id: String,
}

impl Outcome {
    pub(crate) fn of_error(error: Error) -> Self {
        Self { request_id: error.request_id().to_owned(), error: Some(error), ..Self::default() }
    }

    pub(crate) fn add(&mut self, response: &impl Message) {
        self.responses.push(packed(response));
    }

    pub(crate) fn print(&self, elapsed_s: f64) -> Value {
        json!({
            "ok": self.error.is_none(),
            "responses": self.responses,
            "error": self.error.as_ref().map(error),
            "text": self.text,
            "request_id": self.request_id,
            "elapsed_s": elapsed_s,
        })
    }
}

pub(crate) fn unsupported(why: &str) -> Value {
    json!({ "unsupported": why })
}

fn error(error: &Error) -> Value {
    let violations = error.field_violations().iter();
    json!({
        "kind": error.kind().map(trivium::Kind::name),
        "code": code_name(error.code()),
        "reason": error.reason().map(trivium::Reason::name),
        "message": error.message(),
        "metadata": error.metadata(),
        "field_violations": violations
            .map(|violation| json!({ "field": violation.field, "description": violation.description }))
            .collect::<Vec<_>>(),
        "retry_after_s": error.retry_after().map(|delay| delay.as_secs_f64()),
        "request_id": error.request_id(),
        "usage": error.usage().map(packed),
    })
}

fn packed(message: &impl Message) -> String {
    STANDARD.encode(message.encode_to_vec())
}
