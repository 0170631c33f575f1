//! Calls with one response.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use crate::call::{Call, Ending, Options, call_settings, checked_size};
use crate::error::Error;
use crate::transport::{Requests, Transport};

/// A call with one response, which is sent when it is awaited.
///
/// ```no_run
/// # async fn example(client: trivium::Client) -> Result<(), trivium::Error> {
/// use std::time::Duration;
/// use trivium::v1::GetModelRequest;
///
/// let request = GetModelRequest { model: "smollm2-135m-instruct".into() };
/// let response = client.models().get_model(request).timeout(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
///
/// It is sent again as the client's retries allow, within its timeout. Dropping the future ends the call at the
/// server. `Res` is the message of the contract that answers, `Out` what a short form makes of it.
#[must_use = "a call is sent when it is awaited"]
pub struct UnaryCall<Res, Out = Res> {
    transport: Arc<Transport>,
    path: &'static str,
    request: Bytes,
    options: Options,
    finish: fn(Res) -> Result<Out, Error>,
}

impl<Res> UnaryCall<Res> {
    pub(crate) fn new(transport: &Arc<Transport>, path: &'static str, request: &impl Message) -> Self {
        Self {
            transport: transport.clone(),
            path,
            request: request.encode_to_vec().into(),
            options: Options::default(),
            finish: Ok,
        }
    }

    /// Lets the call give what `finish` makes of its response.
    pub(crate) fn finish_with<Out>(self, finish: fn(Res) -> Result<Out, Error>) -> UnaryCall<Res, Out> {
        let Self { transport, path, request, options, .. } = self;
        UnaryCall { transport, path, request, options, finish }
    }
}

impl<Res, Out> UnaryCall<Res, Out> {
    /// How long the call may take, over all its attempts. Default: the client's, 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    call_settings!();
}

impl<Res: Message + Default + 'static, Out: 'static> IntoFuture for UnaryCall<Res, Out> {
    type Output = Result<Out, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<Res: Message + Default + 'static, Out: 'static> UnaryCall<Res, Out> {
    async fn send(mut self) -> Result<Out, Error> {
        let settings = &self.transport.settings;
        let mut call = Call::prepare(&self.transport, self.path, &mut self.options, Some(settings.timeout), u32::MAX)?;
        checked_size(&self.request, settings.max_message_size)
            .map_err(|error| error.with_request_id(&call.request_id))?;
        let ending = Ending::new(&call, self.options.cancel.take(), None);
        let (late, deadline) = (call.late(), call.deadline);
        let response = tokio::select! {
            biased;
            error = ending => return Err(error),
            result = attempts(&mut call, self.request) => result?,
            () = until(deadline) => return Err(late),
        };
        (self.finish)(response).map_err(|error| match error.request_id() {
            "" => error.with_request_id(&call.request_id),
            _ => error,
        })
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn attempts<Res: Message + Default + 'static>(call: &mut Call, request: Bytes) -> Result<Res, Error> {
    loop {
        call.attempts.begin();
        let failure = match attempt(call, request.clone()).await {
            Ok(response) => return Ok(response),
            Err(status) => call.failure(&status, false),
        };
        match call.attempts.delay_before_retry(&failure) {
            Some(delay) => sleep(delay).await,
            None => return Err(failure.error),
        }
    }
}

async fn attempt<Res: Message + Default + 'static>(call: &Call, request: Bytes) -> Result<Res, Status> {
    let requests = Requests::One(Some(request));
    let opened = call.transport.open(call.path, &call.headers, requests, call.deadline);
    let mut opened = opened.await?;
    let response = opened.responses.message().await?;
    opened.responses.trailers().await?; // or the status that they have
    response.ok_or_else(|| Status::internal("the call ended well without a response"))
}

impl<Res, Out> fmt::Debug for UnaryCall<Res, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnaryCall").field("path", &self.path).finish_non_exhaustive()
    }
}
