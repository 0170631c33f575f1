//! The client of Trivium, an AI inference service over gRPC.
//!
//! [`Client`] has a group of methods for each kind of work, [`text`](Client::text), [`embeddings`](Client::embeddings),
//! [`analysis`](Client::analysis), [`vision`](Client::vision) and [`speech`](Client::speech), and for the server itself:
//! [`models`](Client::models), [`admin`](Client::admin) and [`health`](Client::health). A method takes and returns the
//! messages of the contract, in [`v1`], and gives a call, [`UnaryCall`] or [`StreamCall`], that is sent when it is
//! awaited. What fails is an [`Error`].
//!
//! ```no_run
//! use trivium::v1::GenerationInput;
//!
//! # async fn example() -> Result<(), trivium::Error> {
//! let client = trivium::Client::from_env()?;
//! let input = GenerationInput::new("smollm2-135m-instruct", "What is photosynthesis?");
//! let mut answer = client.text().stream_generate(input.into()).await?.into_text();
//! while let Some(piece) = answer.next().await {
//!     print!("{}", piece?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Calls are sent again, within their deadline, where the server was not reached or said when to come back; see
//! [`Builder::max_attempts`]. Dropping a call or its stream ends it at the server.

mod call;
mod client;
mod codec;
mod error;
mod event;
mod media;
mod metadata;
mod pool;
mod replay;
mod requests;
mod retry;
mod settings;
mod status;
mod stream;
mod stream_call;
mod target;
mod text;
mod tidy;
mod transport;
mod trouble;
mod unary;
mod vectors;
mod vision;

#[cfg(test)]
extern crate self as trivium; // as which `scripted` knows it
#[cfg(test)]
#[path = "../tests/scripted/mod.rs"]
mod scripted;

// Generated; some comments of google.rpc are no Markdown.
#[allow(missing_docs, unreachable_pub, clippy::all, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub use bytes::Bytes;
pub use prost;
pub use prost_types;
pub use tonic::Code;

pub use client::{Admin, Analysis, Builder, Client, Embeddings, Health, Models, Speech, Text, Vision};
pub use error::{Error, FieldViolation, Kind, Reason, code_name};
pub use event::StreamEvent;
pub use messages::google::rpc;
pub use messages::trivium::v1;
pub use requests::{CallEnded, Requests, Sender, requests};
pub use settings::{Encryption, Tls};
pub use stream::EventStream;
pub use stream_call::StreamCall;
pub use text::{Answer, TextStream};
pub use unary::UnaryCall;

/// Messages of the health protocol of gRPC.
pub mod health {
    pub use crate::messages::grpc::health::v1;
}

/// Messages of the service that operates a server.
pub mod admin {
    pub use crate::messages::trivium::admin::v1;
}

/// The snippets of the README, compiled; with `$TRIVIUM_TARGET` set, run on that server.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("OUT_DIR"), "/readme.md"))]
struct Readme;
