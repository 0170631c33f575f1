//! Short forms for files: images and recordings that are sent, sound that comes back.

use std::path::Path;
use std::{fs, io};

use bytes::Bytes;

use crate::v1::vision_feature::Feature;
use crate::v1::{
    AnalyzeImageRequest, Media, RecognitionConfig, RecognizeRequest, StreamRecognizeRequest, StreamSynthesizeRequest,
    SynthesisConfig, SynthesisInput, SynthesizeRequest, SynthesizeResponse, VisionFeature, media,
    stream_recognize_request, stream_synthesize_request, synthesis_input,
};

impl Media {
    /// Reads a file, an image or a recording. Blocks while it does.
    ///
    /// # Errors
    /// Those of [`std::fs::read`].
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(fs::read(path)?.into())
    }
}

/// A file's bytes. Its content says what it is.
impl From<Bytes> for Media {
    fn from(content: Bytes) -> Self {
        Self { source: Some(media::Source::Content(content)), mime_type: String::new() }
    }
}

/// A file's bytes. Its content says what it is.
impl From<Vec<u8>> for Media {
    fn from(content: Vec<u8>) -> Self {
        Bytes::from(content).into()
    }
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

impl RecognizeRequest {
    /// Asks what is said in a recording.
    pub fn new(model: impl Into<String>, audio: impl Into<Media>) -> Self {
        let config = RecognitionConfig { model: model.into(), ..RecognitionConfig::default() };
        Self { config: Some(config), audio: Some(audio.into()), ..Self::default() }
    }
}

impl SynthesizeRequest {
    /// Asks for a text as speech, in a WAV file.
    pub fn new(model: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            config: Some(SynthesisConfig { model: model.into(), ..SynthesisConfig::default() }),
            input: Some(SynthesisInput { input: Some(synthesis_input::Input::Text(text.into())) }),
        }
    }
}

impl SynthesizeResponse {
    /// Writes the sound to a file, in the format that it has. Blocks while it does.
    ///
    /// # Errors
    /// Those of [`std::fs::write`].
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        fs::write(path, &self.audio)
    }
}

impl From<stream_recognize_request::Request> for StreamRecognizeRequest {
    fn from(request: stream_recognize_request::Request) -> Self {
        Self { request: Some(request) }
    }
}

impl From<stream_synthesize_request::Request> for StreamSynthesizeRequest {
    fn from(request: stream_synthesize_request::Request) -> Self {
        Self { request: Some(request) }
    }
}
