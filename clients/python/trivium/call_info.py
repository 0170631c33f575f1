"""What a call did: who answered, what it used, how long it took. All immutable; `raw` is the Protobuf message."""

from dataclasses import dataclass, field
from enum import StrEnum

from google.protobuf.duration_pb2 import Duration

from trivium.v1 import common_pb2

__all__ = ["AudioUsage", "CallInfo", "CallWarning", "ServedModel", "Timing", "Usage", "WarningCode"]


class WarningCode(StrEnum):
    """The kinds of CallWarning. A kind that this version does not know is UNSPECIFIED."""

    UNSPECIFIED = "UNSPECIFIED"
    PARAMETER_IGNORED = "PARAMETER_IGNORED"
    INPUT_TRUNCATED = "INPUT_TRUNCATED"
    RESULTS_LEFT_OUT = "RESULTS_LEFT_OUT"
    DETAIL_TOO_FINE = "DETAIL_TOO_FINE"
    INPUT_CUT_SHORT = "INPUT_CUT_SHORT"
    TEXT_NOT_SPOKEN = "TEXT_NOT_SPOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """The model that answered. Two calls with the same digest were answered by the same files."""

    name: str
    version: str
    digest: str
    execution_provider: str
    raw: common_pb2.ServedModel = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioUsage:
    """Sound that a call heard and spoke, in seconds.

    input_s: what was sent, not multiplied by its channel_count. speech_s: what of it was taken for speech, added up
    over channels that were heard separately. output_s: what was spoken. None: the call has no such sound.
    """

    input_s: float | None
    speech_s: float | None
    output_s: float | None
    channel_count: int
    raw: common_pb2.AudioUsage = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Quantities that a call used.

    input_tokens includes the chat template; output_tokens is the sum over all candidates without end-of-turn tokens;
    input_characters counts Unicode code points, image_count and pixel_count the images that were read; audio is None
    for a call without sound; compute_s is the call's share of the model runners' time.
    """

    input_tokens: int
    output_tokens: int
    input_characters: int
    image_count: int
    pixel_count: int
    audio: AudioUsage | None
    compute_s: float | None
    raw: common_pb2.Usage = field(repr=False, compare=False)

    @property
    def total_tokens(self) -> int:
        """Tokens read and written."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Wall-clock seconds per stage, measured on the server. None: the call has no such stage.

    queue_s, first_output_s and total_s count from the acceptance of the call.
    """

    queue_s: float | None
    preprocess_s: float | None
    inference_s: float | None
    first_output_s: float | None
    total_s: float | None
    raw: common_pb2.Timing = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWarning:
    """Something worth knowing although the call succeeded. field_path is empty where no request field caused it."""

    code: WarningCode
    message: str
    field_path: str
    raw: common_pb2.Warning = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInfo:
    """What a call did. The request_id finds it in the server's log."""

    request_id: str
    model: ServedModel
    usage: Usage
    timing: Timing
    warnings: tuple[CallWarning, ...]
    raw: common_pb2.CallInfo = field(repr=False, compare=False)


def seconds(owner: common_pb2.Timing | common_pb2.Usage | common_pb2.AudioUsage, name: str) -> float | None:
    """Returns a Duration field of a message in seconds, None where it is absent."""
    if not owner.HasField(name):  # type: ignore[arg-type]  # the stubs accept literal field names only
        return None
    duration: Duration = getattr(owner, name)
    return duration.seconds + duration.nanos / 1e9


def parse_served_model(raw: common_pb2.ServedModel) -> ServedModel:
    """Wraps the message."""
    return ServedModel(
        name=raw.name, version=raw.version, digest=raw.digest, execution_provider=raw.execution_provider, raw=raw
    )


def parse_usage(raw: common_pb2.Usage) -> Usage:
    """Wraps the message."""
    return Usage(
        input_tokens=raw.tokens.input_tokens,
        output_tokens=raw.tokens.output_tokens,
        input_characters=raw.input_characters,
        image_count=raw.images.image_count,
        pixel_count=raw.images.pixel_count,
        audio=_parse_audio(raw.audio) if raw.HasField("audio") else None,
        compute_s=seconds(raw, "compute_duration"),
        raw=raw,
    )


def _parse_audio(raw: common_pb2.AudioUsage) -> AudioUsage:
    return AudioUsage(
        input_s=seconds(raw, "input_duration"),
        speech_s=seconds(raw, "speech_duration"),
        output_s=seconds(raw, "output_duration"),
        channel_count=raw.channel_count,
        raw=raw,
    )


def parse_timing(raw: common_pb2.Timing) -> Timing:
    """Wraps the message."""
    return Timing(
        queue_s=seconds(raw, "queue_duration"),
        preprocess_s=seconds(raw, "preprocess_duration"),
        inference_s=seconds(raw, "inference_duration"),
        first_output_s=seconds(raw, "first_output_duration"),
        total_s=seconds(raw, "total_duration"),
        raw=raw,
    )


def parse_warning(raw: common_pb2.Warning) -> CallWarning:
    """Wraps the message; an unknown code becomes UNSPECIFIED."""
    known = raw.code in common_pb2.WarningCode.values()
    name = common_pb2.WarningCode.Name(raw.code).removeprefix("WARNING_CODE_") if known else "UNSPECIFIED"
    return CallWarning(code=WarningCode(name), message=raw.message, field_path=raw.field_path, raw=raw)


def parse_call_info(raw: common_pb2.CallInfo) -> CallInfo:
    """Wraps the message."""
    return CallInfo(
        request_id=raw.request_id,
        model=parse_served_model(raw.model),
        usage=parse_usage(raw.usage),
        timing=parse_timing(raw.timing),
        warnings=tuple(parse_warning(warning) for warning in raw.warnings),
        raw=raw,
    )
