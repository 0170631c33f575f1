//! Reads what is written in an image.
//!
//!     cargo run --example read_image -- page.png

use std::error::Error;

use trivium::v1::Media;

const MODEL: &str = "pp-ocrv6-small";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = read().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn read() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path] = &arguments[..] else {
        return Err("usage: read_image IMAGE".into());
    };

    let client = trivium::Client::from_env()?;
    let found = client.vision().read_text(MODEL, Media::read(path)?).await?;
    println!("{}", found.text);
    println!("{} lines", found.lines.len());
    Ok(())
}
