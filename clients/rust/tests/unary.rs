//! Calls with one response, their errors and their metadata, against a server that does what each test says.

mod scripted;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use scripted::{Seen, Server, Step, fail, ok, send};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use trivium::prost::Message;
use trivium::prost_types::Any;
use trivium::v1::{GenerationInput, GetModelRequest, GetModelResponse, Model, TokenUsage, Usage};
use trivium::{Client, Code, Error, Kind, Reason, Tls, UnaryCall, rpc};

fn answer() -> Vec<Step> {
    let model = Model { name: "found".to_owned(), ..Model::default() };
    vec![send(&GetModelResponse { model: Some(model) }), ok()]
}

fn call(client: &Client) -> UnaryCall<GetModelResponse> {
    client.models().get_model(GetModelRequest { model: "any".to_owned() })
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers[name].to_str().unwrap()
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/google.rpc.{name}"), value: message.encode_to_vec() }
}

/// The trailers of a failed call with these details.
fn failure(code: i32, details: Vec<Any>) -> Vec<(&'static str, String)> {
    let status = rpc::Status { code, message: "why".to_owned(), details };
    vec![
        ("grpc-status", code.to_string()),
        ("grpc-message", "why".to_owned()),
        ("grpc-status-details-bin", STANDARD_NO_PAD.encode(status.encode_to_vec())),
    ]
}

fn info(reason: &str, domain: &str) -> Any {
    let metadata = [("model".to_owned(), "any".to_owned())].into();
    any("ErrorInfo", &rpc::ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned(), metadata })
}

async fn error_of(trailers: Vec<(&'static str, String)>) -> Error {
    let server = Server::start(vec![vec![Step::End(trailers)]]).await;
    let client = Client::builder().target(server.target()).max_attempts(1).build().unwrap();
    call(&client).await.unwrap_err()
}

#[test]
fn what_crosses_tasks_is_send() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    fn is_send<T: Send>(_: T) {}
    is_send_and_sync::<Client>();
    is_send_and_sync::<Error>();
    let client = Client::new("127.0.0.1:1").unwrap();
    is_send(call(&client));
    is_send(client.text().stream_generate(GenerationInput::new("m", "p").into()));
}

#[tokio::test]
async fn a_call_brings_its_metadata_and_deadline() {
    let server = Server::start(vec![answer()]).await;
    let builder = Client::builder().target(format!("http://{}", server.target())).token("secret");
    let client = builder.metadata("Team", "search").metadata_bin("trace-bin", vec![0, 255]).build().unwrap();
    let made = call(&client).timeout(Duration::from_secs(5)).metadata("team", "other");
    let id = made.id().to_owned();
    assert_eq!(made.await.unwrap().model.unwrap().name, "found");
    let seen = &server.calls()[0];
    assert_eq!(seen.path, "/trivium.v1.ModelService/GetModel");
    assert_eq!(header(seen, "x-request-id"), id);
    assert_eq!(header(seen, "authorization"), "Bearer secret");
    assert_eq!(header(seen, "team"), "other");
    assert_eq!(header(seen, "trace-bin"), "AP8");
    assert!(header(seen, "trivium-client").starts_with("trivium-rust/0.1.0 rust/1."));
    assert!(header(seen, "user-agent").starts_with("trivium-rust/0.1.0"));
    let timeout = header(seen, "grpc-timeout").strip_suffix('u').unwrap().parse::<u32>().unwrap();
    assert!((4_000_000..=5_000_000).contains(&timeout), "{timeout}");
}

#[tokio::test]
async fn an_error_has_what_the_server_said() {
    let usage = Usage { tokens: Some(TokenUsage { input_tokens: 3, ..TokenUsage::default() }), ..Usage::default() };
    let violation = rpc::bad_request::FieldViolation {
        field: "model".to_owned(),
        description: "no".to_owned(),
        ..Default::default()
    };
    let delay = trivium::prost_types::Duration { seconds: 1, nanos: 500_000_000 };
    let mut trailers = failure(
        5,
        vec![
            info("MODEL_NOT_FOUND", "trivium.v1"),
            any("BadRequest", &rpc::BadRequest { field_violations: vec![violation] }),
            any("RetryInfo", &rpc::RetryInfo { retry_delay: Some(delay) }),
            any("RequestInfo", &rpc::RequestInfo { request_id: "theirs".to_owned(), ..Default::default() }),
        ],
    );
    trailers.push(("trivium-usage-bin", STANDARD_NO_PAD.encode(usage.encode_to_vec())));
    let error = error_of(trailers).await;
    assert_eq!((error.code(), error.reason(), error.kind()), (Code::NotFound, Some(&Reason::ModelNotFound), None));
    assert_eq!(error.metadata()["model"], "any");
    assert_eq!((&*error.field_violations()[0].field, &*error.field_violations()[0].description), ("model", "no"));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    assert_eq!((error.request_id(), error.usage()), ("theirs", Some(&usage)));
    assert_eq!(error.to_string(), "why (MODEL_NOT_FOUND, request theirs)");
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(format!("{error:#?}").contains("retry_after: Some(\n"));
}

#[tokio::test]
async fn an_unknown_reason_is_kept_and_a_foreign_one_is_not() {
    let error = error_of(failure(3, vec![info("NEW_THING", "trivium.v1")])).await;
    assert_eq!(error.reason(), Some(&Reason::Unknown("NEW_THING".to_owned())));
    let error = error_of(failure(3, vec![info("MODEL_NOT_FOUND", "example.com")])).await;
    assert_eq!((error.reason(), error.metadata().len()), (None, 0));
}

