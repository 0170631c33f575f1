//! Tells which of some texts is closest to the first one.
//!
//!     cargo run --example embed_compare -- "A cat sleeps." "A kitten naps." "Shares fell."

use std::error::Error;

use trivium::v1::EmbedRequest;

const MODEL: &str = "all-minilm-l6-v2";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = compare().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn compare() -> Result<(), Box<dyn Error>> {
    let mut texts: Vec<String> = std::env::args().skip(1).collect();
    match texts.len() {
        0 => texts = ["A cat sleeps.", "A kitten naps.", "Shares fell."].map(String::from).to_vec(),
        1 => return Err("usage: embed_compare [TEXT OTHER...]".into()),
        _ => {}
    }

    let client = trivium::Client::from_env()?;
    let vectors = client.embeddings().embed(EmbedRequest::new(MODEL, texts.clone())).await?.into_vectors()?;
    println!("{} vectors of {} numbers", vectors.len(), vectors[0].len());

    // vectors have length 1 unless asked for otherwise, so this is the cosine of the angle between them
    let cosine = |vector: &[f32]| vectors[0].iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
    let mut others: Vec<_> = texts[1..].iter().zip(&vectors[1..]).map(|(text, it)| (cosine(it), text)).collect();
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("closest to {:?}:", texts[0]);
    for (cosine, text) in others {
        println!("{cosine:7.3}  {text}");
    }
    Ok(())
}
