//! Requests that are sent while answers come.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

/// Makes a pair for a call with many requests: what is given to the sender goes out as a request.
///
/// At most `capacity` requests, at least 1, wait to be sent. Dropping all senders half-closes the call.
///
/// ```no_run
/// # async fn example(client: trivium::Client, setup: trivium::v1::StreamSynthesizeRequest) -> Result<(), trivium::Error> {
/// let (sender, requests) = trivium::requests(8);
/// let mut events = client.speech().stream_synthesize(requests).await?;
/// sender.send(setup).await?;
/// drop(sender);
/// while let Some(event) = events.next().await {
///     println!("{:?}", event?.event);
/// }
/// # Ok(())
/// # }
/// ```
pub fn requests<T>(capacity: usize) -> (Sender<T>, Requests<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Sender(sender), Requests(receiver))
}

/// Sends requests of a running call. Clones send on the same call.
pub struct Sender<T>(mpsc::Sender<T>);

impl<T> Sender<T> {
    /// Sends a request; waits while the server takes none.
    ///
    /// # Errors
    /// [`CallEnded`] once the call has ended: its stream of events says why.
    pub async fn send(&self, request: T) -> Result<(), CallEnded> {
        self.0.send(request).await.map_err(|_| CallEnded)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("has_ended", &self.0.is_closed()).finish()
    }
}

/// The call has ended, so that nothing more can be sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEnded;

impl fmt::Display for CallEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call has ended; its stream of events says why")
    }
}

impl std::error::Error for CallEnded {}

/// For `?` beside calls.
impl From<CallEnded> for crate::Error {
    fn from(ended: CallEnded) -> Self {
        Self::cancelled(&ended.to_string(), "")
    }
}

/// The requests of a call, as they come from their [`Sender`].
#[derive(Debug)]
pub struct Requests<T>(mpsc::Receiver<T>);

impl<T> Stream for Requests<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}
