"""Encoders with a head of their own: cross-encoders, text classifiers, and taggers of words."""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.encoder.base import Encoder, EncoderParts, keep
from trivium_server.architectures.encoder.engine import is_short
from trivium_server.architectures.encoder.graph import EncoderItem, Output
from trivium_server.architectures.text_capabilities import (
    EncoderMeter,
    EntitySpan,
    Outcome,
    Scored,
    ScoreScale,
    Tagged,
    Truncation,
)
from trivium_server.errors import InputTooLong
from trivium_server.numerics import finite, sigmoid, softmax
from trivium_server.text.encoder_tokenizer import Keep, TokenizedText
from trivium_server.text.entities import EntityTags

Floats = NDArray[np.float32]


class CrossEncoder(Encoder[Scored]):
    """Implements text_capabilities.Reranker: reads query and document together, and has one logit for them."""

    rerank_scales = (ScoreScale.PROBABILITY, ScoreScale.LOGIT)

    def __init__(self, parts: EncoderParts, *, logits: Output) -> None:
        super().__init__(parts, [logits])
        self._logits = logits

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        scale: ScoreScale,
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        with self._engine.call(deadline_s, meter) as call:
            ids = await call.compute(lambda: self._tokenizer.token_ids([query])[0], is_short=is_short([query]))
            room = self._tokenizer.max_query_tokens
            if len(ids) > room:
                raise InputTooLong("query", len(ids), room)
            prepare = functools.partial(self._prepare, query=ids, scale=scale, kept=keep(truncation))
            items = await call.items(prepare, documents)
            return await call.all(items)

    def _prepare(
        self, documents: Sequence[str], *, query: Sequence[int], scale: ScoreScale, kept: Keep
    ) -> list[EncoderItem[Scored]]:
        finish = _scored_logits if scale is ScoreScale.LOGIT else _scored_sigmoid
        pairs = self._tokenizer.encode_pairs(query, documents, keep=kept)
        return [EncoderItem(tokens, self._logits, finish) for tokens in pairs]


class SequenceClassifier(Encoder[Scored]):
    """Implements text_capabilities.TextClassifier with the labels that it was trained with."""

    label_scale = ScoreScale.PROBABILITY

    def __init__(self, parts: EncoderParts, labels: tuple[str, ...], *, logits: Output, is_multi_label: bool) -> None:
        super().__init__(parts, [logits])
        self.labels = labels
        self._logits = logits
        self._finish = _scored_sigmoid if is_multi_label else _scored_softmax

    async def classify(
        self,
        texts: Sequence[str],
        candidates: Sequence[str],  # noqa: ARG002  it has labels of its own
        *,
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        with self._engine.call(deadline_s, meter) as call:
            items = await call.items(functools.partial(self._prepare, kept=keep(truncation)), texts)
            return await call.all(items)

    def _prepare(self, texts: Sequence[str], *, kept: Keep) -> list[EncoderItem[Scored]]:
        tokenized = self._tokenizer.encode(texts, keep=kept)
        return [EncoderItem(tokens, self._logits, self._finish) for tokens in tokenized]


class TokenTagger(Encoder[Tagged]):
    """Implements text_capabilities.EntityExtractor. A word has the label of its first token."""

    def __init__(self, parts: EncoderParts, labels: tuple[str, ...], *, logits: Output) -> None:
        super().__init__(parts, [logits])
        self._tags = EntityTags(labels)
        self._logits = logits
        self.entity_labels = self._tags.entity_labels

    async def extract(
        self, texts: Sequence[str], *, truncation: Truncation, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[Tagged]]:
        with self._engine.call(deadline_s, meter) as call:
            items = await call.items(functools.partial(self._prepare, kept=keep(truncation)), texts)
            return await call.all(items)

    def _prepare(self, texts: Sequence[str], *, kept: Keep) -> list[EncoderItem[Tagged]]:
        tokenized = self._tokenizer.encode_words(texts, keep=kept)
        return [EncoderItem(tokens, self._logits, self._finish) for tokens in tokenized]

    def _finish(self, logits: Floats, tokens: TokenizedText) -> Tagged:
        found = self._tags.entities(tokens.words, softmax(logits))
        return Tagged(
            entities=tuple(
                EntitySpan(label=each.label, start=each.start, end=each.end, score=each.score) for each in found
            ),
            input_tokens=len(tokens.ids),
            truncated=tokens.truncated,
        )


def _scored_logits(logits: Floats, tokens: TokenizedText) -> Scored:
    return Scored(scores=finite(logits.copy()), input_tokens=len(tokens.ids), truncated=tokens.truncated)


def _scored_sigmoid(logits: Floats, tokens: TokenizedText) -> Scored:
    return Scored(scores=sigmoid(logits), input_tokens=len(tokens.ids), truncated=tokens.truncated)


def _scored_softmax(logits: Floats, tokens: TokenizedText) -> Scored:
    return Scored(scores=softmax(logits), input_tokens=len(tokens.ids), truncated=tokens.truncated)
