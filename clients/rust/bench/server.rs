//! A server that answers at once, with messages made beforehand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use trivium::Bytes;
use trivium::prost::Message;
use trivium::v1::stream_generate_response::Event;
use trivium::v1::{
    ContentDelta, CountTokensResponse, GenerationCompleted, GenerationStarted, StreamGenerateResponse, content_delta,
};

/// Messages of a stream.
pub(crate) const TOKENS: usize = 500;

/// Prints its address and serves until it is ended.
pub(crate) async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let count: Vec<Bytes> = vec![framed(&CountTokensResponse { token_count: 36, ..Default::default() })];
    let stream: Vec<Bytes> = (0..TOKENS).map(event).collect();
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let (count, stream) = (count.clone(), stream.clone());
        let service = service_fn(move |request: http::Request<Incoming>| {
            let is_stream = request.uri().path().ends_with("StreamGenerate");
            let messages = if is_stream { stream.clone() } else { count.clone() };
            async {
                let mut body = request.into_body();
                while poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {}
                let answer = http::Response::builder().header("content-type", "application/grpc");
                answer.body(Answer { messages: messages.into(), is_over: false })
            }
        });
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(serving.serve_connection(TokioIo::new(connection), service));
    }
}

fn event(index: usize) -> Bytes {
    let delta = Some(content_delta::Delta::Text(" token".to_owned()));
    let event = match index {
        0 => Event::Started(GenerationStarted::default()),
        last if last == TOKENS - 1 => Event::Completed(GenerationCompleted::default()),
        _ => Event::Delta(ContentDelta { delta, token_count: 1, ..Default::default() }),
    };
    framed(&StreamGenerateResponse { sequence: index as i64, event: Some(event) })
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.encoded_len() as u32).to_be_bytes());
    frame.extend_from_slice(&message.encode_to_vec());
    frame.into()
}

struct Answer {
    messages: VecDeque<Bytes>,
    is_over: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(message) = self.messages.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return Poll::Ready(None);
        }
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
