//! Streams, against a server that does what each test says.

mod scripted;

use std::future::ready;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use scripted::{Server, Step, answer, completed, delta, fail, ok, started};
use tokio::time::{sleep, timeout};
use trivium::v1::stream_recognize_request::Request;
use trivium::v1::stream_recognize_response::Event;
use trivium::v1::{
    GenerationInput, GoAway, StreamGenerateRequest, StreamRecognizeResponse, WatchModelsRequest, WatchModelsResponse,
};
use trivium::{Bytes, CallEnded, Client, Code, EventStream, Kind};

fn request() -> StreamGenerateRequest {
    GenerationInput::new("model", "hello").into()
}

/// Reads to the end; returns the text that came and the error, if there was one.
async fn text_of(client: &Client) -> (String, Option<trivium::Error>) {
    let mut stream = client.text().stream_generate(request()).await.unwrap().into_text();
    let mut failure = None;
    while let Some(piece) = stream.next().await {
        failure = piece.err();
    }
    (stream.text().to_owned(), failure)
}

/// Reads one event and returns the error that follows it.
async fn error_after_one(mut stream: EventStream<impl trivium::StreamEvent + std::fmt::Debug>) -> trivium::Error {
    stream.next().await.unwrap().unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(stream.next().await.is_none(), "nothing follows an error");
    error
}

