//! Speaks a text into a WAV file.
//!
//!     cargo run --example speak -- "Good morning." morning.wav

use std::error::Error;

use trivium::v1::SynthesizeRequest;

const MODEL: &str = "hibari-heart";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = speak().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn speak() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [text, path] = &arguments[..] else {
        return Err("usage: speak TEXT FILE".into());
    };

    let client = trivium::Client::from_env()?;
    let spoken = client.speech().synthesize(SynthesizeRequest::new(MODEL, text)).await?;
    spoken.save(path)?;
    let length = spoken.audio_duration.unwrap_or_default();
    println!("{:.2} s of sound in {path}", length.seconds as f64 + f64::from(length.nanos) / 1e9);
    Ok(())
}
