//! Transcribes a WAV file, 16-bit mono, as if it were spoken now; with `--fast`, as fast as the server takes it.
//!
//!     cargo run --example live_transcription -- talk.wav

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use trivium::v1::stream_recognize_request::Request;
use trivium::v1::stream_recognize_response::Event;
use trivium::v1::{AudioEncoding, AudioFormat, RecognitionConfig, StreamRecognizeRequest, StreamRecognizeSetup};
use trivium::{Bytes, CallEnded, Sender};

const MODEL: &str = "moonshine-tiny-en";
const CHUNK: Duration = Duration::from_millis(40);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = transcribe().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn transcribe() -> Result<(), Box<dyn Error>> {
    let (options, paths): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|it| it.starts_with("--"));
    let is_fast = options == ["--fast"];
    let ([path], true) = (&paths[..], is_fast || options.is_empty()) else {
        return Err("usage: live_transcription [--fast] FILE".into());
    };
    let file = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let (sample_rate_hertz, samples) = read_wav(file).map_err(|problem| format!("{path}: {problem}"))?;

    let client = trivium::Client::from_env()?;
    let (sender, requests) = trivium::requests(8);
    let mut events = client.speech().stream_recognize(requests).await?;
    tokio::spawn(send(sender, sample_rate_hertz, samples, is_fast));
    while let Some(event) = events.next().await {
        let Some(Event::Transcript(update)) = event?.event else { continue };
        let segment = update.segment.unwrap_or_default();
        let text = segment.alternatives.first().map_or("", |best| &best.text);
        println!("{} {text}", if update.is_final { "=" } else { "~" });
    }
    Ok(())
}

/// Sends the setup, then 40 ms of sound every 40 ms. Where the call ends meanwhile, its events say why.
async fn send(
    sender: Sender<StreamRecognizeRequest>,
    sample_rate_hertz: i32,
    samples: Bytes,
    is_fast: bool,
) -> Result<(), CallEnded> {
    let format = AudioFormat { encoding: AudioEncoding::PcmS16le.into(), sample_rate_hertz, channel_count: 1 };
    let config = RecognitionConfig { model: MODEL.into(), format: Some(format), ..Default::default() };
    let setup = StreamRecognizeSetup { config: Some(config), interim_results: true, ..Default::default() };
    sender.send(Request::Setup(setup).into()).await?;

    let chunk_bytes = 2 * sample_rate_hertz as usize * CHUNK.as_millis() as usize / 1000;
    let mut next = Instant::now();
    for chunk in samples.chunks(chunk_bytes) {
        if !is_fast {
            next += CHUNK;
            sleep_until(next).await;
        }
        sender.send(Request::Audio(samples.slice_ref(chunk)).into()).await?;
    }
    Ok(()) // dropping the sender half-closes the call
}

/// Returns the sample rate and the samples of a WAV file.
fn read_wav(file: Vec<u8>) -> Result<(i32, Bytes), &'static str> {
    const PROBLEM: &str = "this is no WAV file of 16-bit mono samples";
    let file = Bytes::from(file);
    let u16_at = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    if file.get(..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err(PROBLEM);
    }
    let (mut at, mut rate) = (12, None);
    while let (Some(name), Some(length)) = (file.get(at..at + 4), u32_at(at + 4)) {
        let (begin, length) = (at + 8, length as usize);
        match name {
            b"fmt " if (u16_at(begin), u16_at(begin + 2), u16_at(begin + 14)) == (Some(1), Some(1), Some(16)) => {
                rate = u32_at(begin + 4).and_then(|rate| i32::try_from(rate).ok());
            }
            b"data" => {
                let end = begin.saturating_add(length).min(file.len());
                return Ok((rate.ok_or(PROBLEM)?, file.slice(begin..end)));
            }
            _ => {}
        }
        at = begin + length + length % 2;
    }
    Err(PROBLEM)
}
