"""When a failed call is sent again: over a real connection to a server that fails as told, and the policy by itself."""

import math
import traceback
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from tests.sdk.faces import Face
from tests.sdk.scripted import Act, ScriptedServer, events, fail, reply, stream
from trivium import RetryPolicy, _calls, errors
from trivium._retry import Attempts, Deadline
from trivium._status import Failure
from trivium.v1 import generation_pb2

Connect = Callable[..., Face]
UNAVAILABLE = fail(grpc.StatusCode.UNAVAILABLE, "gone")
ANSWER = reply(generation_pb2.GenerateResponse(response_id="r1"))

RETRIED: dict[str, Act] = {
    "unavailable": UNAVAILABLE,
    "draining": fail(grpc.StatusCode.UNAVAILABLE, "bye", reason="SERVER_DRAINING", retry_after_s=0.01),
    "queue full": fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry_after_s=0.01),
    "reset": fail(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
    "removed": fail(grpc.StatusCode.INTERNAL, "Stream removed"),
    "pushed back": fail(grpc.StatusCode.UNAVAILABLE, "x", trailing=(("grpc-retry-pushback-ms", "10"),)),
}
NOT_RETRIED: dict[str, Act] = {
    "budget gone": fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "no money"),
    "too long a wait": fail(grpc.StatusCode.UNAVAILABLE, "later", reason="MODEL_NOT_READY", retry_after_s=3600),
    "forbidden": fail(grpc.StatusCode.UNAVAILABLE, "x", trailing=(("grpc-retry-pushback-ms", "-1"),)),
    "unreadable pushback": fail(grpc.StatusCode.UNAVAILABLE, "x", trailing=(("grpc-retry-pushback-ms", "soon"),)),
    "internal": fail(grpc.StatusCode.INTERNAL, "internal error", reason="INTERNAL"),
    "aborted": fail(grpc.StatusCode.ABORTED, "unloaded", reason="CALL_ABORTED"),
    "bad field": fail(grpc.StatusCode.INVALID_ARGUMENT, "bad", reason="INVALID_ARGUMENT_FIELD"),
    "deadline": fail(grpc.StatusCode.DEADLINE_EXCEEDED, "late", reason="DEADLINE_EXCEEDED"),
}


@pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
def test_retried_call_carries_the_same_request_id(connect: Connect, faults: ScriptedServer, failure: Act) -> None:
    faults.script(_calls.GENERATE, failure, failure, ANSWER)
    assert connect(faults.target).call("text.generate", "Hi").response_id == "r1"
    ids = [call.metadata["x-request-id"] for call in faults.received]
    assert len(ids) == 3
    assert len(set(ids)) == 1


@pytest.mark.parametrize("failure", NOT_RETRIED.values(), ids=NOT_RETRIED.keys())
def test_other_failures_are_final(connect: Connect, faults: ScriptedServer, failure: Act) -> None:
    faults.script(_calls.GENERATE, failure, ANSWER)
    with pytest.raises(errors.TriviumError):
        connect(faults.target).call("text.generate", "Hi")
    assert len(faults.received) == 1


def test_attempts_are_bounded(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, UNAVAILABLE)
    with pytest.raises(errors.ServerUnavailable):
        connect(faults.target).call("text.generate", "Hi")
    assert len(faults.received) == 4


def test_one_attempt_switches_retries_off(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, UNAVAILABLE, ANSWER)
    with pytest.raises(errors.ServerUnavailable):
        connect(faults.target, retry=RetryPolicy(max_attempts=1)).call("text.generate", "Hi")
    assert len(faults.received) == 1


def test_deadline_ends_retries(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, UNAVAILABLE)
    patient = RetryPolicy(max_attempts=50, initial_backoff_s=0.2, max_backoff_s=0.2)
    with pytest.raises(errors.TriviumError):
        connect(faults.target, retry=patient).call("text.generate", "Hi", timeout_s=2)
    assert 2 <= len(faults.received) <= 21


def test_stream_is_retried_before_its_first_event(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, UNAVAILABLE, stream(events("Red", " and")))
    deltas, whole = connect(faults.target).events("text.stream", "Hi")
    assert [delta.text for delta in deltas] == ["Red", " and"]
    assert whole.result.text == "Red and"
    assert len(faults.received) == 2


def test_stream_is_not_retried_after_its_first_event(connect: Connect, faults: ScriptedServer) -> None:
    broken = stream(events("Red", finish=False, completed=False), UNAVAILABLE)
    faults.script(_calls.STREAM_GENERATE, broken, stream(events("Red")))
    face = connect(faults.target)
    opened = face.open("text.stream", "Hi")
    with pytest.raises(errors.ConnectionLost):
        face.read(opened)
    assert opened.partial_text == "Red"
    assert len(faults.received) == 1


def test_nothing_listening_is_server_unavailable(connect: Connect, faults: ScriptedServer) -> None:
    faults.stop()
    with pytest.raises(errors.ServerUnavailable) as caught:
        connect(faults.target).call("models.list")
    assert isinstance(caught.value, errors.UnavailableError)
    assert caught.value.message == f"no server listens at {faults.target}; `trivium serve` starts one"
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Traceback") == 1
    assert "_channel" not in shown


# The policy by itself, with a clock and randomness that the test holds.


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def unavailable(retry_after_s: float | None = None, pushback_ms: int | None = None) -> Failure:
    return Failure(error=errors.UnavailableError("x", retry_after_s=retry_after_s), pushback_ms=pushback_ms)


def least(low: float, high: float) -> float:
    return min(low, high)


def most(low: float, high: float) -> float:
    return max(low, high)


def test_backoff_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(max_attempts=6, initial_backoff_s=1, max_backoff_s=5)
    attempts = Attempts(policy, Deadline(None), uniform=most)
    delays = []
    for _ in range(6):
        attempts.begin()
        delays.append(attempts.delay_before_retry(unavailable()))
    assert delays == [1, 2, 4, 5, 5, None]


def test_backoff_is_spread_between_half_and_all() -> None:
    attempts = Attempts(RetryPolicy(initial_backoff_s=1), Deadline(None), uniform=least)
    attempts.begin()
    assert attempts.delay_before_retry(unavailable()) == 0.5


def test_wait_is_never_shorter_than_asked() -> None:
    attempts = Attempts(RetryPolicy(), Deadline(None), uniform=least)
    attempts.begin()
    assert attempts.delay_before_retry(unavailable(retry_after_s=3.0)) == 3.0
    assert attempts.delay_before_retry(unavailable(retry_after_s=3.0, pushback_ms=1500)) == 1.5


@pytest.mark.parametrize(("left_s", "is_retried"), [(1.001, True), (1.0, False), (0.0, False), (-1.0, False)])
def test_no_retry_that_the_deadline_would_end(left_s: float, is_retried: bool) -> None:
    clock = Clock()
    deadline = Deadline(10.0, clock)
    attempts = Attempts(RetryPolicy(initial_backoff_s=1), deadline, uniform=most)
    attempts.begin()
    clock.now = 10.0 - left_s
    assert (attempts.delay_before_retry(unavailable()) is not None) is is_retried
    assert deadline.remaining_s() == max(0.0, 10.0 - clock.now)


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"initial_backoff_s": -1}, {"max_backoff_s": math.nan}, {"max_retry_after_s": -0.1}]
)
def test_impossible_policy_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)
