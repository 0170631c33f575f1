//! A gRPC server that does what a test says, message by message, over HTTP/2 of its own.
#![allow(dead_code)] // no test needs all of it

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use trivium::prost::Message;
use trivium::v1::stream_generate_response::Event;
use trivium::v1::{
    CallInfo, ContentDelta, GenerationCompleted, GenerationStarted, StreamGenerateResponse, content_delta,
};
use trivium::{Bytes, Client};

/// What the server does next.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Waits until the caller ends the call.
    Hang,
    /// Closes the connection without a word.
    Kill,
    /// Ends the call with these trailers.
    End(Vec<(&'static str, String)>),
}

/// A call as the server saw it.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// Messages of the caller.
    pub(crate) messages: usize,
    pub(crate) is_half_closed: bool,
    /// The caller ended the call before the server did.
    pub(crate) is_cancelled: bool,
}

pub(crate) struct Server {
    target: String,
    calls: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Serves on a free port. The first call is answered by the first script, and so on; the last one answers the rest.
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let stage = Stage { scripts: scripts.into(), calls: calls.clone() };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(stage.clone().serve(connection));
            }
        });
        Self { target, calls }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.target).unwrap()
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until the calls are as the test wants them.
    pub(crate) async fn until(&self, holds: impl Fn(&[Seen]) -> bool) {
        let polled = async {
            while !holds(&self.calls()) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), polled).await.expect("the server never saw it");
    }
}

#[derive(Clone)]
struct Stage {
    scripts: Arc<[Vec<Step>]>,
    calls: Arc<Mutex<Vec<Seen>>>,
}

impl Stage {
    async fn serve(self, connection: TcpStream) {
        let kill = Arc::new(Notify::new());
        let killed = kill.clone();
        let service = service_fn(move |request| {
            let response = self.clone().answer(request, kill.clone());
            async move { Ok::<_, Infallible>(response) }
        });
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(connection), service);
        tokio::select! {
            _ = serving => {}
            () = killed.notified() => {}
        }
    }

    fn answer(self, request: http::Request<Incoming>, kill: Arc<Notify>) -> http::Response<Answer> {
        let (parts, body) = request.into_parts();
        let index = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(Seen { path: parts.uri.path().to_owned(), headers: parts.headers, ..Seen::default() });
            calls.len() - 1
        };
        let script = self.scripts[index.min(self.scripts.len() - 1)].clone();
        let (frames, answer) = mpsc::channel(1);
        tokio::spawn(self.clone().listen(index, body));
        tokio::spawn(self.play(index, script, frames, kill));
        http::Response::builder().header("content-type", "application/grpc").body(Answer(answer)).unwrap()
    }

    async fn play(self, index: usize, script: Vec<Step>, frames: mpsc::Sender<Frame<Bytes>>, kill: Arc<Notify>) {
        for step in script {
            let sent = match step {
                Step::Wait(time) => tokio::select! {
                    () = sleep(time) => Ok(()),
                    () = frames.closed() => Err(()),
                },
                Step::Hang => {
                    frames.closed().await;
                    Err(())
                }
                Step::Kill => {
                    sleep(Duration::from_millis(20)).await; // what was sent before gets out
                    kill.notify_one();
                    return;
                }
                Step::Send(message) => frames.send(Frame::data(framed(&message))).await.map_err(|_| ()),
                Step::End(trailers) => frames.send(Frame::trailers(headers(trailers))).await.map_err(|_| ()),
            };
            if sent.is_err() {
                self.calls.lock().unwrap()[index].is_cancelled = true;
                return;
            }
        }
    }

    /// Counts what the caller sends.
    async fn listen(self, index: usize, mut body: Incoming) {
        let mut held = Vec::new();
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            held.extend_from_slice(&frame.into_data().unwrap_or_default());
            while held.len() >= 5 {
                let length = u32::from_be_bytes(held[1..5].try_into().unwrap()) as usize;
                if held.len() < 5 + length {
                    break;
                }
                held.drain(..5 + length);
                self.calls.lock().unwrap()[index].messages += 1;
            }
        }
        self.calls.lock().unwrap()[index].is_half_closed = body.is_end_stream();
    }
}

struct Answer(mpsc::Receiver<Frame<Bytes>>);

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn headers(pairs: Vec<(&'static str, String)>) -> HeaderMap {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap())).collect()
}

/// Sends a message.
pub(crate) fn send(message: &impl Message) -> Step {
    Step::Send(message.encode_to_vec().into())
}

/// Ends a call well.
pub(crate) fn ok() -> Step {
    fail(0, "")
}

/// Ends a call with a status.
pub(crate) fn fail(code: u8, message: &str) -> Step {
    Step::End(vec![("grpc-status", code.to_string()), ("grpc-message", message.to_owned())])
}

/// The events of an answer "one two", from `started` to `completed`.
pub(crate) fn answer() -> Vec<Step> {
    vec![started(0), delta(1, "one"), delta(2, " two"), completed(3), ok()]
}

pub(crate) fn started(sequence: i64) -> Step {
    event(sequence, Event::Started(GenerationStarted { input_tokens: 7, ..Default::default() }))
}

pub(crate) fn delta(sequence: i64, text: &str) -> Step {
    let delta = Some(content_delta::Delta::Text(text.to_owned()));
    event(sequence, Event::Delta(ContentDelta { delta, ..Default::default() }))
}

pub(crate) fn completed(sequence: i64) -> Step {
    let info = CallInfo { request_id: "of the server".to_owned(), ..Default::default() };
    event(sequence, Event::Completed(GenerationCompleted { info: Some(info) }))
}

fn event(sequence: i64, event: Event) -> Step {
    send(&StreamGenerateResponse { sequence, event: Some(event) })
}
