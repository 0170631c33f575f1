//! What every call has, whatever it sends and returns.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::error::Error;
use crate::metadata::{Given, checked_request_id, new_request_id};
use crate::retry::Attempts;
use crate::settings::{ascii, checked_limit};
use crate::status::{Failure, read_failure};
use crate::transport::Transport;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What one call may change, unchecked.
pub(crate) struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) request_id: String,
    pub(crate) metadata: Given,
    pub(crate) cancel: Option<Signal>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: None,
            idle_timeout: None,
            request_id: new_request_id(),
            metadata: Given::default(),
            cancel: None,
        }
    }
}

/// A call that is ready to be sent.
pub(crate) struct Call {
    pub(crate) transport: Arc<Transport>,
    pub(crate) path: &'static str,
    pub(crate) request_id: String,
    pub(crate) headers: Arc<MetadataMap>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) attempts: Attempts,
}

impl Call {
    /// `timeout`: where the options have none. `max_attempts`: at most so many, and as many as the client's.
    pub(crate) fn prepare(
        transport: &Arc<Transport>,
        path: &'static str,
        options: &mut Options,
        timeout: Option<Duration>,
        max_attempts: u32,
    ) -> Result<Self, Error> {
        let request_id = std::mem::take(&mut options.request_id);
        checked_request_id(&request_id)?;
        let mut headers = transport.settings.headers.clone();
        options.metadata.put_into(&mut headers).map_err(|error| error.with_request_id(&request_id))?;
        headers.insert("x-request-id", ascii(&request_id));
        let timeout = options.timeout.or(timeout);
        if let Some(timeout) = timeout {
            checked_limit("timeout", timeout).map_err(|error| error.with_request_id(&request_id))?;
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Self {
            transport: transport.clone(),
            path,
            request_id,
            headers: Arc::new(headers),
            deadline,
            attempts: Attempts::new(max_attempts.min(transport.settings.max_attempts), deadline),
        })
    }

    pub(crate) fn failure(&self, status: &Status, answer_begun: bool) -> Failure {
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_late && status.source().is_some() {
            return Failure { error: self.late(), pushback: None, is_lasting: true };
        }
        read_failure(status, &self.request_id, &self.transport.settings.target, answer_begun)
    }

    /// The error of a deadline that passed on this side.
    pub(crate) fn late(&self) -> Error {
        Error::new(Code::DeadlineExceeded, "the deadline of the call passed").with_request_id(&self.request_id)
    }
}

/// Refuses a message that the server would refuse.
pub(crate) fn checked_size(request: &Bytes, most: usize) -> Result<(), Error> {
    if request.len() <= most {
        return Ok(());
    }
    Err(Error::invalid(format!("the request has {} bytes; at most {most} can be sent", request.len())))
}

/// Resolves, to an error, when something on this side ends the call.
pub(crate) struct Ending {
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    cancel: Option<Signal>,
    refused: Option<oneshot::Receiver<Error>>,
    request_id: String,
}

impl Ending {
    /// `refused` brings the error of a request that cannot be sent.
    pub(crate) fn new(call: &Call, cancel: Option<Signal>, refused: Option<oneshot::Receiver<Error>>) -> Self {
        Self {
            closed: Box::pin(call.transport.closed.clone().cancelled_owned()),
            cancel,
            refused,
            request_id: call.request_id.clone(),
        }
    }

    /// Whether the caller may still send requests, as of the last poll.
    pub(crate) fn may_still_send(&self) -> bool {
        self.refused.is_some()
    }
}

impl Future for Ending {
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let me = &mut *self;
        if let Some(refused) = &mut me.refused {
            match Pin::new(refused).poll(cx) {
                Poll::Ready(Ok(error)) => return Poll::Ready(error.with_request_id(&me.request_id)),
                Poll::Ready(Err(_)) => me.refused = None, // all requests were sent
                Poll::Pending => {}
            }
        }
        if me.cancel.as_mut().is_some_and(|cancel| cancel.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Error::cancelled("the caller cancelled the call", &me.request_id));
        }
        if me.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Error::cancelled("the client was closed", &me.request_id));
        }
        Poll::Pending
    }
}

/// Writes what all kinds of calls can be told before they are sent.
macro_rules! call_settings {
    () => {
        /// Sends this id, 1 to 128 characters of `A-Z a-z 0-9 . _ : / + = @ -`, instead of a random one.
        pub fn request_id(mut self, id: impl Into<String>) -> Self {
            self.options.request_id = id.into();
            self
        }

        /// The request id that the call is sent with.
        pub fn id(&self) -> &str {
            &self.options.request_id
        }

        /// Sends metadata along, printable ASCII, in place of what the client has under the same key.
        pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
            self.options.metadata.add_text(key.into(), value.into());
            self
        }

        /// Sends bytes along, under a key that ends in `-bin`.
        pub fn metadata_bin(mut self, key: impl Into<String>, value: impl Into<bytes::Bytes>) -> Self {
            self.options.metadata.add_bytes(key.into(), value.into());
            self
        }

        /// Ends the call with [`Kind::Cancelled`](crate::Kind::Cancelled) once `signal` completes: a token's
        /// `cancelled_owned()`, a sleep, a channel, `ctrl_c()`. What it completes with is dropped. Dropping the call ends
        /// it as well.
        pub fn cancel_on(mut self, signal: impl Future + Send + 'static) -> Self {
            self.options.cancel = Some(Box::pin(async { drop(signal.await) }));
            self
        }
    };
}

pub(crate) use call_settings;