#[tokio::test]
async fn a_stream_is_read_to_its_end_and_gives_its_info() {
    let server = Server::start(vec![answer()]).await;
    let stream = server.client().text().stream_generate(request()).request_id("mine").await.unwrap();
    assert_eq!((stream.request_id(), stream.info()), ("mine", None));
    let mut stream = stream.into_text();
    let pieces: Vec<_> = stream.by_ref().map(Result::unwrap).collect().await;
    assert_eq!(pieces, ["one", " two"]);
    assert_eq!(stream.info().unwrap().request_id, "of the server");
    let seen = &server.calls()[0];
    assert_eq!((seen.headers["x-request-id"].to_str().unwrap(), seen.messages), ("mine", 1));
    assert!(!seen.headers.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_truncated() {
    for script in [vec![started(0), delta(1, "one"), ok()], vec![started(0), delta(2, "two"), completed(3), ok()]] {
        let server = Server::start(vec![script]).await;
        let (_, error) = text_of(&server.client()).await;
        let error = error.unwrap();
        assert_eq!((error.kind(), error.code()), (Some(Kind::TruncatedStream), Code::DataLoss));
        assert_eq!(server.calls().len(), 1);
    }
}

#[tokio::test]
async fn what_follows_the_last_event_takes_nothing_away() {
    for end in [Step::Kill, fail(13, "too late")] {
        let server = Server::start(vec![vec![started(0), delta(1, "all"), completed(2), end]]).await;
        let (text, error) = text_of(&server.client()).await;
        assert_eq!(text, "all");
        assert!(error.is_none(), "{error:?}");
    }
    let idle = Server::start(vec![vec![completed(0), Step::Hang]]).await;
    let client = Client::builder().target(idle.target()).idle_timeout(Duration::from_millis(100)).build().unwrap();
    let (_, error) = text_of(&client).await;
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test]
async fn a_lost_connection_is_tried_again_before_the_first_event_and_never_after_it() {
    let server = Server::start(vec![vec![Step::Kill], vec![fail(14, "away")], answer()]).await;
    let (text, error) = text_of(&server.client()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((text.as_str(), server.calls().len()), ("one two", 3));
    let ids: Vec<_> = server.calls().iter().map(|seen| seen.headers["x-request-id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");

    let server = Server::start(vec![vec![started(0), delta(1, "one"), Step::Kill]]).await;
    let (text, error) = text_of(&server.client()).await;
    assert_eq!(error.unwrap().kind(), Some(Kind::ConnectionLost));
    assert_eq!((text.as_str(), server.calls().len()), ("one", 1));
}

#[tokio::test]
async fn an_idle_stream_fails_and_is_ended_at_the_server() {
    let server = Server::start(vec![vec![started(0), Step::Hang]]).await;
    let call = server.client().text().stream_generate(request()).idle_timeout(Duration::from_millis(100));
    let error = error_after_one(call.await.unwrap()).await;
    assert_eq!((error.kind(), error.code()), (Some(Kind::StreamIdleTimeout), Code::DeadlineExceeded));
    server.until(|calls| calls[0].is_cancelled).await;
}

#[tokio::test]
async fn the_idle_limit_counts_while_the_caller_waits_and_not_while_it_works() {
    let server = Server::start(vec![answer()]).await;
    let call = server.client().text().stream_generate(request()).idle_timeout(Duration::from_millis(150));
    let mut stream = call.await.unwrap();
    while let Some(event) = stream.next().await {
        event.unwrap();
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn the_idle_limit_counts_before_the_first_event_and_after_the_last_request_but_not_between() {
    let limit = Duration::from_millis(150);
    let silent = Server::start(vec![vec![Step::Hang]]).await;
    let (_sender, requests) = trivium::requests(1);
    let call = silent.client().speech().stream_recognize(requests).idle_timeout(limit);
    let error = call.await.unwrap().next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(Kind::StreamIdleTimeout));

    let listening = Server::start(vec![vec![scripted::send(&StreamRecognizeResponse::default()), Step::Hang]]).await;
    let (sender, requests) = trivium::requests(1);
    let call = listening.client().speech().stream_recognize(requests).idle_timeout(limit);
    let mut stream = call.await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(timeout(4 * limit, stream.next()).await.is_err(), "nothing happens while the caller may speak");
    drop(sender);
    let half_closed = Instant::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(Kind::StreamIdleTimeout));
    assert!(half_closed.elapsed() >= limit);
}

#[tokio::test]
async fn a_watch_may_be_silent() {
    let event = WatchModelsResponse::default();
    let wait = Step::Wait(Duration::from_millis(300));
    let server = Server::start(vec![vec![scripted::send(&event), wait, scripted::send(&event), Step::Hang]]).await;
    let client = Client::builder().target(server.target()).idle_timeout(Duration::from_millis(50)).build().unwrap();
    let mut watch = client.models().watch_models(WatchModelsRequest {}).await.unwrap();
    assert!(watch.next().await.unwrap().is_ok() && watch.next().await.unwrap().is_ok());

    let call = client.models().watch_models(WatchModelsRequest {}).idle_timeout(Duration::from_millis(50));
    assert_eq!(error_after_one(call.await.unwrap()).await.kind(), Some(Kind::StreamIdleTimeout));
}

#[tokio::test]
async fn a_deadline_ends_a_stream() {
    let server = Server::start(vec![vec![started(0), Step::Hang]]).await;
    let begun = Instant::now();
    let call = server.client().text().stream_generate(request()).timeout(Duration::from_millis(200));
    let error = error_after_one(call.await.unwrap()).await;
    assert_eq!((error.kind(), error.code()), (None, Code::DeadlineExceeded));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(server.calls()[0].headers.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn dropping_a_stream_ends_its_call() {
    let server = Server::start(vec![vec![started(0), Step::Hang]]).await;
    let mut stream = server.client().text().stream_generate(request()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    server.until(|calls| calls[0].is_cancelled).await;
}

#[tokio::test]
async fn dropping_a_stream_ends_its_call_while_requests_may_still_come() {
    let server = Server::start(vec![vec![scripted::send(&StreamRecognizeResponse::default()), Step::Hang]]).await;
    let (sender, requests) = trivium::requests(1);
    let mut stream = server.client().speech().stream_recognize(requests).await.unwrap();
    sender.send(Request::Audio(Bytes::from_static(b"x")).into()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    server.until(|calls| calls[0].is_cancelled && !calls[0].is_half_closed).await;
    let ended = async { while sender.send(Request::Audio(Bytes::new()).into()).await != Err(CallEnded) {} };
    timeout(Duration::from_secs(10), ended).await.expect("the sender learns that the call has ended");
}

#[tokio::test]
async fn a_call_is_sent_and_takes_requests_before_anybody_reads() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let (sender, requests) = trivium::requests(1);
    let _stream = server.client().speech().stream_recognize(requests).await.unwrap();
    for _ in 0..20 {
        sender.send(Request::Audio(Bytes::from_static(b"x")).into()).await.unwrap();
    }
    drop(sender);
    server.until(|calls| calls.len() == 1 && calls[0].messages == 20 && calls[0].is_half_closed).await;
}

#[tokio::test]
async fn a_caller_who_hears_that_the_server_goes_half_closes() {
    let go_away = StreamRecognizeResponse { sequence: 0, event: Some(Event::GoAway(GoAway::default())) };
    let completed = StreamRecognizeResponse { sequence: 1, event: Some(Event::Completed(Default::default())) };
    let wait = Step::Wait(Duration::from_millis(100));
    let server = Server::start(vec![vec![scripted::send(&go_away), wait, scripted::send(&completed), ok()]]).await;
    let (sender, requests) = trivium::requests(1);
    let mut sender = Some(sender);
    let mut stream = server.client().speech().stream_recognize(requests).await.unwrap();
    while let Some(event) = stream.next().await {
        if matches!(event.unwrap().event, Some(Event::GoAway(_))) {
            sender = None;
        }
    }
    assert!(sender.is_none());
    server.until(|calls| calls[0].is_half_closed).await;
}

#[tokio::test]
async fn streams_of_requests_are_not_sent_again() {
    let server = Server::start(vec![vec![fail(14, "away")]]).await;
    let (_sender, requests) = trivium::requests(1);
    let mut stream = server.client().speech().stream_recognize(requests).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), server.calls().len()), (Some(Kind::ServerUnavailable), 1));
}

#[tokio::test]
async fn a_request_that_is_too_large_ends_the_call_unsent() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let client = Client::builder().target(server.target()).max_message_size(100).build().unwrap();
    let error = client.text().stream_generate(GenerationInput::new("m", "x".repeat(100)).into()).await.unwrap_err();
    assert_eq!((error.kind(), server.calls().len()), (Some(Kind::InvalidCall), 0));

    let (sender, requests) = trivium::requests(1);
    let mut stream = client.speech().stream_recognize(requests).request_id("big").await.unwrap();
    sender.send(Request::Audio(Bytes::from_static(b"small")).into()).await.unwrap();
    sender.send(Request::Audio(vec![0; 100].into()).into()).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.request_id()), (Some(Kind::InvalidCall), "big"));
    server.until(|calls| calls[0].is_cancelled && calls[0].messages == 1).await;
}

#[tokio::test]
async fn a_signal_cancels_before_and_during_a_call() {
    let server = Server::start(vec![vec![started(0), Step::Hang]]).await;
    let text = server.client().text();
    let error = text.stream_generate(request()).cancel_on(ready(())).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Some(Kind::Cancelled), Code::Cancelled));
    assert_eq!(server.calls().len(), 0);

    let (stop, stopped) = tokio::sync::oneshot::channel::<&str>();
    tokio::spawn(async move {
        sleep(Duration::from_millis(200)).await;
        stop.send("the result of a signal does not matter")
    });
    let call = text.stream_generate(request()).cancel_on(stopped);
    let error = error_after_one(call.await.unwrap()).await;
    assert_eq!(error.kind(), Some(Kind::Cancelled));
    server.until(|calls| calls.last().unwrap().is_cancelled).await;
}

