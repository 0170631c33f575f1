"""What a case asks for, read from its line."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from google.protobuf.message import Message

import trivium

__all__ = ["Act", "CallSettings", "StreamSettings", "call_settings", "made_client", "read_act", "stream_settings"]


class CallSettings(TypedDict):
    """What every method of the SDK takes. None is the client's default."""

    timeout_s: float | None
    request_id: str | None
    metadata: Mapping[str, str | bytes] | None


class StreamSettings(CallSettings):
    """What methods with a stream of results take."""

    idle_timeout_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the caller does; None: it does not."""

    cancel_before: bool = False
    cancel_after_s: float | None = None
    cancel_after_messages: int | None = None
    stop_after_messages: int | None = None
    read_pause_s: float = 0.0
    half_close: str | None = None


def read_act(given: Mapping[str, object]) -> Act:
    """Reads it. TypeError for what this runner does not know."""
    return Act(**given)  # type: ignore[arg-type]  # the suite writes what README.md says


def call_settings(call: Mapping[str, object]) -> CallSettings:
    """The settings of a call with one response."""
    return CallSettings(
        timeout_s=_number(call.get("timeout_s")),
        request_id=_text(call.get("request_id")),
        metadata=None if call.get("metadata") is None else _metadata(call["metadata"]),
    )


def stream_settings(call: Mapping[str, object]) -> StreamSettings:
    """The settings of a stream."""
    return StreamSettings(**call_settings(call), idle_timeout_s=_number(call.get("idle_timeout_s")))


def made_client(given: Mapping[str, object]) -> trivium.Client:
    """Makes the client; what is not given has the SDK's default. TypeError and ValueError as the SDK raises them."""
    settings: dict[str, object] = {
        key: given[key] for key in ("token", "timeout_s", "idle_timeout_s") if given.get(key) is not None
    }
    if given.get("metadata") is not None:
        settings["metadata"] = _metadata(given["metadata"])
    if isinstance(attempts := given.get("max_attempts"), int):
        settings["retry"] = trivium.RetryPolicy(max_attempts=attempts)
    tls = given.get("tls")
    if isinstance(tls, dict):
        files = {key: value if key == "server_name" else value.encode() for key, value in tls.items()}
        settings["tls"] = trivium.TLS(**files)
    elif tls is not None:
        settings["tls"] = tls
    return trivium.Client(_text(given["target"]), **settings)  # type: ignore[arg-type]  # a table of what JSON gives


def decoded(requests: object, kind: type[Message]) -> list[Message]:
    """Reads the requests."""
    assert isinstance(requests, list)
    return [kind.FromString(base64.b64decode(request)) for request in requests]


def _metadata(given: object) -> dict[str, str | bytes]:
    assert isinstance(given, dict)
    return {key: base64.b64decode(value) if key.lower().endswith("-bin") else value for key, value in given.items()}


def _number(given: object) -> float | None:
    assert given is None or isinstance(given, int | float)
    return given


def _text(given: object) -> str | None:
    assert given is None or isinstance(given, str)
    return given
