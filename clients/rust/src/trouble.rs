//! What broke on this side of a call, read from the errors that the transport's status was made of.

use std::error::Error as StdError;
use std::io;

use tonic::{Code, Status};

use crate::target::Target;

/// Why a call failed without a word of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The deadline passed before the headers of an answer came.
    Deadline,
    /// Both ends could not agree on TLS; another attempt meets the same.
    Tls,
    /// Nobody listens there.
    Refused,
    /// A connection could not be made.
    Connect,
    /// The server reset this call alone, with a code of HTTP/2 that stands for this one of gRPC.
    Reset(Code),
    /// The connection went away.
    Lost,
}

/// What tonic says, without an error behind it, of an answer that ends too early; measured on its version 0.14.
const LOSS_MARKS: [&str; 2] = ["missing grpc-status trailer", "Unexpected EOF decoding stream"];
/// How gRPC and proxies word a connection that was lost behind them.
const REMOTE_MARKS: [&str; 2] = ["RST_STREAM", "Stream removed"];

impl Trouble {
    /// Returns `None` for a status that a server sent.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        let Some(source) = status.source() else {
            let marks: &[&str] = match status.code() {
                Code::Unknown => &[LOSS_MARKS[0], REMOTE_MARKS[0], REMOTE_MARKS[1]],
                Code::Internal => &[LOSS_MARKS[1], REMOTE_MARKS[0], REMOTE_MARKS[1]],
                _ => &[],
            };
            let is_lost = marks.iter().any(|mark| status.message().contains(mark));
            return is_lost.then_some(Self::Lost);
        };
        let mut trouble = Self::Lost;
        for error in chain(source) {
            if error.is::<tonic::TimeoutExpired>() {
                return Some(Self::Deadline);
            }
            if error.is::<rustls::Error>() {
                return Some(Self::Tls);
            }
            if error.is::<tonic::ConnectError>() {
                trouble = Self::Connect;
            }
            if let Some(h2) = error.downcast_ref::<h2::Error>() {
                trouble = reset(h2).unwrap_or(trouble);
            }
            let refused = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if trouble == Self::Connect && refused == Some(io::ErrorKind::ConnectionRefused) {
                trouble = Self::Refused;
            }
        }
        Some(trouble)
    }

    pub(crate) fn is_connect(self) -> bool {
        matches!(self, Self::Refused | Self::Connect)
    }
}

/// What a stream that the server reset means, see "Errors" of gRPC over HTTP/2.
fn reset(error: &h2::Error) -> Option<Trouble> {
    if !error.is_reset() || !error.is_remote() {
        return None;
    }
    match error.reason()? {
        h2::Reason::CANCEL => Some(Trouble::Reset(Code::Cancelled)),
        h2::Reason::ENHANCE_YOUR_CALM => Some(Trouble::Reset(Code::ResourceExhausted)),
        h2::Reason::INADEQUATE_SECURITY => Some(Trouble::Reset(Code::PermissionDenied)),
        _ => None,
    }
}

/// Says for people what was wrong.
pub(crate) fn explain(trouble: Trouble, status: &Status, target: &Target) -> String {
    match trouble {
        Trouble::Refused => format!("no server listens at {target}; `trivium serve` starts one"),
        Trouble::Tls => format!("TLS with {target} failed: {}", deepest(status)),
        Trouble::Connect => format!("{target} cannot be reached: {}", deepest(status)),
        Trouble::Reset(_) => format!("the server reset the call: {}", deepest(status)),
        Trouble::Lost => format!("the connection to {target} was lost: {}", deepest(status)),
        Trouble::Deadline => "the deadline of the call passed".to_owned(),
    }
}

fn deepest(status: &Status) -> String {
    let last = status.source().and_then(|source| chain(source).last());
    last.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

type Cause<'a> = &'a (dyn StdError + 'static);

/// An error and those it was made of.
fn chain<'a>(first: Cause<'a>) -> impl Iterator<Item = Cause<'a>> {
    std::iter::successors(Some(first), |error| inside(*error))
}

/// Errors of I/O and of HTTP/2 hide the ones inside them from `source()`.
fn inside(error: Cause<'_>) -> Option<Cause<'_>> {
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner);
    }
    if let Some(io) = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io) {
        return Some(io);
    }
    error.source()
}