#[tokio::test]
async fn details_that_cannot_be_read_do_not_hide_the_status() {
    for details in ["%%%", "CAU", "/////w"] {
        let mut trailers = failure(9, vec![]);
        trailers[2].1 = details.to_owned();
        let error = error_of(trailers).await;
        assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "why"), "{details}");
    }
    let trailers = vec![("grpc-status", "9".to_owned()), ("grpc-message", "caf%E9".to_owned())];
    assert_eq!(error_of(trailers).await.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_call_is_sent_again_as_often_as_the_client_says() {
    let server = Server::start(vec![vec![fail(14, "away")]]).await;
    let client = Client::builder().target(server.target()).max_attempts(3).build().unwrap();
    let error = call(&client).await.unwrap_err();
    assert_eq!((error.kind(), server.calls().len()), (Some(Kind::ServerUnavailable), 3));

    let server = Server::start(vec![vec![Step::Kill], vec![fail(14, "away")], answer()]).await;
    assert!(call(&server.client()).await.is_ok());
}

#[tokio::test]
async fn a_full_queue_is_waited_for_where_the_server_says_how_long() {
    let delay = trivium::prost_types::Duration { seconds: 0, nanos: 300_000_000 };
    let full = failure(8, vec![any("RetryInfo", &rpc::RetryInfo { retry_delay: Some(delay) })]);
    let server = Server::start(vec![vec![Step::End(full)], answer()]).await;
    let begun = Instant::now();
    assert!(call(&server.client()).await.is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(300));

    let server = Server::start(vec![vec![fail(8, "a quota is gone")]]).await;
    assert!(call(&server.client()).await.is_err());
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_deadline_holds_for_all_attempts_and_for_one() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let begun = Instant::now();
    let error = call(&server.client()).timeout(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!((error.code(), error.kind(), error.reason()), (Code::DeadlineExceeded, None, None));
    assert!(begun.elapsed() < Duration::from_secs(2));
    server.until(|calls| calls[0].is_cancelled).await;

    let away = vec![("grpc-status", "14".to_owned()), ("grpc-retry-pushback-ms", "20000".to_owned())];
    let server = Server::start(vec![vec![Step::End(away)]]).await;
    let error = call(&server.client()).timeout(Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "a wait past the deadline is not made");
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn dropping_a_call_ends_it_at_the_server() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let client = server.client();
    let limited = tokio::time::timeout(Duration::from_millis(200), call(&client).into_future());
    assert!(limited.await.is_err());
    server.until(|calls| calls[0].is_cancelled).await;
}

#[tokio::test]
async fn closing_a_client_ends_its_calls() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let client = server.client();
    let closing = client.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        closing.close();
    });
    assert_eq!(call(&client).await.unwrap_err().kind(), Some(Kind::Cancelled));
    assert_eq!(call(&client).await.unwrap_err().kind(), Some(Kind::Cancelled));
}

#[tokio::test]
async fn messages_over_the_limit_are_refused_both_ways() {
    let server = Server::start(vec![answer()]).await;
    let small = |bytes| Client::builder().target(server.target()).max_message_size(bytes).build().unwrap();
    assert_eq!(call(&small(5)).await.unwrap_err().code(), Code::ResourceExhausted);
    let error = call(&small(4)).await.unwrap_err();
    assert_eq!((error.kind(), server.calls().len()), (Some(Kind::InvalidCall), 1));
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::builder().target(free.to_string()).max_attempts(2).build().unwrap();
    let error = call(&client).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Code::Unavailable, Some(Kind::ServerUnavailable)));
    assert!(error.message().contains(&format!("no server listens at {free}")), "{error}");
    assert_eq!(format!("{error:?}"), format!("{error}, server_unavailable"));
}

#[tokio::test]
async fn tls_with_a_server_that_has_none_is_not_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let (counter, mut connections) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counter.send(()).unwrap();
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let client = Client::builder().target(target).tls(Tls::new()).build().unwrap();
    let error = call(&client).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Code::Unavailable, Some(Kind::ServerUnavailable)));
    assert!(error.message().starts_with("TLS with"), "{error}");
    assert!(connections.try_recv().is_ok());
    assert!(connections.try_recv().is_err(), "one attempt, one connection");
}

#[tokio::test]
async fn an_argument_that_cannot_be_sent_is_refused() {
    let server = Server::start(vec![answer()]).await;
    let client = server.client();
    for refused in [
        call(&client).request_id("not allowed"),
        call(&client).metadata("grpc-timeout", "1S"),
        call(&client).metadata("text-bin", "x"),
        call(&client).timeout(Duration::ZERO),
    ] {
        let error = refused.await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Some(Kind::InvalidCall), Code::InvalidArgument));
    }
    for builder in [
        Client::builder().target("nowhere"),
        Client::builder().target("https://a.example").tls(false),
        Client::builder().target("http://a.example:1").tls(true),
        Client::builder().token("two words"),
        Client::builder().metadata("authorization", "x"),
        Client::builder().max_attempts(0),
        Client::builder().idle_timeout(Duration::ZERO),
        Client::builder().tls(Tls::new().identity("no", "PEM")),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), Some(Kind::InvalidCall));
    }
    assert!(server.calls().is_empty());
}

#[test]
fn a_token_is_never_shown() {
    let builder = Client::builder().target("127.0.0.1:1").token("hunter2").tls(Tls::new().identity("c", "hunter2"));
    assert!(!format!("{builder:?}").contains("hunter2"));
    let client = Client::builder().target("127.0.0.1:1").token("hunter2").build().unwrap();
    assert!(!format!("{client:?} {:?}", client.text()).contains("hunter2"));
}
