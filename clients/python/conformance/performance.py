"""Does one case: makes the client, calls, acts as the caller of the case does, and says what came of it."""

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import Message

import trivium
from conformance import failures
from conformance.asked import Act, call_settings, decoded, made_client, read_act, stream_settings
from conformance.streams import STREAMS
from conformance.unary import UNARY

__all__ = ["perform"]


@dataclass(slots=True)
class _Outcome:
    responses: list[Message] = field(default_factory=list)
    error: Exception | None = None
    text: str | None = None
    request_id: str | None = None


def perform(asked: Mapping[str, object]) -> dict[str, object]:
    """Returns what README.md of tests/conformance asks for."""
    outcome = _Outcome()
    began = time.monotonic()
    try:
        _call(asked, outcome)
    except (trivium.TriviumError, TypeError, ValueError) as error:
        outcome.error = error
    elapsed_s = time.monotonic() - began
    return {
        "case": asked["case"],
        "ok": outcome.error is None,
        "responses": [base64.b64encode(message.SerializeToString()).decode() for message in outcome.responses],
        "error": None if outcome.error is None else failures.as_data(outcome.error),
        "text": outcome.text,
        "request_id": outcome.request_id,
        "elapsed_s": elapsed_s,
    }


def _call(asked: Mapping[str, object], outcome: _Outcome) -> None:
    client_settings, call, given = asked["client"], asked["call"], asked.get("act") or {}
    assert isinstance(client_settings, dict)
    assert isinstance(call, dict)
    assert isinstance(given, dict)
    act = read_act(given)
    with made_client(client_settings) as client:
        if call["method"] in UNARY:
            _call_unary(client, call, act, outcome)
        else:
            _call_stream(client, call, act, outcome)


def _call_unary(client: trivium.Client, call: Mapping[str, object], act: Act, outcome: _Outcome) -> None:
    """A call that blocks is cancelled by closing its client."""
    kind, method = UNARY[str(call["method"])]
    (request,) = decoded(call["requests"], kind)
    settings = call_settings(call)
    outcome.request_id = settings["request_id"]
    if act.cancel_before:
        client.close()
    with _Timer(act.cancel_after_s, client.close):
        outcome.responses.append(method(client, request, settings))


def _call_stream(client: trivium.Client, call: Mapping[str, object], act: Act, outcome: _Outcome) -> None:
    kind, method = STREAMS[str(call["method"])]
    may_end = threading.Event()
    if act.half_close != "on_go_away":
        may_end.set()
    stream = method(client, decoded(call["requests"], kind), stream_settings(call), may_end)
    outcome.request_id = stream.sdk_stream.request_id
    if act.cancel_before:
        stream.sdk_stream.close()
    try:
        with _Timer(act.cancel_after_s, stream.sdk_stream.close):
            time.sleep(act.read_pause_s)
            for response in stream.responses:
                outcome.responses.append(response)
                if len(outcome.responses) == act.stop_after_messages:
                    break
                if len(outcome.responses) == act.cancel_after_messages:
                    stream.sdk_stream.close()
                time.sleep(act.read_pause_s)
    finally:
        may_end.set()
        stream.sdk_stream.close()
        if stream.text is not None:
            outcome.text = stream.text()


class _Timer:
    """Closes something from beside the call, after so many seconds of the block."""

    def __init__(self, seconds: float | None, close: Callable[[], None]) -> None:
        self._timer = None if seconds is None else threading.Timer(seconds, close)

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
