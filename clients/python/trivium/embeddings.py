"""What EmbeddingService answers with. All immutable; `raw` is the Protobuf message.

An item that could not be processed carries its own `error`, and the others their results. `response.failed` has those
that failed, and `response.raise_for_failed()` turns them into one ItemsFailed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypedDict, TypeVar

from google.protobuf.descriptor import EnumDescriptor

from trivium._error_base import TriviumError
from trivium._failed_items import ItemsFailed, raise_for_failed
from trivium.call_info import CallInfo
from trivium.v1 import common_pb2, embedding_pb2

if TYPE_CHECKING:  # numpy is imported where vectors are made, which keeps it out of the import of this package
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CompareTextsResponse",
    "EmbedOptions",
    "EmbedPurpose",
    "EmbedResponse",
    "EmbedResult",
    "EmbeddingKind",
    "FailedDocument",
    "ItemsFailed",
    "PackedVector",
    "RankedDocument",
    "RerankDocument",
    "RerankResponse",
    "ScoreScale",
    "SparseVector",
    "TextComparison",
    "TruncationPolicy",
    "VectorEncoding",
]


class EmbedPurpose(StrEnum):
    """What vectors are for; it chooses the model's prompt for that purpose, if it has one."""

    QUERY = "QUERY"
    DOCUMENT = "DOCUMENT"
    SIMILARITY = "SIMILARITY"
    CLASSIFICATION = "CLASSIFICATION"
    CLUSTERING = "CLUSTERING"


class EmbeddingKind(StrEnum):
    """Kinds of vectors: one for the text, weights of the vocabulary's tokens, or one for each token."""

    DENSE = "DENSE"
    SPARSE = "SPARSE"
    PER_TOKEN = "PER_TOKEN"  # noqa: S105  # a token of text, not a password


class VectorEncoding(StrEnum):
    """How the components of a vector are sent.

    FLOAT_LIST and FLOAT32_BYTES are exact, 4 bytes for each component. FLOAT16_BYTES: 2 bytes, an error of at most
    2^-11 of the component. INT8_BYTES: 1 byte, an error of at most 1/254 of the largest component. BINARY_BYTES: 1 bit,
    the sign.
    """

    FLOAT_LIST = "FLOAT_LIST"
    FLOAT32_BYTES = "FLOAT32_BYTES"
    FLOAT16_BYTES = "FLOAT16_BYTES"
    INT8_BYTES = "INT8_BYTES"
    BINARY_BYTES = "BINARY_BYTES"


class TruncationPolicy(StrEnum):
    """What to do with a text of more tokens than the model allows: fail, or keep its start or end."""

    ERROR = "ERROR"
    KEEP_START = "KEEP_START"
    KEEP_END = "KEEP_END"


class ScoreScale(StrEnum):
    """What a score means; higher is better on each. UNSPECIFIED: a scale that this version does not know."""

    UNSPECIFIED = "UNSPECIFIED"
    PROBABILITY = "PROBABILITY"
    LOGIT = "LOGIT"
    COSINE = "COSINE"


