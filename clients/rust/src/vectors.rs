//! Short forms for texts and their vectors.

use crate::error::Error;
use crate::v1::embed_result::Outcome;
use crate::v1::embedding::Vector;
use crate::v1::{CompareTextsRequest, EmbedConfig, EmbedItem, EmbedRequest, EmbedResponse, EmbedResult, embed_item};

impl EmbedRequest {
    /// Asks for the vectors of texts, as the model gives them by default.
    pub fn new<T: Into<String>>(model: impl Into<String>, texts: impl IntoIterator<Item = T>) -> Self {
        Self {
            config: Some(EmbedConfig { model: model.into(), ..EmbedConfig::default() }),
            items: texts.into_iter().map(EmbedItem::new).collect(),
        }
    }
}

impl EmbedItem {
    /// A text without a name of its own.
    pub fn new(text: impl Into<String>) -> Self {
        Self { item_id: String::new(), input: Some(embed_item::Input::Text(text.into())) }
    }
}

impl EmbedResponse {
    /// Returns the vectors in the order of the texts.
    ///
    /// # Errors
    /// That of the first text that failed; and [`Kind::InvalidCall`](crate::Kind::InvalidCall) where the request
    /// asked for vectors of another kind than dense ones, or for them as bytes.
    pub fn into_vectors(self) -> Result<Vec<Vec<f32>>, Error> {
        self.results.into_iter().map(EmbedResult::into_vector).collect()
    }
}

impl EmbedResult {
    /// Returns the vector of this text.
    ///
    /// # Errors
    /// As [`EmbedResponse::into_vectors`].
    pub fn into_vector(self) -> Result<Vec<f32>, Error> {
        match self.outcome {
            Some(Outcome::Error(status)) => Err(status.into()),
            Some(Outcome::Embedding(embedding)) => match embedding.vector {
                Some(Vector::Dense(vector)) => Ok(vector.values),
                _ => Err(Error::invalid("the vector is not a dense one as a list of floats")),
            },
            None => Err(Error::invalid("the result has nothing that this version knows")),
        }
    }
}

impl CompareTextsRequest {
    /// Asks how close each target is to the source.
    pub fn new<T: Into<String>>(
        model: impl Into<String>,
        source: impl Into<String>,
        targets: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            model: model.into(),
            source: source.into(),
            targets: targets.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}
