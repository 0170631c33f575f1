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

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return server::serve().await;
    }
    let (server, target) = start_server()?;
    let sdk = Sdk(Client::new(&target)?);
    let stub = Stub(Endpoint::from_shared(format!("http://{target}"))?.connect().await?);
    let mut costs = [Costs::default(), Costs::default()];
    for round in 0..=ROUNDS {
        let mut kept = [Costs::default(), Costs::default()];
        measure(&sdk, &mut kept[0]).await?;
        measure(&stub, &mut kept[1]).await?;
        if round > 0 {
            costs.iter_mut().zip(kept).for_each(|(all, new)| all.add(new)); // the first round warms up
        }
    }
    drop(server);
    let [sdk, stub] = costs.map(Costs::print);
    println!("{}", json!({"language": "rust", "rounds": ROUNDS, "concurrent": CONCURRENT, "sdk": sdk, "stub": stub}));
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

/// Microseconds of each thing, and of the processor for all of them.
#[derive(Default)]
struct Costs {
    calls: Vec<f64>,
    calls_cpu: f64,
    tokens: Vec<f64>,
    tokens_cpu: f64,
    concurrent: f64,
    concurrent_cpu: f64,
}

async fn measure(way: &impl Way, costs: &mut Costs) -> Outcome<()> {
    let cpu = processor_us()?;
    for _ in 0..CALLS {
        let begun = Instant::now();
        way.count().await?;
        costs.calls.push(microseconds(begun, Instant::now()));
    }
    costs.calls_cpu += processor_us()? - cpu;

    let cpu = processor_us()?;
    for _ in 0..STREAMS {
        let times = way.stream().await?;
        costs.tokens.extend(times.windows(2).map(|pair| microseconds(pair[0], pair[1])));
    }
    costs.tokens_cpu += processor_us()? - cpu;

    let (begun, cpu) = (Instant::now(), processor_us()?);
    let streams = tokio::task::LocalSet::new();
    let tasks: Vec<_> = (0..CONCURRENT)
        .map(|_| {
            let way = way.clone();
            streams.spawn_local(async move { way.stream().await.map(|times| times.len()).map_err(|it| it.to_string()) })
        })
        .collect();
    streams.await;
    for task in tasks {
        assert_eq!(task.await??, TOKENS);
    }
    costs.concurrent += microseconds(begun, Instant::now());
    costs.concurrent_cpu += processor_us()? - cpu;
    Ok(())
}

impl Costs {
    fn add(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.tokens.extend(other.tokens);
        self.calls_cpu += other.calls_cpu;
        self.tokens_cpu += other.tokens_cpu;
        self.concurrent += other.concurrent;
        self.concurrent_cpu += other.concurrent_cpu;
    }

    fn print(mut self) -> Value {
        let tokens = (ROUNDS * CONCURRENT * TOKENS) as f64;
        json!({
            "unary_us": {"p50": quantile(&mut self.calls, 0.5), "p99": quantile(&mut self.calls, 0.99),
                         "cpu": rounded(self.calls_cpu / (ROUNDS * CALLS) as f64)},
            "token_us": {"p50": quantile(&mut self.tokens, 0.5), "p99": quantile(&mut self.tokens, 0.99),
                         "cpu": rounded(self.tokens_cpu / (ROUNDS * STREAMS * TOKENS) as f64)},
            "concurrent": {"tokens_per_s": (tokens / self.concurrent * 1e6).round(),
                           "cpu_us_per_token": rounded(self.concurrent_cpu / tokens)},
        })
    }
}

fn quantile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    rounded(values[((values.len() - 1) as f64 * at) as usize])
}

fn rounded(microseconds: f64) -> f64 {
    (microseconds * 100.0).round() / 100.0
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
