//! Short forms for one question about one image.

use tonic::Code;

use crate::client::Vision;
use crate::error::Error;
use crate::unary::UnaryCall;
use crate::v1::vision_feature::Feature;
use crate::v1::vision_result::Outcome;
use crate::v1::{
    AnalyzeImageRequest, AnalyzeImageResponse, DetectedFaces, DetectedObjects, FaceDetectionFeature,
    ImageClassificationFeature, ImageLabels, Media, ObjectDetectionFeature, RecognizedText, TextRecognitionFeature,
    VisionFeature,
};

/// Short forms. [`analyze_image`](Vision::analyze_image) asks several things at once, and with options.
///
/// ```no_run
/// # async fn example(client: trivium::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let page = trivium::v1::Media::read("page.png")?;
/// let found = client.vision().read_text("pp-ocrv6-small", page).await?;
/// println!("{}", found.text);
/// # Ok(())
/// # }
/// ```
impl Vision {
    /// Reads what is written in an image: all of it as `text`, and its lines with their places.
    pub fn read_text(
        &self,
        model: impl Into<String>,
        image: impl Into<Media>,
    ) -> UnaryCall<AnalyzeImageResponse, RecognizedText> {
        self.ask(model, image, Feature::TextRecognition(TextRecognitionFeature::default()))
    }

    /// Tells what an image shows as a whole: labels, best first.
    pub fn classify(
        &self,
        model: impl Into<String>,
        image: impl Into<Media>,
    ) -> UnaryCall<AnalyzeImageResponse, ImageLabels> {
        self.ask(model, image, Feature::Classification(ImageClassificationFeature::default()))
    }

    /// Tells which things are where, best first.
    pub fn detect(
        &self,
        model: impl Into<String>,
        image: impl Into<Media>,
    ) -> UnaryCall<AnalyzeImageResponse, DetectedObjects> {
        self.ask(model, image, Feature::Detection(ObjectDetectionFeature::default()))
    }

    /// Tells where faces are, best first.
    pub fn faces(
        &self,
        model: impl Into<String>,
        image: impl Into<Media>,
    ) -> UnaryCall<AnalyzeImageResponse, DetectedFaces> {
        self.ask(model, image, Feature::Faces(FaceDetectionFeature::default()))
    }

    fn ask<T: Finding>(
        &self,
        model: impl Into<String>,
        image: impl Into<Media>,
        feature: Feature,
    ) -> UnaryCall<AnalyzeImageResponse, T> {
        let request = AnalyzeImageRequest::new(image, [VisionFeature::new(model, feature)]);
        self.analyze_image(request).finish_with(only)
    }
}

/// What comes of one feature. The error is that of the feature, which was the only one.
fn only<T: Finding>(response: AnalyzeImageResponse) -> Result<T, Error> {
    match response.results.into_iter().next().and_then(|result| result.outcome) {
        Some(Outcome::Error(status)) => Err(status.into()),
        outcome => outcome
            .and_then(T::of)
            .ok_or_else(|| Error::new(Code::DataLoss, "the server answered another question than was asked")),
    }
}

/// What a feature finds.
trait Finding: Sized + 'static {
    /// Returns `None` for what another feature finds.
    fn of(outcome: Outcome) -> Option<Self>;
}

macro_rules! findings {
    ($($variant:ident => $finding:ident,)*) => {
        $(impl Finding for $finding {
            fn of(outcome: Outcome) -> Option<Self> {
                if let Outcome::$variant(found) = outcome { Some(found) } else { None }
            }
        })*
    };
}

findings! {
    TextRecognition => RecognizedText,
    Classification => ImageLabels,
    Detection => DetectedObjects,
    Faces => DetectedFaces,
}

impl AnalyzeImageRequest {
    /// Asks for features of an image, which is sent and decoded once for all of them.
    pub fn new(image: impl Into<Media>, features: impl IntoIterator<Item = VisionFeature>) -> Self {
        Self { image: Some(image.into()), features: features.into_iter().collect() }
    }
}

impl VisionFeature {
    /// Asks a model for what `feature` says.
    pub fn new(model: impl Into<String>, feature: Feature) -> Self {
        Self { model: model.into(), feature: Some(feature) }
    }
}
