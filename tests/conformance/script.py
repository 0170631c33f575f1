"""What the scripted server does in a call: its steps, as the cases spell them.

    reply: MESSAGE        sends it; `times: n` so often; `every_s: t` with a pause before each;
                          `with_unknown_field: true` with a field that no client knows
    replies: [MESSAGE, …] sends each
    headers: {KEY: VALUE} sends the initial metadata now; without this step it goes with the first message, and a
                          status before that is a Trailers-Only response
    fail: {…}             ends the call with a status, see Fail
    pause_s: t            waits
    hang: true            waits until the call is over
    cut: true             breaks the connection
    reset: NUMBER         ends the stream with RST_STREAM and this error code of HTTP/2
    http_page: STATUS     answers as a proxy does that knows nothing of gRPC: that status of HTTP, and a page
    send_away: true       tells with GOAWAY of HTTP/2 that the call was not looked at
    await_requests: n     waits until so many requests have come
    await_half_close: true

Messages are in ProtoJSON. Events are counted in `sequence` unless one says its own.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import grpc
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.conformance.contract import Rpc
from tests.conformance.wire import Wire
from trivium.v1 import common_pb2

__all__ = [
    "AwaitHalfClose",
    "AwaitRequests",
    "Fail",
    "Fault",
    "Hang",
    "Headers",
    "Pause",
    "Reply",
    "Step",
    "parse_steps",
]

ERROR_DOMAIN = "trivium.v1"
_UNKNOWN_FIELD = b"\xfa\xff\x01\x07unknown"  # field 4095, which no message has, with seven bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Sends a message so many times, after a pause each time. counts: fills in `sequence`."""

    message: Message
    times: int = 1
    every_s: float = 0.0
    counts: bool = False
    with_unknown_field: bool = False

    def serialized(self, sequence: int) -> bytes:
        """Returns the message as the event of that number."""
        message = self.message
        if self.counts:
            message = type(message).FromString(message.SerializeToString())
            message.sequence = sequence  # type: ignore[attr-defined]  # counts is set for messages that have it
        return message.SerializeToString() + (_UNKNOWN_FIELD if self.with_unknown_field else b"")


@dataclass(frozen=True, slots=True)
class Headers:
    """Sends the initial metadata, and nothing else yet."""

    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """Ends the call with a status and these trailers."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Pause:
    """Waits."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Waits until the call is over."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Inflicts something on the connection of the call, which the server knows by its peer."""

    inflict: Callable[[Wire, str], None]


@dataclass(frozen=True, slots=True)
class AwaitRequests:
    """Waits until so many requests have come."""

    count: int


@dataclass(frozen=True, slots=True)
class AwaitHalfClose:
    """Waits until the caller has sent its last request."""


Step: TypeAlias = Reply | Headers | Fail | Pause | Hang | Fault | AwaitRequests | AwaitHalfClose


_PLAIN_STEPS: dict[tuple[str, object], Step] = {
    ("hang", True): Hang(),
    ("cut", True): Fault(Wire.cut),
    ("send_away", True): Fault(Wire.send_away),
    ("await_half_close", True): AwaitHalfClose(),
}


def parse_steps(given: object, rpc: Rpc) -> tuple[Step, ...]:
    """Reads the steps of one call: a list of them, or a single one. ValueError for what is none."""
    steps = given if isinstance(given, list) else [given]
    return tuple(step for entry in steps for step in _parse_step(entry, rpc))


def _parse_step(given: object, rpc: Rpc) -> Sequence[Step]:
    match given:
        case {"reply": message}:
            assert isinstance(given, dict)
            return [_reply(message, rpc, {key: value for key, value in given.items() if key != "reply"})]
        case {"replies": [*messages]}:
            return [_reply(message, rpc, {}) for message in messages]
        case {"headers": dict(entries)}:
            return [Headers(tuple((str(key), str(value)) for key, value in entries.items()))]
        case {"fail": dict(parts)}:
            return [_fail(parts)]
        case {"pause_s": int() | float() as seconds}:
            return [Pause(seconds)]
        case {"reset": int(error_code)}:
            return [Fault(partial(Wire.reset_stream, error_code=error_code))]
        case {"http_page": int(status)}:
            return [Fault(partial(Wire.answer_with_page, status=status))]
        case {"await_requests": int(count)}:
            return [AwaitRequests(count)]
        case dict() if len(given) == 1 and (step := _PLAIN_STEPS.get(next(iter(given.items())))):
            return [step]
    raise ValueError(f"no step of a script: {given!r}")


def _reply(message: object, rpc: Rpc, options: Mapping[str, object]) -> Reply:
    unknown = options.keys() - {"times", "every_s", "with_unknown_field"}
    if unknown or not isinstance(message, dict):
        raise ValueError(f"no reply: {message!r} with {sorted(unknown)}")
    times, every_s = options.get("times", 1), options.get("every_s", 0.0)
    assert isinstance(times, int)
    assert isinstance(every_s, int | float)
    return Reply(
        message=json_format.ParseDict(message, rpc.response()),
        times=times,
        every_s=every_s,
        counts=rpc.is_numbered and "sequence" not in message,
        with_unknown_field=options.get("with_unknown_field") is True,
    )


def _fail(options: Mapping[str, object]) -> Fail:
    """Reads code, message, and what goes into the details and trailers.

    reason, domain, metadata (ErrorInfo); field_violations; retry_after_s; request_id (RequestInfo); usage in ProtoJSON.
    with_unknown_detail: a detail that no client knows comes after ErrorInfo.
    trailing: more trailers, of bytes in base64 under keys that end in -bin, which win.
    """
    given = dict(options)
    code = grpc.StatusCode[str(given.pop("code"))]
    message = str(given.pop("message", "scripted"))
    trailers: dict[str, str | bytes] = {}
    if (usage := given.pop("usage", None)) is not None:
        assert isinstance(usage, dict)
        trailers["trivium-usage-bin"] = json_format.ParseDict(usage, common_pb2.Usage()).SerializeToString()
    more = given.pop("trailing", {})
    packed = status_pb2.Status(code=getattr(code_pb2, code.name), message=message)
    for detail in _details(given):
        packed.details.add().Pack(detail)
    if packed.details:
        trailers["grpc-status-details-bin"] = packed.SerializeToString()
    assert isinstance(more, dict)
    for key, value in more.items():
        trailers[key] = base64.b64decode(value) if key.endswith("-bin") else str(value)
    if given:
        raise ValueError(f"a failure has no {sorted(given)}")
    return Fail(code=code, message=message, trailers=tuple(trailers.items()))


def _details(given: dict[str, object]) -> list[Message]:
    """Takes the details out of what is given."""
    made: list[Message] = []
    reason, domain, metadata = (given.pop(key, None) for key in ("reason", "domain", "metadata"))
    if reason is not None:
        made.append(error_details_pb2.ErrorInfo(reason=reason, domain=domain or ERROR_DOMAIN, metadata=metadata or {}))
    if given.pop("with_unknown_detail", None) is True:
        made.append(Duration(seconds=1))  # a message, but none that an error of Trivium carries
    if (violations := given.pop("field_violations", None)) is not None:
        made.append(json_format.ParseDict({"field_violations": violations}, error_details_pb2.BadRequest()))
    retry_after_s = given.pop("retry_after_s", None)
    if isinstance(retry_after_s, int | float):
        delay = Duration(seconds=int(retry_after_s), nanos=round(retry_after_s % 1 * 1e9))
        made.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if (request_id := given.pop("request_id", None)) is not None:
        made.append(error_details_pb2.RequestInfo(request_id=str(request_id)))
    return made