class EmbedOptions(TypedDict, total=False):
    """How to embed. Names may be given as text in any case: purpose="query", encoding="int8".

    purpose: what the vectors are for; see EmbeddingPrompt.
    dimensions: cut each vector to its first components, one of Model.embedding.supported_dimensions.
    normalize: divide each vector by its length, after the cut; the default is True.
    truncation: what to do with a text that is too long; the default is ERROR, and the text fails alone.
    encoding: how the vectors are sent; the default is FLOAT32_BYTES. Vectors are decoded to float32 all the same, from
        BINARY_BYTES to 1 and -1; EmbedResult.packed is what was sent.
    prompt_name: the name of the prompt to put before each text, one of Model.embedding.prompts, instead of `purpose`.
    """

    purpose: EmbedPurpose | str | None
    dimensions: int | None
    normalize: bool | None
    truncation: TruncationPolicy | str | None
    encoding: VectorEncoding | str | None
    prompt_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedVector:
    """A vector as it was sent. scale is what to multiply each byte of INT8_BYTES by, None for other encodings."""

    data: bytes = field(repr=False)
    encoding: VectorEncoding
    dimensions: int
    scale: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseVector:
    """A vector by its components other than 0: ids of the model's vocabulary, ascending, and as many values."""

    indices: "NDArray[np.uint32]"
    values: "NDArray[np.float32]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbedResult:
    """What became of one text. Exactly one of vector, sparse and error is there.

    index: the place of the text among all that were given, from 0. item_id: the id that it was given with, or "".
    vector: float32, shape (dimensions,), or (tokens, dimensions) for EmbeddingKind.PER_TOKEN; not writable.
    packed: the vector as it was sent, where that was as bytes, one for each token for PER_TOKEN.
    input_tokens: tokens that the model read, its prompt included, after the cut where `truncated`; 0 after a failure.
    """

    index: int
    item_id: str
    vector: "NDArray[np.float32] | None"
    sparse: SparseVector | None
    packed: tuple[PackedVector, ...] = field(repr=False)
    error: TriviumError | None
    input_tokens: int
    truncated: bool
    raw: embedding_pb2.EmbedResult = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbedResponse:
    """One result for each text, in their order.

    info: what the call did. Where the texts took a stream that was sent again after a lost connection, it is about the
    last part only, and None where nothing but the end was lost; input_tokens counts all.
    """

    results: tuple[EmbedResult, ...]
    info: CallInfo | None

    @property
    def input_tokens(self) -> int:
        """Tokens of all texts that did not fail."""
        return sum(result.input_tokens for result in self.results)

    @property
    def failed(self) -> tuple[EmbedResult, ...]:
        """The results that carry an error."""
        return tuple(result for result in self.results if result.error is not None)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where an item failed."""
        raise_for_failed(self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankDocument:
    """A document to be ranked, with a name of your own that its result has too."""

    text: str
    document_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedDocument:
    """A document that was scored. index is its place among the documents of the call, from 0; text is the document."""

    index: int
    document_id: str
    text: str
    score: float
    input_tokens: int
    truncated: bool
    raw: embedding_pb2.RankedDocument = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDocument:
    """A document that could not be scored, and why. index is its place among the documents of the call, from 0."""

    index: int
    document_id: str
    error: TriviumError
    raw: embedding_pb2.FailedDocument = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResponse:
    """The documents, best first, and those that failed in their order."""

    results: tuple[RankedDocument, ...]
    failed: tuple[FailedDocument, ...]
    score_scale: ScoreScale
    info: CallInfo
    raw: embedding_pb2.RerankResponse = field(repr=False, compare=False)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where a document failed."""
        raise_for_failed(self.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextComparison:
    """The comparison of the source with one target; similarity is the cosine, -1 to 1, None where `error` says why."""

    index: int
    similarity: float | None
    error: TriviumError | None
    input_tokens: int
    truncated: bool
    raw: embedding_pb2.TextComparison = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareTextsResponse:
    """One comparison for each target, in their order."""

    results: tuple[TextComparison, ...]
    source_truncated: bool
    info: CallInfo
    raw: embedding_pb2.CompareTextsResponse = field(repr=False, compare=False)

    @property
    def failed(self) -> tuple[TextComparison, ...]:
        """The comparisons that carry an error."""
        return tuple(result for result in self.results if result.error is not None)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where a target failed."""
        raise_for_failed(self.results)


_EnumT = TypeVar("_EnumT", bound=StrEnum)


def known_values(
    kind: type[_EnumT], prefix: str, declared: EnumDescriptor, values: Iterable[int]
) -> tuple[_EnumT, ...]:
    """Returns the values of a Protobuf enum that this version knows."""
    names = (
        declared.values_by_number[value].name.removeprefix(prefix)
        for value in values
        if value in declared.values_by_number
    )
    return tuple(kind(name) for name in names if name in kind.__members__)


def parse_scale(value: int) -> ScoreScale:
    """Wraps the value; an unknown one becomes UNSPECIFIED."""
    declared = common_pb2.ScoreScale.DESCRIPTOR
    return next(iter(known_values(ScoreScale, "SCORE_SCALE_", declared, [value])), ScoreScale.UNSPECIFIED)
