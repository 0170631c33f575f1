"""What text encoders can do, as rpc/ sees it: one Protocol per capability, with its request and result types.

Like `capabilities`, for the models that read a text in one pass. Every call takes many texts and answers each by
itself: one that fails has an error in the place of its result. No protobuf, no onnxruntime.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trivium_server.errors import TriviumError


class Purpose(Enum):
    """Names as in trivium.v1.EmbedPurpose, without the prefix."""

    QUERY = "QUERY"
    DOCUMENT = "DOCUMENT"
    SIMILARITY = "SIMILARITY"
    CLASSIFICATION = "CLASSIFICATION"
    CLUSTERING = "CLUSTERING"


class VectorKind(Enum):
    """Names as in trivium.v1.EmbeddingKind, without the prefix."""

    DENSE = "DENSE"
    SPARSE = "SPARSE"
    PER_TOKEN = "PER_TOKEN"  # noqa: S105  no password


class Truncation(Enum):
    """Names as in trivium.v1.TruncationPolicy, without the prefix."""

    ERROR = "ERROR"
    KEEP_START = "KEEP_START"
    KEEP_END = "KEEP_END"


class ScoreScale(Enum):
    """Names as in trivium.v1.ScoreScale, without the prefix."""

    PROBABILITY = "PROBABILITY"
    LOGIT = "LOGIT"
    COSINE = "COSINE"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPrompt:
    """A text that a model wants before what it embeds."""

    name: str
    text: str
    purposes: frozenset[Purpose]
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingInfo:
    """What a model's vectors are like. Dimensions largest first, the model's own included; the default kind first."""

    dimensions: int
    supported_dimensions: tuple[int, ...]
    kinds: tuple[VectorKind, ...]
    prompts: tuple[EmbeddingPrompt, ...]

    def prompt_for(self, purpose: Purpose | None) -> str:
        """Returns the text of the prompt for a purpose, else of the default prompt; empty where there is neither."""
        fitting = [prompt for prompt in self.prompts if purpose in prompt.purposes]
        default = [prompt for prompt in self.prompts if prompt.is_default]
        return next((prompt.text for prompt in (*fitting, *default)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingOptions:
    """How to embed, already checked against `EmbeddingInfo`.

    prompt: put before every text. dimensions: None for all. Neither it nor normalize applies to sparse vectors.
    """

    kind: VectorKind
    prompt: str = ""
    dimensions: int | None = None
    normalize: bool = True
    truncation: Truncation = Truncation.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseWeights:
    """Weights of tokens other than 0: ids ascending, int64, and as many weights, float32."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The vectors of one text: shape (dimensions,), or (tokens, dimensions) per token, float32; or sparse weights.

    input_tokens counts what the model read, prompt and special tokens included.
    """

    vectors: NDArray[np.float32] | SparseWeights
    input_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a model says of one text: one score for a document, one per label for a text; shape (n,), float32."""

    scores: NDArray[np.float32]
    input_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySpan:
    """A name in a text: code points [start, end), and the mean probability of its label."""

    label: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """The entities of one text, in its order, without overlap."""

    entities: tuple[EntitySpan, ...]
    input_tokens: int
    truncated: bool


T = TypeVar("T")
# What became of one text. Field paths in errors are inside the item: `text`.
Outcome: TypeAlias = T | TriviumError


@dataclass(slots=True)
class EncoderMeter:
    """What a call has used so far, filled in by the model as it goes. For the event loop alone. Durations in seconds.

    queue_s: until its first text ran. inference_s: from then to its last result. compute_s: its share of the runners'
    time.
    """

    input_tokens: int = 0
    input_characters: int = 0
    preprocess_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0
    compute_s: float = 0.0


class EncoderModel(Protocol):
    """What all text encoders have. Methods may be called concurrently from the event loop.

    All calls raise QueueFull, QueueTimeout, DeadlineExceeded and CallAborted for the call as a whole; deadline_s is
    absolute, on the clock of time.monotonic(). Cancelling a call drops what still waits of it.
    """

    @property
    def max_input_tokens(self) -> int:
        """Tokens of one text, prompt and special tokens included; of query and document together for a pair."""
        ...

    @property
    def execution_provider(self) -> str: ...


@runtime_checkable
class TextEmbedder(EncoderModel, Protocol):
    """Turns texts into vectors."""

    @property
    def embedding_info(self) -> EmbeddingInfo: ...

    async def embed(
        self, texts: Sequence[str], options: EmbeddingOptions, *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[Embedded]]:
        """Returns what became of each text, in their order."""
        ...

    def embed_stream(
        self, groups: AsyncIterable[Sequence[str]], options: EmbeddingOptions, *, deadline_s: float, meter: EncoderMeter
    ) -> AsyncGenerator[Sequence[Outcome[Embedded]]]:
        """Yields what became of the texts, in their order, grouped as they become ready; no group is empty.

        Reads groups only while a bounded number of texts is under way, results that were not taken included. What
        `groups` raises ends the stream. Wrap it in contextlib.aclosing.
        """
        ...


@runtime_checkable
class Reranker(EncoderModel, Protocol):
    """Scores documents by how well each answers a query."""

    @property
    def rerank_scales(self) -> tuple[ScoreScale, ...]:
        """The scales that it can give, the default one first."""
        ...

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
        """Returns one score for each document, in their order.

        Raises InputTooLong with the field `query` when it leaves no room for a document.
        """
        ...


@runtime_checkable
class TextClassifier(EncoderModel, Protocol):
    """Scores labels for texts."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it was trained with; empty for a model that takes any."""
        ...

    @property
    def label_scale(self) -> ScoreScale: ...

    async def classify(
        self,
        texts: Sequence[str],
        candidates: Sequence[str],
        *,
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        """Returns the scores of each text, one per label, in the order of `labels`, or else of `candidates`.

        candidates: what is compared with the texts, for a model that takes any labels; else empty. One that is too long
        raises InputTooLong with the field `candidate_labels[i]`.
        """
        ...


@runtime_checkable
class EntityExtractor(EncoderModel, Protocol):
    """Finds names in texts."""

    @property
    def entity_labels(self) -> tuple[str, ...]: ...

    async def extract(
        self, texts: Sequence[str], *, truncation: Truncation, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[Tagged]]:
        """Returns the entities of each text, in their order."""
        ...


@runtime_checkable
class LanguageDetector(Protocol):
    """Tells in which language texts are written. Called like an EncoderModel, but counts no tokens."""

    @property
    def execution_provider(self) -> str:
        """Empty where the model is no ONNX graph."""
        ...

    @property
    def language_codes(self) -> tuple[str, ...]:
        """The languages that it knows, as BCP 47 codes, all different; `zxx` stands for no language."""
        ...

    async def detect(
        self, texts: Sequence[str], *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[NDArray[np.float32]]]:
        """Returns how likely each text is in each language, in the order of `language_codes`.

        Probabilities of a text add up to 1. Reads at most its first 8192 bytes in UTF-8, up to the last whole
        character. Raises as the methods of an EncoderModel do.
        """
        ...
