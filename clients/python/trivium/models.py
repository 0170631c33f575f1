"""The models of a server, what each can do, and in which state it is. All immutable; `raw` is the Protobuf message."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from google.rpc import status_pb2

from trivium._speech_format import in_seconds
from trivium._speech_heard import RecognitionTask
from trivium.embeddings import EmbeddingKind, EmbedPurpose, known_values
from trivium.sampling import Sampling, parse_sampling
from trivium.v1 import embedding_pb2, models_pb2, speech_pb2

__all__ = [
    "Capability",
    "EmbeddingInfo",
    "EmbeddingPrompt",
    "Model",
    "ModelChanged",
    "ModelEvent",
    "ModelLimits",
    "ModelLoadError",
    "ModelRemoved",
    "ModelState",
    "RecognitionInfo",
    "SnapshotEnd",
    "VisionInfo",
]


class ModelState(StrEnum):
    """Whether a model can be called: only when READY. A state that this version does not know is UNSPECIFIED."""

    UNSPECIFIED = "UNSPECIFIED"
    AVAILABLE = "AVAILABLE"
    LOADING = "LOADING"
    WARMING = "WARMING"
    READY = "READY"
    DRAINING = "DRAINING"
    FAILED = "FAILED"


class Capability(StrEnum):
    """What a model can do."""

    GENERATE_TEXT = "GENERATE_TEXT"
    EMBED_TEXT = "EMBED_TEXT"
    RERANK = "RERANK"
    CLASSIFY_TEXT = "CLASSIFY_TEXT"
    EXTRACT_ENTITIES = "EXTRACT_ENTITIES"
    DETECT_LANGUAGE = "DETECT_LANGUAGE"
    CLASSIFY_IMAGE = "CLASSIFY_IMAGE"
    DETECT_OBJECTS = "DETECT_OBJECTS"
    RECOGNIZE_TEXT = "RECOGNIZE_TEXT"
    DETECT_FACES = "DETECT_FACES"
    EMBED_IMAGE = "EMBED_IMAGE"
    RECOGNIZE_SPEECH = "RECOGNIZE_SPEECH"
    SYNTHESIZE_SPEECH = "SYNTHESIZE_SPEECH"
    DETECT_VOICE_ACTIVITY = "DETECT_VOICE_ACTIVITY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What a model accepts at most, as this server serves it; 0 where a limit does not apply.

    A server may be configured to less than the model itself allows: its generation.max_context_tokens, 4096 by default.
    max_input_tokens is for a prompt, max_output_tokens for one candidate, max_context_tokens for both together;
    max_image_pixels, width times height, for an image; max_audio_s, in seconds, for the sound of one file;
    max_input_characters for a text that is spoken; max_request_bytes for a request message on the wire.
    """

    max_input_tokens: int
    max_output_tokens: int
    max_context_tokens: int
    max_image_pixels: int
    max_audio_s: float
    max_input_characters: int
    max_request_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoadError:
    """Why a model could not be loaded. code is the number of a gRPC status code."""

    code: int
    message: str
    raw: status_pb2.Status = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPrompt:
    """A text that a model wants before what it embeds, by the name that `prompt_name` chooses it with.

    purposes choose it; is_default: it applies where the call chooses none, or a purpose without a prompt.
    """

    name: str
    text: str
    purposes: tuple[EmbedPurpose, ...]
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingInfo:
    """What the vectors of a model are like.

    dimensions: how many components a vector has, unless the call asks for one of supported_dimensions, largest first.
    kinds: the kinds of vectors that it gives, the default one first; those that this version knows.
    """

    dimensions: int
    supported_dimensions: tuple[int, ...]
    kinds: tuple[EmbeddingKind, ...]
    prompts: tuple[EmbeddingPrompt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionInfo:
    """How a model that looks at images answers by default.

    default_min_score, default_iou_threshold: what absent ones mean; the second is 0 for a model that does not use it.
    landmark_names: the landmarks that it finds in a face, in their order.
    """

    default_min_score: float
    default_iou_threshold: float
    landmark_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionInfo:
    """What a model that recognises speech can do.

    tasks: what it can write of what it hears. gives_word_timings: whether it says when each word was spoken.
    honors_prompt: whether a prompt has an effect. max_segment_s: how long an utterance may be before it is cut, where
    the speaker makes the shortest pause.
    """

    tasks: tuple[RecognitionTask, ...]
    gives_word_timings: bool
    honors_prompt: bool
    max_segment_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a server has.

    default_sampling holds the values that absent sampling options take; supported_parameters, the options it honours.
    embedding is for a model that embeds, vision for one that looks at images, recognition for one that recognises
    speech. labels are those of a model that
    classifies, extracts entities or detects objects, by class index, empty for one that takes any.
    similarity_capabilities are those of `capabilities` that it answers by comparing embeddings, without having been
    trained for them.
    """

    name: str
    version: str
    digest: str
    display_name: str
    state: ModelState
    last_error: ModelLoadError | None
    capabilities: tuple[Capability, ...]
    limits: ModelLimits
    language_codes: tuple[str, ...]
    license: str
    ready_time: datetime | None
    supported_parameters: tuple[str, ...]
    default_sampling: Sampling | None
    labels: tuple[str, ...]
    embedding: EmbeddingInfo | None
    vision: VisionInfo | None
    recognition: RecognitionInfo | None
    similarity_capabilities: tuple[Capability, ...]
    raw: models_pb2.Model = field(repr=False, compare=False)

    @property
    def is_ready(self) -> bool:
        """Whether calls are answered."""
        return self.state is ModelState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChanged:
    """A model as it is now: new or changed."""

    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRemoved:
    """A model is gone."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotEnd:
    """All models were sent; what follows are changes."""


ModelEvent: TypeAlias = ModelChanged | ModelRemoved | SnapshotEnd
"""An event of a watch."""


def parse_model(raw: models_pb2.Model) -> Model:
    """Wraps the message; unknown states become UNSPECIFIED, unknown capabilities are left out."""
    return Model(
        name=raw.name,
        version=raw.version,
        digest=raw.digest,
        display_name=raw.display_name,
        state=_parse_state(raw.state),
        last_error=_parse_load_error(raw.last_error) if raw.HasField("last_error") else None,
        capabilities=_parse_capabilities(raw.capabilities),
        limits=ModelLimits(
            max_input_tokens=raw.limits.max_input_tokens,
            max_output_tokens=raw.limits.max_output_tokens,
            max_context_tokens=raw.limits.max_context_tokens,
            max_image_pixels=raw.limits.max_image_pixels,
            max_audio_s=raw.limits.max_audio_milliseconds / 1000,
            max_input_characters=raw.limits.max_input_characters,
            max_request_bytes=raw.limits.max_request_bytes,
        ),
        language_codes=tuple(raw.language_codes),
        license=raw.license,
        ready_time=raw.ready_time.ToDatetime(tzinfo=UTC) if raw.HasField("ready_time") else None,
        supported_parameters=tuple(raw.supported_parameters),
        default_sampling=parse_sampling(raw.default_sampling) if raw.HasField("default_sampling") else None,
        labels=tuple(raw.labels),
        embedding=_parse_embedding(raw.embedding) if raw.HasField("embedding") else None,
        vision=_parse_vision(raw.vision) if raw.HasField("vision") else None,
        recognition=_parse_recognition(raw.recognition) if raw.HasField("recognition") else None,
        similarity_capabilities=_parse_capabilities(raw.similarity_capabilities),
        raw=raw,
    )


def _parse_state(value: int) -> ModelState:
    known = models_pb2.ModelState.DESCRIPTOR.values_by_number.get(value)
    return ModelState(known.name.removeprefix("MODEL_STATE_")) if known else ModelState.UNSPECIFIED


def _parse_capabilities(values: Iterable[int]) -> tuple[Capability, ...]:
    by_number = models_pb2.Capability.DESCRIPTOR.values_by_number
    names = (by_number[value].name.removeprefix("CAPABILITY_") for value in values if value in by_number)
    return tuple(Capability(name) for name in names if name in Capability.__members__)


def _parse_embedding(raw: models_pb2.EmbeddingInfo) -> EmbeddingInfo:
    return EmbeddingInfo(
        dimensions=raw.dimensions,
        supported_dimensions=tuple(raw.supported_dimensions),
        kinds=known_values(EmbeddingKind, "EMBEDDING_KIND_", embedding_pb2.EmbeddingKind.DESCRIPTOR, raw.kinds),
        prompts=tuple(
            EmbeddingPrompt(
                name=prompt.name,
                text=prompt.text,
                purposes=known_values(
                    EmbedPurpose, "EMBED_PURPOSE_", embedding_pb2.EmbedPurpose.DESCRIPTOR, prompt.purposes
                ),
                is_default=prompt.is_default,
            )
            for prompt in raw.prompts
        ),
    )


def _parse_vision(raw: models_pb2.VisionInfo) -> VisionInfo:
    return VisionInfo(
        default_min_score=raw.default_min_score,
        default_iou_threshold=raw.default_iou_threshold,
        landmark_names=tuple(raw.landmark_names),
    )


def _parse_recognition(raw: models_pb2.RecognitionInfo) -> RecognitionInfo:
    return RecognitionInfo(
        tasks=known_values(RecognitionTask, "RECOGNITION_TASK_", speech_pb2.RecognitionTask.DESCRIPTOR, raw.tasks),
        gives_word_timings=raw.gives_word_timings,
        honors_prompt=raw.honors_prompt,
        max_segment_s=in_seconds(raw.max_segment_duration),
    )


def _parse_load_error(raw: status_pb2.Status) -> ModelLoadError:
    return ModelLoadError(code=raw.code, message=raw.message, raw=raw)


def parse_model_event(raw: models_pb2.WatchModelsResponse) -> ModelEvent | None:
    """Wraps the message; None for an event that this version does not know."""
    match raw.WhichOneof("event"):
        case "model":
            return ModelChanged(model=parse_model(raw.model))
        case "removed_model":
            return ModelRemoved(name=raw.removed_model)
        case "snapshot_end":
            return SnapshotEnd()
        case None:
            return None
