//! Measures what the client costs beside the bare stub: a unary call, a streamed token, and 64 streams at once.
//!
//! The server is this program again, in a process of its own; it answers at once, without a model. The client runs on one
//! thread, whose time on the processor is read from the kernel (Linux). Both ways take turns. Prints one line of JSON.

mod server;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use http::uri::PathAndQuery;
use serde_json::{Value, json};
use server::TOKENS;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use trivium::Client;
use trivium::v1::{
    CountTokensRequest, CountTokensResponse, GenerationInput, StreamGenerateRequest, StreamGenerateResponse,
};

const ROUNDS: usize = 20;
const CALLS: usize = 250;
const STREAMS: usize = 10;
const CONCURRENT: usize = 64;
/// As the crate's manifest asks for it.
const TONIC: &str = "0.14";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return server::serve().await;
    }
    let (server, target) = start_server()?;
    let sdk = Sdk(Client::new(&target)?);
    // with hyper's own windows, h2 would end the connection over the many small messages that wait in 64 streams
    let endpoint = Endpoint::from_shared(format!("http://{target}"))?
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size((1 << 31) - 1);
    let stub = Stub(endpoint.connect().await?);
    let (mut by_sdk, mut by_stub) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (sdk, stub) = (measure(&sdk).await?, measure(&stub).await?);
        if round > 0 {
            by_sdk.push(sdk); // the first round warms up
            by_stub.push(stub);
        }
    }
    drop(server);
    let mut both = |thing: fn(&mut Round) -> &mut Cost| json!({"stub": print(&mut by_stub, thing), "sdk": print(&mut by_sdk, thing)});
    let line = json!({
        "language": "rust",
        "runtime": format!("rustc {}, tonic {TONIC}", env!("TRIVIUM_RUST_VERSION")),
        "rounds": ROUNDS,
        "unary_call": both(|round| &mut round.call),
        "streamed_token": both(|round| &mut round.token),
        "streamed_token_64_at_once": both(|round| &mut round.token_of_many),
    });
    println!("{line}");
    Ok(())
}

/// A way to make the two calls.
trait Way: Clone + 'static {
    async fn count(&self) -> Outcome<CountTokensResponse>;
    /// Reads a stream to its end; gives the time of each message.
    async fn stream(&self) -> Outcome<Vec<Instant>>;
}

#[derive(Clone)]
struct Sdk(Client);

impl Way for Sdk {
    async fn count(&self) -> Outcome<CountTokensResponse> {
        Ok(self.0.text().count_tokens(CountTokensRequest::from(input())).await?)
    }

    async fn stream(&self) -> Outcome<Vec<Instant>> {
        let mut times = Vec::with_capacity(TOKENS);
        let mut stream = self.0.text().stream_generate(StreamGenerateRequest::from(input())).await?;
        while let Some(event) = stream.next().await {
            event?;
            times.push(Instant::now());
        }
        Ok(times)
    }
}

/// What the code that tonic generates does.
#[derive(Clone)]
struct Stub(Channel);

impl Way for Stub {
    async fn count(&self) -> Outcome<CountTokensResponse> {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/trivium.v1.TextGenerationService/CountTokens");
        let request = Request::new(CountTokensRequest::from(input()));
        Ok(grpc.unary(request, path, ProstCodec::default()).await?.into_inner())
    }

    async fn stream(&self) -> Outcome<Vec<Instant>> {
        let mut times = Vec::with_capacity(TOKENS);
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/trivium.v1.TextGenerationService/StreamGenerate");
        let request = Request::new(StreamGenerateRequest::from(input()));
        let mut stream = grpc.server_streaming(request, path, ProstCodec::default()).await?.into_inner();
        while let Some(event) = stream.message().await? {
            let _: StreamGenerateResponse = event;
            times.push(Instant::now());
        }
        Ok(times)
    }
}

fn input() -> GenerationInput {
    GenerationInput::new("model", "What is photosynthesis, in one sentence?")
}

/// What one way cost in one round.
#[derive(Default)]
struct Round {
    call: Cost,
    token: Cost,
    token_of_many: Cost,
}

/// Microseconds of each thing, and of the processor for one.
#[derive(Default)]
struct Cost {
    times: Vec<f64>,
    cpu: f64,
}

impl Cost {
    fn of(times: Vec<f64>, processor: f64) -> Self {
        Self { cpu: processor / times.len() as f64, times }
    }
}

async fn measure(way: &impl Way) -> Outcome<Round> {
    let cpu = processor_us()?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        way.count().await?;
        times.push(microseconds(begun, Instant::now()));
    }
    let call = Cost::of(times, processor_us()? - cpu);

    let cpu = processor_us()?;
    let mut times = Vec::with_capacity(STREAMS * TOKENS);
    for _ in 0..STREAMS {
        times.extend(gaps(&way.stream().await?));
    }
    let token = Cost::of(times, processor_us()? - cpu);

    let cpu = processor_us()?;
    let streams = tokio::task::LocalSet::new();
    let tasks: Vec<_> = (0..CONCURRENT)
        .map(|_| {
            let way = way.clone();
            streams.spawn_local(async move { way.stream().await.map_err(|error| error.to_string()) })
        })
        .collect();
    streams.await;
    let mut times = Vec::with_capacity(CONCURRENT * TOKENS);
    for task in tasks {
        times.extend(gaps(&task.await??));
    }
    let token_of_many = Cost::of(times, processor_us()? - cpu);
    Ok(Round { call, token, token_of_many })
}

fn gaps(times: &[Instant]) -> impl Iterator<Item = f64> {
    assert_eq!(times.len(), TOKENS);
    times.windows(2).map(|pair| microseconds(pair[0], pair[1]))
}

/// The medians over all rounds of one thing.
fn print(rounds: &mut [Round], thing: impl Fn(&mut Round) -> &mut Cost) -> Value {
    let mut median = |figure: &dyn Fn(&mut Cost) -> f64| {
        let mut figures: Vec<_> = rounds.iter_mut().map(|round| figure(thing(round))).collect();
        (quantile(&mut figures, 0.5) * 100.0).round() / 100.0
    };
    json!({
        "p50_us": median(&|cost| quantile(&mut cost.times, 0.5)),
        "p99_us": median(&|cost| quantile(&mut cost.times, 0.99)),
        "cpu_us": median(&|cost| cost.cpu),
    })
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at) as usize]
}

fn microseconds(from: Instant, to: Instant) -> f64 {
    (to - from).as_secs_f64() * 1e6
}

/// How long this thread has been on the processor.
fn processor_us() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e3)
}

/// Ends with the benchmark.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait()); // it may have ended by itself
    }
}

fn start_server() -> Outcome<(Server, String)> {
    let mut child = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut target = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut target)?;
    Ok((Server(child), target.trim().to_owned()))
}
