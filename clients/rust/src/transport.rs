//! The one place through which every call goes: settings, connections, and the attempts to open a call.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{CancellationHandle, Request, Status, Streaming};

use crate::codec::SerializedCodec;
use crate::pool::{Connection, Pool};
use crate::settings::{Settings, ascii};
use crate::trouble::Trouble;

/// What all clones of a client share.
pub(crate) struct Transport {
    pub(crate) settings: Settings,
    pub(crate) closed: CancellationToken,
    pool: Pool,
}

/// The requests of a call, serialized. A clone is the same requests: of a stream it takes those that are left.
#[derive(Clone)]
pub(crate) enum Requests {
    One(Option<Bytes>),
    Many(Arc<Mutex<SerializedStream>>),
}

pub(crate) type SerializedStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

impl Stream for Requests {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.get_mut() {
            Self::One(request) => Poll::Ready(request.take()),
            Self::Many(requests) => requests.lock().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(cx),
        }
    }
}

/// Responses of a call that was opened. Dropping it ends the call at the server, whatever its requests do.
pub(crate) struct Opened<Res> {
    pub(crate) responses: Streaming<Res>,
    _call: EndOnDrop,
}

struct EndOnDrop(CancellationHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.clone().cancel(); // changes nothing about a call that is over
    }
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Self {
        let pool = Pool::new(settings.endpoint.clone(), settings.target.clone());
        Self { settings, closed: CancellationToken::new(), pool }
    }

    /// Makes one attempt, on the next connection; on the ones after it where that one cannot be made.
    pub(crate) async fn open<Res: Message + Default + 'static>(
        &self,
        path: &'static str,
        headers: &MetadataMap,
        requests: Requests,
        deadline: Option<Instant>,
    ) -> Result<Opened<Res>, Status> {
        let (mut connection, count) = self.pool.pick().await?;
        for _ in 1..count {
            match self.open_on(&connection, path, headers, requests.clone(), deadline).await {
                Err(status) if Trouble::of(&status).is_some_and(Trouble::is_connect) => self.pool.rest(&connection),
                opened => return opened,
            }
            connection = self.pool.pick().await?.0;
        }
        self.open_on(&connection, path, headers, requests, deadline).await
    }

    async fn open_on<Res: Message + Default + 'static>(
        &self,
        connection: &Connection,
        path: &'static str,
        headers: &MetadataMap,
        requests: Requests,
        deadline: Option<Instant>,
    ) -> Result<Opened<Res>, Status> {
        let mut grpc = Grpc::new(connection.channel.clone()).max_decoding_message_size(self.settings.max_message_size);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let mut request = Request::new(requests);
        *request.metadata_mut() = headers.clone();
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            request.metadata_mut().insert("grpc-timeout", ascii(&grpc_timeout(left)));
        }
        let call = EndOnDrop(request.cancellation_handle());
        let path = PathAndQuery::from_static(path);
        let responses = grpc.streaming(request, path, SerializedCodec::default()).await?;
        Ok(Opened { responses: responses.into_inner(), _call: call })
    }
}

/// A duration in the format of gRPC: at most eight digits and a unit. What is too long for it is made shorter.
fn grpc_timeout(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')];
    match units.into_iter().find(|(count, _)| *count <= MOST) {
        Some((count, unit)) => format!("{count}{unit}"),
        None => format!("{MOST}S"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Wishes;
    use crate::v1::{ListModelsRequest, ListModelsResponse};
    use crate::{UnaryCall, scripted};

    fn transport(max_attempts: u32) -> Arc<Transport> {
        let target = Some("http://several.test:1".to_owned());
        let wishes = Wishes { target, max_attempts, ..Wishes::default() };
        Arc::new(Transport::new(Settings::check(&wishes).unwrap()))
    }

    async fn call(transport: &Arc<Transport>) -> Result<ListModelsResponse, crate::Error> {
        UnaryCall::new(transport, "/trivium.v1.ModelService/ListModels", &ListModelsRequest::default()).await
    }

    #[tokio::test]
    async fn calls_go_round_the_addresses_of_a_name_and_pass_over_one_that_nobody_answers() {
        let script = vec![scripted::send(&ListModelsResponse::default()), scripted::ok()];
        let first = scripted::Server::start(vec![script.clone()]).await;
        let second = scripted::Server::start(vec![script]).await;
        let addresses = [first.target(), "127.0.0.1:1", second.target()].map(|text| text.parse().unwrap());
        let transport = transport(1);
        transport.pool.learn(addresses);
        for _ in 0..6 {
            call(&transport).await.unwrap();
        }
        assert_eq!((first.calls().len(), second.calls().len()), (3, 3));
        transport.pool.learn([addresses[2]]);
        call(&transport).await.unwrap();
        assert_eq!((first.calls().len(), second.calls().len()), (3, 4));
    }

    #[tokio::test]
    async fn where_no_address_answers_the_attempt_fails() {
        let transport = transport(1);
        transport.pool.learn(["127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse().unwrap()));
        let error = call(&transport).await.unwrap_err();
        assert_eq!(error.kind(), Some(crate::Kind::ServerUnavailable));
    }

    #[test]
    fn a_timeout_fits_into_eight_digits() {
        for (left, expected) in [
            (Duration::ZERO, "0u"),
            (Duration::from_nanos(1_500), "1u"),
            (Duration::from_secs(60), "60000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(grpc_timeout(left), expected);
        }
    }
}
