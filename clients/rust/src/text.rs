//! Short forms for text: prompts, and the text of answers.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::error::Error;
use crate::stream::EventStream;
use crate::v1::generation_input::Prompt;
use crate::v1::stream_generate_response::Event;
use crate::v1::{
    CallInfo, ChatMessage, ChatRole, ContentPart, Conversation, CountTokensRequest, GenerateRequest, GenerateResponse,
    GenerationInput, SamplingParameters, StreamGenerateRequest, StreamGenerateResponse, content_delta, content_part,
};

impl ChatMessage {
    /// What the person or program says that asks.
    pub fn user(text: impl Into<String>) -> Self {
        Self::of(ChatRole::User, text.into())
    }

    /// What the model said, or the beginning of what it is to say.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::of(ChatRole::Assistant, text.into())
    }

    fn of(role: ChatRole, text: String) -> Self {
        Self { role: role.into(), parts: vec![ContentPart { part: Some(content_part::Part::Text(text)) }] }
    }

    /// The text of all parts.
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| part.part.as_ref());
        texts.map(|content_part::Part::Text(text)| text.as_str()).collect()
    }
}

/// A conversation of one message of the user.
impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        vec![ChatMessage::user(text)].into()
    }
}

/// A conversation of one message of the user.
impl From<String> for Prompt {
    fn from(text: String) -> Self {
        vec![ChatMessage::user(text)].into()
    }
}

/// A conversation, oldest message first.
impl From<Vec<ChatMessage>> for Prompt {
    fn from(messages: Vec<ChatMessage>) -> Self {
        Conversation { messages, ..Conversation::default() }.into()
    }
}

impl From<Conversation> for Prompt {
    fn from(conversation: Conversation) -> Self {
        Self::Conversation(conversation)
    }
}

impl GenerationInput {
    /// What `model` is to answer: a text is a message of the user, a `Prompt::Text` is continued as it is.
    pub fn new(model: impl Into<String>, prompt: impl Into<Prompt>) -> Self {
        Self { model: model.into(), prompt: Some(prompt.into()), ..Self::default() }
    }

    /// Sets how tokens are chosen and when to stop.
    #[must_use]
    pub fn sampling(mut self, sampling: SamplingParameters) -> Self {
        self.sampling = Some(sampling);
        self
    }
}

impl From<GenerationInput> for GenerateRequest {
    fn from(input: GenerationInput) -> Self {
        Self { input: Some(input) }
    }
}

impl From<GenerationInput> for StreamGenerateRequest {
    fn from(input: GenerationInput) -> Self {
        Self { input: Some(input), stream: None }
    }
}

impl From<GenerationInput> for CountTokensRequest {
    fn from(input: GenerationInput) -> Self {
        Self { input: Some(input), include_tokens: false }
    }
}

impl GenerateResponse {
    /// The text of the first candidate.
    pub fn text(&self) -> String {
        let message = self.candidates.first().and_then(|candidate| candidate.message.as_ref());
        message.map(ChatMessage::text).unwrap_or_default()
    }
}

/// The texts of a streamed answer so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer(BTreeMap<i32, String>);

impl Answer {
    /// Adds what an event brings. Returns the piece of text, where it has one of the first candidate.
    pub fn add<'a>(&mut self, event: &'a StreamGenerateResponse) -> Option<&'a str> {
        let Some(Event::Delta(delta)) = &event.event else {
            return None;
        };
        let Some(content_delta::Delta::Text(piece)) = &delta.delta else {
            return None;
        };
        self.0.entry(delta.candidate_index).or_default().push_str(piece);
        (delta.candidate_index == 0 && !piece.is_empty()).then_some(piece)
    }

    /// The text of the first candidate so far.
    pub fn text(&self) -> &str {
        self.candidate(0)
    }

    /// The text of a candidate so far, by its index.
    pub fn candidate(&self, index: i32) -> &str {
        self.0.get(&index).map_or("", String::as_str)
    }
}

/// The text of a streamed answer, piece by piece: what concerns the first candidate.
#[derive(Debug)]
#[must_use = "dropping a stream ends its call"]
pub struct TextStream {
    events: EventStream<StreamGenerateResponse>,
    answer: Answer,
}

impl EventStream<StreamGenerateResponse> {
    /// Leaves of the events the text of the first candidate.
    pub fn into_text(self) -> TextStream {
        TextStream { events: self, answer: Answer::default() }
    }
}

impl TextStream {
    /// Returns the next piece of text, `None` after the last. May be dropped without loss before it is ready.
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Reads the stream to its end and returns the whole text.
    ///
    /// # Errors
    /// That of the stream. What had come until then is lost; read with [`next`](Self::next) to keep it.
    pub async fn read_all(mut self) -> Result<String, Error> {
        while let Some(piece) = self.next().await {
            piece?;
        }
        Ok(self.answer.text().to_owned())
    }

    /// The text so far, also after an error.
    pub fn text(&self) -> &str {
        self.answer.text()
    }

    /// What the call did: model, usage, time. Known once the stream was read to its end.
    pub fn info(&self) -> Option<&CallInfo> {
        self.events.info()
    }

    /// The request id that the call was sent with.
    pub fn request_id(&self) -> &str {
        self.events.request_id()
    }
}

impl Stream for TextStream {
    type Item = Result<String, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let me = &mut *self;
        loop {
            match ready!(Pin::new(&mut me.events).poll_next(cx)) {
                Some(Ok(event)) => {
                    if let Some(piece) = me.answer.add(&event) {
                        return Poll::Ready(Some(Ok(piece.to_owned())));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
