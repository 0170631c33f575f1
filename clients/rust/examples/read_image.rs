//! Reads what is written in an image.
//!
//!     cargo run --example read_image -- page.png

use trivium::v1::vision_feature::Feature;
use trivium::v1::vision_result::Outcome;
use trivium::v1::{AnalyzeImageRequest, Media, TextRecognitionFeature, VisionFeature};

const MODEL: &str = "pp-ocrv6-small";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: read_image IMAGE")?;
    let text = VisionFeature::new(MODEL, Feature::TextRecognition(TextRecognitionFeature::default()));
    let request = AnalyzeImageRequest::new(Media::read(path)?, [text]);

    let client = trivium::Client::from_env()?;
    let response = client.vision().analyze_image(request).await?;
    for result in response.results {
        match result.outcome {
            Some(Outcome::TextRecognition(found)) => {
                println!("{}", found.text);
                println!("{} lines", found.lines.len());
            }
            Some(Outcome::Error(status)) => return Err(trivium::Error::from(status).into()),
            _ => return Err("the server answered what was not asked for".into()),
        }
    }
    Ok(())
}
