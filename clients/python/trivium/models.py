"""The models of a server, what each can do, and in which state it is. All immutable; `raw` is the Protobuf message."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from google.rpc import status_pb2

from trivium.sampling import Sampling, parse_sampling
from trivium.v1 import models_pb2

__all__ = [
    "Capability",
    "Model",
    "ModelChanged",
    "ModelEvent",
    "ModelLimits",
    "ModelLoadError",
    "ModelRemoved",
    "ModelState",
    "SnapshotEnd",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What a model accepts at most; 0 where a limit does not apply.

    max_input_tokens is for a prompt, max_output_tokens for one candidate, max_context_tokens for both together;
    max_request_bytes for a request message on the wire.
    """

    max_input_tokens: int
    max_output_tokens: int
    max_context_tokens: int
    max_request_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoadError:
    """Why a model could not be loaded. code is the number of a gRPC status code."""

    code: int
    message: str
    raw: status_pb2.Status = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that a server has.

    default_sampling holds the values that absent sampling options take; supported_parameters, the options it honours.
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
        capabilities=_parse_capabilities(raw),
        limits=ModelLimits(
            max_input_tokens=raw.limits.max_input_tokens,
            max_output_tokens=raw.limits.max_output_tokens,
            max_context_tokens=raw.limits.max_context_tokens,
            max_request_bytes=raw.limits.max_request_bytes,
        ),
        language_codes=tuple(raw.language_codes),
        license=raw.license,
        ready_time=raw.ready_time.ToDatetime(tzinfo=UTC) if raw.HasField("ready_time") else None,
        supported_parameters=tuple(raw.supported_parameters),
        default_sampling=parse_sampling(raw.default_sampling) if raw.HasField("default_sampling") else None,
        raw=raw,
    )


def _parse_state(value: int) -> ModelState:
    known = models_pb2.ModelState.DESCRIPTOR.values_by_number.get(value)
    return ModelState(known.name.removeprefix("MODEL_STATE_")) if known else ModelState.UNSPECIFIED


def _parse_capabilities(raw: models_pb2.Model) -> tuple[Capability, ...]:
    by_number = models_pb2.Capability.DESCRIPTOR.values_by_number
    names = (by_number[value].name.removeprefix("CAPABILITY_") for value in raw.capabilities if value in by_number)
    return tuple(Capability(name) for name in names if name in Capability.__members__)


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
