//! Streaming calls before they are sent.

use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use prost::Message;
use tokio::sync::oneshot;

use crate::call::{Call, Ending, Options, call_settings, checked_size};
use crate::error::Error;
use crate::event::StreamEvent;
use crate::replay::Replay;
use crate::stream::EventStream;
use crate::transport::{Requests, Transport};

/// A call with a stream of events as answer, which is sent when it is awaited, within a Tokio runtime.
///
/// Awaiting it does not wait for the server: it returns the stream, or the error of an argument.
///
/// ```no_run
/// # async fn example(client: trivium::Client) -> Result<(), trivium::Error> {
/// use std::time::Duration;
/// use trivium::v1::WatchModelsRequest;
///
/// let mut events = client.models().watch_models(WatchModelsRequest {}).timeout(Duration::from_secs(600)).await?;
/// while let Some(event) = events.next().await {
///     println!("{:?}", event?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// A call with one request is sent again as the client's retries allow, before the first event; one with many is not.
/// Where a streamed answer breaks that can be made again, with a seed or temperature 0 and without log-probabilities, it
/// goes on in another call, of which only what is new is given.
#[must_use = "a call is sent when it is awaited"]
pub struct StreamCall<Res> {
    transport: Arc<Transport>,
    path: &'static str,
    requests: Requests,
    refused: Option<oneshot::Receiver<Error>>,
    replay: Option<Replay>,
    options: Options,
    response: PhantomData<fn() -> Res>,
}

impl<Res> StreamCall<Res> {
    pub(crate) fn of_one(transport: &Arc<Transport>, path: &'static str, request: &(impl Message + 'static)) -> Self {
        let requests = Requests::One(Some(request.encode_to_vec().into()));
        Self { replay: Replay::of(request), ..Self::new(transport, path, requests, None) }
    }

    pub(crate) fn of_many<S>(transport: &Arc<Transport>, path: &'static str, requests: S) -> Self
    where
        S: Stream<Item: Message> + Send + 'static,
    {
        let (refuse, refused) = oneshot::channel();
        let most = transport.settings.max_message_size;
        let requests = Serialized { requests: Box::pin(requests), refuse: Some(refuse), most };
        Self::new(transport, path, Requests::Many(Arc::new(Mutex::new(Box::pin(requests)))), Some(refused))
    }

    fn new(
        transport: &Arc<Transport>,
        path: &'static str,
        requests: Requests,
        refused: Option<oneshot::Receiver<Error>>,
    ) -> Self {
        let options = Options::default();
        Self { transport: transport.clone(), path, requests, refused, replay: None, options, response: PhantomData }
    }

    /// How long the call may take as a whole. Default: the client sets no limit, the server its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How long the stream may bring nothing before it fails. Default: the client's, 60 s; none for watches and
    /// `load_model`, which may have nothing to say. `Duration::MAX` is for ever. While the caller may still send requests
    /// it counts only until the first event: a microphone may be silent for long.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle_timeout = Some(timeout);
        self
    }

    call_settings!();
}

impl<Res: StreamEvent> StreamCall<Res> {
    fn start(mut self) -> Result<EventStream<Res>, Error> {
        let settings = &self.transport.settings;
        let max_attempts = if matches!(self.requests, Requests::Many(_)) { 1 } else { u32::MAX };
        let call = Call::prepare(&self.transport, self.path, &mut self.options, None, max_attempts)?;
        let default = if Res::IS_QUIET { Duration::MAX } else { settings.idle_timeout };
        let idle_limit = self.options.idle_timeout.unwrap_or(default);
        let checked = crate::settings::checked_limit("idle_timeout", idle_limit).and_then(|()| match &self.requests {
            Requests::One(Some(request)) => checked_size(request, settings.max_message_size),
            _ => Ok(()),
        });
        checked.map_err(|error| error.with_request_id(&call.request_id))?;
        let mut ending = Ending::new(&call, self.options.cancel.take(), self.refused.take());
        // What is cancelled already is not sent: the stream is opened on a task that might run before it is read.
        if let Poll::Ready(error) = Pin::new(&mut ending).poll(&mut Context::from_waker(Waker::noop())) {
            return Err(error);
        }
        Ok(EventStream::start(call, self.requests, self.replay, ending, idle_limit))
    }
}

impl<Res: StreamEvent> IntoFuture for StreamCall<Res> {
    type Output = Result<EventStream<Res>, Error>;
    type IntoFuture = Ready<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        ready(self.start())
    }
}

/// Requests on their way to the wire. One that is too large ends the call: it brings nothing more.
struct Serialized<S> {
    requests: Pin<Box<S>>,
    refuse: Option<oneshot::Sender<Error>>,
    most: usize,
}

impl<S: Stream<Item: Message>> Stream for Serialized<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(refuse) = self.refuse.take() else {
            return Poll::Pending;
        };
        let next = self.requests.as_mut().poll_next(cx);
        if let Poll::Ready(Some(request)) = next {
            let packed = request.encode_to_vec().into();
            if let Err(error) = checked_size(&packed, self.most) {
                let _ = refuse.send(error); // whoever would hear it is gone, and the call with it
                return Poll::Pending;
            }
            self.refuse = Some(refuse);
            return Poll::Ready(Some(packed));
        }
        if next.is_pending() {
            self.refuse = Some(refuse);
        }
        next.map(|_| None)
    }
}

impl<Res> fmt::Debug for StreamCall<Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCall").field("path", &self.path).finish_non_exhaustive()
    }
}
