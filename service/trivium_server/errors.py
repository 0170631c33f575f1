"""The errors that a call can end with. Transport-free: rpc/ turns each into a gRPC status with google.rpc details.

    TriviumError
    ├── InvalidArgument        one or more request fields are wrong
    ├── InputTooLong           more tokens than the model allows
    ├── InputTooLarge          more bytes, items, characters or seconds than the server allows
    ├── UndecodableMedia       a file that is no image, or no sound, cut short or broken
    ├── UnsupportedFeature     the model or this server cannot do it
    ├── StreamProtocolViolation  a message of the caller came out of turn
    ├── ModelNotFound          no such model
    ├── ModelNotReady          loading, warming, draining, or not loaded
    │   └── VoiceDetectorMissing  no model finds where somebody speaks
    ├── ModelFailed            it could not be loaded
    ├── QueueFull              nothing was done; try again later
    ├── QueueTimeout           the deadline passed, or would have, while waiting
    ├── DeadlineExceeded       the deadline passed while running
    ├── StreamIdle             the caller of a stream sent nothing for too long
    ├── StreamStalled          the caller of a stream took nothing for too long
    ├── ServerDraining         no new calls
    └── CallAborted            the model or the server went away under a running call

A reason is the name of a value of trivium.v1.ErrorReason without its prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A wrong request field: its path (`input.sampling.top_p`) and what is wrong, with the limit in it."""

    field: str
    description: str


class TriviumError(Exception):
    """Base of all errors that callers see. The message is for people and never holds request content."""

    reason: ClassVar[str]

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidArgument(TriviumError):
    """One or more request fields are missing, out of range or contradictory."""

    reason = "INVALID_ARGUMENT_FIELD"

    def __init__(self, *violations: FieldViolation) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations), field=violations[0].field)
        self.violations = violations


class InputTooLong(TriviumError):
    """The input has more tokens than the model allows."""

    reason = "INPUT_TOO_LONG"

    def __init__(self, field: str, actual: int, limit: int) -> None:
        message = f"{field}: is {actual} tokens; the model allows {limit}"
        super().__init__(message, field=field, actual=str(actual), limit=str(limit))
        self.violations = (FieldViolation(field, f"is {actual} tokens; the model allows {limit}"),)


class InputTooLarge(TriviumError):
    """The input has more bytes, items, characters or seconds than the server allows; `unit` says of what."""

    reason = "INPUT_TOO_LARGE"

    def __init__(self, field: str, actual: int, limit: int, unit: str) -> None:
        description = f"has {actual} {unit}; the limit is {limit}"
        super().__init__(f"{field}: {description}", field=field, actual=str(actual), limit=str(limit))
        self.violations = (FieldViolation(field, description),)


class UndecodableMedia(TriviumError):
    """A file that was sent is no image, or no sound, that can be read.

    The description says why, and holds nothing of it.
    """

    reason = "UNDECODABLE_MEDIA"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}", field=field)
        self.violations = (FieldViolation(field, description),)


class UnsupportedFeature(TriviumError):
    """The model or this server cannot do what was asked."""

    reason = "UNSUPPORTED_FEATURE"

    def __init__(self, feature: str, description: str) -> None:
        super().__init__(f"{feature}: {description}", feature=feature)
        self.violations = (FieldViolation(feature, description),)


class StreamProtocolViolation(TriviumError):
    """A message of the caller came out of turn on a stream; `field` is the part of it that is, or that is missing."""

    reason = "STREAM_PROTOCOL_VIOLATION"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}", field=field)
        self.violations = (FieldViolation(field, description),)


class ModelNotFound(TriviumError):
    """No model of that name is configured."""

    reason = "MODEL_NOT_FOUND"

    def __init__(self, model: str, near_matches: Sequence[str]) -> None:
        hint = f"; did you mean {', '.join(near_matches)}?" if near_matches else ""
        super().__init__(f"no model named {model!r}{hint}", model=model, near_matches=",".join(near_matches))
        self.model = model


class ModelNotReady(TriviumError):
    """The model is known and cannot be called now.

    retry_after_s is None when waiting does not help, because an operator must load the model first.
    """

    reason = "MODEL_NOT_READY"

    def __init__(self, model: str, state: str, retry_after_s: float | None) -> None:
        is_loaded = state != "AVAILABLE"
        how = (
            state.lower() if is_loaded else f"not loaded; load it with LoadModel, as `trivium models load {model}` does"
        )
        super().__init__(f"model {model!r} is {how}", model=model, state=state)
        self.retry_after_s = retry_after_s


class VoiceDetectorMissing(ModelNotReady):
    """Speech cannot be recognised, since there is no model that finds where somebody speaks; an operator must add one.

    wanted: the name that the server's settings have, empty for any.
    """

    def __init__(self, wanted: str = "") -> None:
        which = f"model {wanted!r}, which speech.voice_activity_model names, is none" if wanted else "there is none"
        TriviumError.__init__(
            self,
            f"recognising speech needs a model that detects voice activity: {which}; "
            "get one, as `trivium models pull silero-vad` does",
            model=wanted,
            state="MISSING",
        )
        self.retry_after_s = None


class ModelFailed(TriviumError):
    """The model is known and could not be loaded."""

    reason = "MODEL_FAILED"

    def __init__(self, model: str, cause: str) -> None:
        super().__init__(f"model {model!r} could not be loaded: {cause}", model=model)
        self.model = model


class QueueFull(TriviumError):
    """The queue is full. Nothing was done."""

    reason = "QUEUE_FULL"

    def __init__(self, limit: int, retry_after_s: float, unit: str = "calls") -> None:
        super().__init__(f"the queue is full ({limit} {unit}); try again in {retry_after_s:g} s", limit=str(limit))
        self.retry_after_s = retry_after_s


class QueueTimeout(TriviumError):
    """The call waited in the queue until its deadline could no longer be met. Nothing was generated."""

    reason = "QUEUE_TIMEOUT"

    def __init__(self) -> None:
        super().__init__("the deadline passed while the call waited in the queue")


class DeadlineExceeded(TriviumError):
    """The call's deadline passed while it ran."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the call did not finish within {limit_s:g} s", limit_seconds=f"{limit_s:g}")


class StreamIdle(TriviumError):
    """The caller of a stream, of which there is room for some, sent nothing for too long. advice: what to do."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, limit_s: float, advice: str) -> None:
        message = f"no message came for {limit_s:g} s; {advice}"
        super().__init__(message, limit_seconds=f"{limit_s:g}")


class StreamStalled(TriviumError):
    """The caller of a stream took nothing for too long, while something waited for it."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, limit_s: float) -> None:
        message = f"nothing was read of the stream for {limit_s:g} s while it had more; read it as it comes"
        super().__init__(message, limit_seconds=f"{limit_s:g}")


class ServerDraining(TriviumError):
    """The server finishes its running calls and takes no new ones."""

    reason = "SERVER_DRAINING"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the server is draining and takes no new calls")
        self.retry_after_s = retry_after_s


class CallAborted(TriviumError):
    """The model was unloaded, or the server stopped, before the call was finished."""

    reason = "CALL_ABORTED"

    def __init__(self, model: str, *, server_stops: bool = False, retry_after_s: float | None = None) -> None:
        what = "the server stopped" if server_stops else f"model {model!r} was unloaded"
        super().__init__(f"{what} before the call was finished", model=model)
        self.retry_after_s = retry_after_s
