"""What TextAnalysisService answers with. All immutable; `raw` is the Protobuf message.

An item that could not be processed carries its own `error`, and the others their results. `response.failed` has those
that failed, and `response.raise_for_failed()` turns them into one ItemsFailed.
"""

from dataclasses import dataclass, field

from trivium._error_base import TriviumError
from trivium._failed_items import raise_for_failed
from trivium.call_info import CallInfo
from trivium.embeddings import ScoreScale
from trivium.v1 import analysis_pb2

__all__ = [
    "ClassifyTextResponse",
    "ClassifyTextResult",
    "DetectLanguageResponse",
    "DetectLanguageResult",
    "Entity",
    "ExtractEntitiesResponse",
    "ExtractEntitiesResult",
    "LabelScore",
    "LanguageScore",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """A label and how well it fits. class_index: its place among the labels of the call, or else of the model."""

    label: str
    score: float
    class_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyTextResult:
    """The labels of one text, highest score first; none where no label reaches min_score, or where it failed."""

    index: int
    item_id: str
    labels: tuple[LabelScore, ...]
    error: TriviumError | None
    input_tokens: int
    truncated: bool
    raw: analysis_pb2.ClassifyTextResult = field(repr=False, compare=False)

    @property
    def best(self) -> LabelScore | None:
        """The label that fits best."""
        return self.labels[0] if self.labels else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyTextResponse:
    """One result for each text, in their order."""

    results: tuple[ClassifyTextResult, ...]
    score_scale: ScoreScale
    info: CallInfo
    raw: analysis_pb2.ClassifyTextResponse = field(repr=False, compare=False)

    @property
    def failed(self) -> tuple[ClassifyTextResult, ...]:
        """The results that carry an error."""
        return tuple(result for result in self.results if result.error is not None)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where an item failed."""
        raise_for_failed(self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A name in a text: text[start:end], what it names, and the probability of that, 0 to 1."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractEntitiesResult:
    """The entities of one text, in its order; none where nothing was found, or where it failed."""

    index: int
    item_id: str
    entities: tuple[Entity, ...]
    error: TriviumError | None
    input_tokens: int
    truncated: bool
    raw: analysis_pb2.ExtractEntitiesResult = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractEntitiesResponse:
    """One result for each text, in their order."""

    results: tuple[ExtractEntitiesResult, ...]
    info: CallInfo
    raw: analysis_pb2.ExtractEntitiesResponse = field(repr=False, compare=False)

    @property
    def failed(self) -> tuple[ExtractEntitiesResult, ...]:
        """The results that carry an error."""
        return tuple(result for result in self.results if result.error is not None)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where an item failed."""
        raise_for_failed(self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageScore:
    """A language as a BCP-47 code, `zxx` where the text is no language, and how likely it is, 0 to 1."""

    language_code: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectLanguageResult:
    """The languages that one text may be written in, likeliest first; none below min_score, or where it failed."""

    index: int
    item_id: str
    languages: tuple[LanguageScore, ...]
    error: TriviumError | None
    raw: analysis_pb2.DetectLanguageResult = field(repr=False, compare=False)

    @property
    def best(self) -> LanguageScore | None:
        """The likeliest language."""
        return self.languages[0] if self.languages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectLanguageResponse:
    """One result for each text, in their order."""

    results: tuple[DetectLanguageResult, ...]
    info: CallInfo
    raw: analysis_pb2.DetectLanguageResponse = field(repr=False, compare=False)

    @property
    def failed(self) -> tuple[DetectLanguageResult, ...]:
        """The results that carry an error."""
        return tuple(result for result in self.results if result.error is not None)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where an item failed."""
        raise_for_failed(self.results)
