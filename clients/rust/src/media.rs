//! Short forms for files: images and recordings that are sent, sound that comes back.

use std::path::Path;
use std::{fs, io};

use bytes::Bytes;

use crate::v1::{
    Media, RecognitionConfig, RecognizeRequest, StreamRecognizeRequest, StreamSynthesizeRequest, SynthesisConfig,
    SynthesisInput, SynthesizeRequest, SynthesizeResponse, media, stream_recognize_request, stream_synthesize_request,
    synthesis_input,
};

impl Media {
    /// Reads a file, an image or a recording. Blocks while it does.
    ///
    /// # Errors
    /// Those of [`std::fs::read`], with the path in the message.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let content = fs::read(path).map_err(|error| naming(path, &error))?;
        Ok(content.into())
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
    /// Those of [`std::fs::write`], with the path in the message.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        fs::write(path, &self.audio).map_err(|error| naming(path, &error))
    }
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
