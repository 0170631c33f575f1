"""Whether what a runner said, and what a server received, is what a case and docs/sdks.md expect."""

import base64
import re
from collections.abc import Iterator, Sequence

from tests.conformance.answer import Answer, as_data
from tests.conformance.case import Case
from tests.conformance.matching import differences
from tests.conformance.scripted_server import Received

__all__ = ["answer_complaints", "server_complaints"]

_DEFAULT_TIMEOUT_S = 60.0
_CLOCK_S = 0.5
"""How much later than it was sent a deadline may seem to be, and how much earlier on a busy machine."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_CLIENT_NAME = r"trivium-{language}/\d+\.\d+\.\d+[\w.+-]* [a-z+]+/\d[\w.+-]*"


def answer_complaints(case: Case, answer: Answer) -> Iterator[str]:
    """Iterates what the runner says otherwise than expected."""
    expect = case.expect
    yield from differences(expect.ok, answer.ok, "ok")
    yield from differences(expect.responses, answer.responses, "responses")
    yield from differences(expect.error, answer.error, "error")
    yield from differences(expect.elapsed_s, answer.elapsed_s, "elapsed_s")
    is_generation = case.rpc.name.endswith("/StreamGenerate")
    yield from differences(expect.text if is_generation else None, answer.text, "text")
    if answer.ok is not (answer.error is None):
        yield f"ok is {answer.ok}, and error is {answer.error}"


def server_complaints(
    case: Case, answer: Answer, received: Sequence[Received], num_connections: int, language: str
) -> Iterator[str]:
    """Iterates what reached the scripted server otherwise than expected."""
    expect = case.expect
    calls = [_call_data(call, received[0].came_s) for call in received]
    yield from differences(expect.calls, len(calls) if isinstance(expect.calls, int) else calls, "calls")
    yield from differences(expect.connections, num_connections, "connections")
    for number, call in enumerate(received):
        yield from _manners(case, call, answer, f"calls[{number}]", language)


def _manners(case: Case, call: Received, answer: Answer, place: str, language: str) -> Iterator[str]:
    """What holds for every call of every case."""
    request_id = call.metadata.get("x-request-id")
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        yield f"{place}: x-request-id is {request_id!r}"
    for said, where in _said_ids(case, answer):
        if said != request_id:
            yield f"{place}: {where} has request id {said!r}, the server got {request_id!r}"
    client_name = call.metadata.get("trivium-client")
    pattern = _CLIENT_NAME.format(language=re.escape(language))
    if not isinstance(client_name, str) or not re.fullmatch(pattern, client_name):
        yield f"{place}: trivium-client is {client_name!r}, not like {pattern}"
    if call.rpc is not case.rpc:
        yield f"{place}: {call.rpc.name} was called"
    yield from _deadline_manners(case, call, place)


def _said_ids(case: Case, answer: Answer) -> Iterator[tuple[object, str]]:
    """The request ids that the SDK says it sent. Some do not say that of a call that went well."""
    if answer.request_id is not None or case.rpc.is_stream:
        yield answer.request_id, "the answer"
    names_id = isinstance(case.expect.error, dict) and "request_id" in case.expect.error
    if answer.error is not None and not names_id:
        yield answer.error["request_id"], "the error"


def _deadline_manners(case: Case, call: Received, place: str) -> Iterator[str]:
    limit_s = case.call_options.get("timeout_s")
    if limit_s is None and not case.rpc.is_stream:
        limit_s = case.client.get("timeout_s", _DEFAULT_TIMEOUT_S)
    if limit_s is None and call.time_left_s is not None:
        yield f"{place}: a stream without a limit was sent with a deadline of {call.time_left_s:.1f} s"
    if isinstance(limit_s, int | float) and (call.time_left_s is None or call.time_left_s > limit_s + _CLOCK_S):
        yield f"{place}: the deadline is {limit_s} s, and {call.time_left_s} s of it were left"


def _call_data(call: Received, began_s: float) -> dict[str, object]:
    return {
        "after_s": call.came_s - began_s,
        "metadata": {
            key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for key, value in call.metadata.items()
        },
        "deadline_s": call.time_left_s,
        "requests": [as_data(request) for request in call.requests],
        "is_half_closed": call.is_half_closed,
        "is_cancelled": call.is_cancelled,
    }
