//! Asks a language model and prints its answer while it is made.
//!
//!     cargo run --example chat_stream -- "What is photosynthesis?"

use std::error::Error;
use std::io::{Write, stdout};

use trivium::v1::{GenerationInput, SamplingParameters};

const MODEL: &str = "smollm2-135m-instruct";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = chat().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn chat() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let question = match &arguments[..] {
        [] => "What is photosynthesis, in one sentence?",
        [question] => question,
        _ => return Err("usage: chat_stream [QUESTION]".into()),
    };
    let sampling = SamplingParameters { max_output_tokens: Some(100), seed: Some(7), ..Default::default() };
    let input = GenerationInput::new(MODEL, question).sampling(sampling);

    let client = trivium::Client::from_env()?;
    let mut answer = client.text().stream_generate(input.into()).await?.into_text();
    while let Some(piece) = answer.next().await {
        print!("{}", piece?);
        stdout().flush()?;
    }
    println!();
    if let Some(tokens) = answer.info().and_then(|info| info.usage?.tokens) {
        println!("{} tokens read, {} written", tokens.input_tokens, tokens.output_tokens);
    }
    Ok(())
}