#[tokio::test]
async fn closing_a_client_ends_its_calls_and_later_ones() {
    let server = Server::start(vec![vec![started(0), Step::Hang]]).await;
    let client = server.client();
    let stream = client.text().stream_generate(request()).await.unwrap();
    let reading = tokio::spawn(error_after_one(stream));
    sleep(Duration::from_millis(100)).await;
    client.close();
    assert_eq!(reading.await.unwrap().kind(), Some(Kind::Cancelled));
    let later = client.text().stream_generate(request()).await;
    assert_eq!(later.unwrap_err().kind(), Some(Kind::Cancelled));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn next_may_be_dropped_without_loss() {
    let script = vec![started(0), Step::Wait(Duration::from_millis(60)), delta(1, "one"), completed(2), ok()];
    let server = Server::start(vec![script]).await;
    let mut stream = server.client().text().stream_generate(request()).await.unwrap();
    let mut count = 0;
    loop {
        match timeout(Duration::from_millis(5), stream.next()).await {
            Err(_) => {}
            Ok(Some(event)) => {
                event.unwrap();
                count += 1;
            }
            Ok(None) => break,
        }
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn many_small_messages_may_wait_unread() {
    const COUNT: i64 = 20_000;
    let tokens = (1..=COUNT).map(|sequence| delta(sequence, "x"));
    let script: Vec<_> = [started(0)].into_iter().chain(tokens).chain([completed(COUNT + 1), ok()]).collect();
    let server = Server::start(vec![script]).await;
    let client = server.client();
    let late = client.text().stream_generate(request()).await.unwrap();
    assert_eq!(text_of(&client).await.0.len(), COUNT as usize);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(late.into_text().read_all().await.unwrap().len(), COUNT as usize);
}

#[tokio::test]
async fn only_the_caller_ends_a_watch() {
    let server = Server::start(vec![vec![ok()]]).await;
    let mut watch = server.client().models().watch_models(WatchModelsRequest {}).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap_err().kind(), Some(Kind::TruncatedStream));
}
