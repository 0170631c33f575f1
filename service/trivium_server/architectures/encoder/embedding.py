"""Sentence encoders, which also rank and classify by comparing vectors, and encoders of sparse vectors (SPLADE)."""

import abc
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterable, Sequence

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.encoder.base import Encoder, EncoderParts, keep, raised_for
from trivium_server.architectures.encoder.engine import EncoderCall
from trivium_server.architectures.encoder.graph import EncoderItem, Output
from trivium_server.architectures.text_capabilities import (
    Embedded,
    EmbeddingInfo,
    EmbeddingOptions,
    EncoderMeter,
    Outcome,
    Purpose,
    Scored,
    ScoreScale,
    SparseWeights,
    Truncation,
    VectorKind,
)
from trivium_server.errors import TriviumError
from trivium_server.text.encoder_tokenizer import TokenizedText
from trivium_server.text.pooling import Pooling, pooled, shaped, token_weights

Floats = NDArray[np.float32]


class _Embedder(Encoder[Embedded], abc.ABC):
    """What dense and sparse encoders share: texts through the engine, each with the call's options."""

    embedding_info: EmbeddingInfo

    async def embed(
        self, texts: Sequence[str], options: EmbeddingOptions, *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[Embedded]]:
        with self._engine.call(deadline_s, meter) as call:
            items = await call.items(functools.partial(self._prepare, options=options), texts)
            return await call.all(items)

    async def embed_stream(
        self, groups: AsyncIterable[Sequence[str]], options: EmbeddingOptions, *, deadline_s: float, meter: EncoderMeter
    ) -> AsyncGenerator[Sequence[Outcome[Embedded]]]:
        prepare = functools.partial(self._prepare, options=options)
        with self._engine.call(deadline_s, meter) as call:
            async with contextlib.aclosing(call.stream(prepare, groups)) as results:
                async for ready in results:
                    yield ready

    @abc.abstractmethod
    def _prepare(self, texts: Sequence[str], *, options: EmbeddingOptions) -> list[EncoderItem[Embedded]]:
        """Tokenizes texts. For any thread."""


class SentenceEncoder(_Embedder):
    """Implements text_capabilities.TextEmbedder, and by similarity Reranker and TextClassifier, with scale COSINE."""

    labels: tuple[str, ...] = ()
    label_scale = ScoreScale.COSINE
    rerank_scales = (ScoreScale.COSINE,)

    def __init__(
        self,
        parts: EncoderParts,
        info: EmbeddingInfo,
        *,
        sentence: Output,
        states: Output | None,
        pooling: Pooling,
        is_normalized: bool,
    ) -> None:
        """sentence: what vectors are made from, by pooling where it is per token. states: the token vectors.

        is_normalized: the model's own vectors have length 1.
        """
        super().__init__(parts, list(dict.fromkeys(output for output in (sentence, states) if output is not None)))
        self.embedding_info = info
        self._sentence = sentence
        self._states = states
        self._pooling = pooling
        self._is_normalized = is_normalized

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        scale: ScoreScale,  # noqa: ARG002  there is one
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        with self._engine.call(deadline_s, meter) as call:
            asked = await self._items(call, [query], Purpose.QUERY, Truncation.ERROR)
            raised_for(asked[0].tokens, "query")
            items = await self._items(call, documents, Purpose.DOCUMENT, truncation)
            outcomes = await call.all(asked + items)
        return _compared(outcomes[1:], np.stack([_vector(outcomes[0], "query")]))

    async def classify(
        self,
        texts: Sequence[str],
        candidates: Sequence[str],
        *,
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        fields = [f"candidate_labels[{index}]" for index in range(len(candidates))]
        with self._engine.call(deadline_s, meter) as call:
            labels = await self._items(call, candidates, Purpose.CLASSIFICATION, Truncation.ERROR)
            for label, field in zip(labels, fields, strict=True):
                raised_for(label.tokens, field)
            items = await self._items(call, texts, Purpose.CLASSIFICATION, truncation)
            outcomes = await call.all(labels + items)
        vectors = [_vector(outcome, field) for outcome, field in zip(outcomes, fields, strict=False)]
        return _compared(outcomes[len(labels) :], np.stack(vectors))

    async def _items(
        self, call: EncoderCall[Embedded], texts: Sequence[str], purpose: Purpose, truncation: Truncation
    ) -> list[EncoderItem[Embedded]]:
        prompt = self.embedding_info.prompt_for(purpose)
        options = EmbeddingOptions(kind=VectorKind.DENSE, prompt=prompt, truncation=truncation)
        return await call.items(functools.partial(self._prepare, options=options), texts)

    def _prepare(self, texts: Sequence[str], *, options: EmbeddingOptions) -> list[EncoderItem[Embedded]]:
        finish = functools.partial(self._finish, options=options)
        output = self._states if options.kind is VectorKind.PER_TOKEN else self._sentence
        assert output is not None  # it is not among the kinds otherwise
        tokenized = self._tokenizer.encode(texts, prompt=options.prompt, keep=keep(options.truncation))
        return [EncoderItem(tokens, output, finish) for tokens in tokenized]

    def _finish(self, output: Floats, tokens: TokenizedText, *, options: EmbeddingOptions) -> Embedded:
        vectors = output
        if options.kind is VectorKind.DENSE:
            if self._sentence.is_per_token:
                vectors = pooled(output, self._pooling)
            if self._is_normalized and not options.normalize:
                vectors = shaped(vectors, dimensions=None, normalize=True)
        return Embedded(
            vectors=shaped(vectors, dimensions=options.dimensions, normalize=options.normalize),
            input_tokens=len(tokens.ids),
            truncated=tokens.truncated,
        )


class SparseEncoder(_Embedder):
    """Implements text_capabilities.TextEmbedder with weights of the vocabulary's tokens."""

    def __init__(self, parts: EncoderParts, info: EmbeddingInfo, *, logits: Output) -> None:
        super().__init__(parts, [logits])
        self.embedding_info = info
        self._logits = logits

    def _prepare(self, texts: Sequence[str], *, options: EmbeddingOptions) -> list[EncoderItem[Embedded]]:
        tokenized = self._tokenizer.encode(texts, prompt=options.prompt, keep=keep(options.truncation))
        return [EncoderItem(tokens, self._logits, _finish_sparse) for tokens in tokenized]


def _finish_sparse(logits: Floats, tokens: TokenizedText) -> Embedded:
    ids, weights = token_weights(logits)
    return Embedded(
        vectors=SparseWeights(ids=ids, weights=weights), input_tokens=len(tokens.ids), truncated=tokens.truncated
    )


def _vector(outcome: Outcome[Embedded], field: str) -> Floats:
    embedded = raised_for(outcome, field)
    assert isinstance(embedded.vectors, np.ndarray)
    return embedded.vectors


def _compared(outcomes: Sequence[Outcome[Embedded]], others: Floats) -> list[Outcome[Scored]]:
    """Scores each text with its cosine to each of the others, shape (n, dimensions); all have length 1."""
    scored: list[Outcome[Scored]] = []
    for outcome in outcomes:
        if isinstance(outcome, TriviumError):
            scored.append(outcome)
            continue
        # Not a product of matrices: its sums depend on how many texts there are.
        cosines = (others * _vector(outcome, "text")).sum(axis=1)
        scored.append(
            Scored(scores=np.clip(cosines, -1, 1), input_tokens=outcome.input_tokens, truncated=outcome.truncated)
        )
    return scored
