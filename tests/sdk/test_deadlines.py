"""One time limit for all that a method does, whatever number of calls it takes."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

import trivium
from tests.sdk.faces import Face
from tests.sdk.scripted import Act, ScriptedServer, fail, hang
from tests.serving import wait_until
from trivium import _calls, errors
from trivium._calls import Method
from trivium._retry import Deadline
from trivium.v1 import models_pb2

Connect = Callable[..., Face]
MODEL = models_pb2.Model(
    name="m", state=models_pb2.MODEL_STATE_READY, capabilities=[models_pb2.CAPABILITY_GENERATE_TEXT]
)
METHODS: dict[str, Method[Any, Any]] = {
    "text.generate": _calls.GENERATE,
    "text.stream": _calls.STREAM_GENERATE,
    "text.count_tokens": _calls.COUNT_TOKENS,
}


def listing(after_s: float, next_page_token: str = "") -> Act:
    """Answers with one model, late."""

    def act(request: Any, context: grpc.ServicerContext) -> object:
        time.sleep(after_s)
        return models_pb2.ListModelsResponse(models=[MODEL], next_page_token=next_page_token)

    return act


def listing_after(event: threading.Event) -> Act:
    """Answers with one model once something has happened."""

    def act(request: Any, context: grpc.ServicerContext) -> object:
        assert event.wait(60)
        return models_pb2.ListModelsResponse(models=[MODEL])

    return act


def run(face: Face, method: str, **options: object) -> object:
    return (face.events if method == "text.stream" else face.call)(method, "Hi", **options)


@pytest.mark.parametrize("method", METHODS)
def test_finding_the_model_takes_from_the_calls_time(connect: Connect, faults: ScriptedServer, method: str) -> None:
    left_s: list[float] = []

    def refuse(request: Any, context: grpc.ServicerContext) -> object:
        left_s.append(context.time_remaining())
        return fail(grpc.StatusCode.INVALID_ARGUMENT, "no")(request, context)

    faults.script(_calls.LIST_MODELS, listing(1.0))
    faults.script(METHODS[method], refuse)
    with pytest.raises(errors.InvalidArgumentError):
        run(connect(faults.target, default_model=None), method, timeout_s=5)
    assert left_s[0] < 4.2  # gRPC rounds what it sends up by a few hundredths
    assert len({call.metadata["x-request-id"] for call in faults.received}) == 1


@pytest.mark.parametrize("method", METHODS)
def test_finding_the_model_ends_with_the_calls_time(connect: Connect, faults: ScriptedServer, method: str) -> None:
    faults.script(_calls.LIST_MODELS, hang())
    started = time.monotonic()
    with pytest.raises(errors.DeadlineExceededError):
        run(connect(faults.target, default_model=None), method, timeout_s=0.3)
    assert time.monotonic() - started < 20


def test_stream_without_limit_does_not_look_for_a_model_for_ever(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.LIST_MODELS, hang())
    with pytest.raises(errors.DeadlineExceededError):
        connect(faults.target, default_model=None, timeout_s=0.3).events("text.stream", "Hi")


def test_pages_share_one_limit(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.LIST_MODELS, listing(0.2, "more"))
    with pytest.raises(errors.DeadlineExceededError):
        connect(faults.target).call("models.list", timeout_s=1)
    assert len(faults.received) <= 6


def test_stream_closed_while_its_model_is_looked_for_is_not_sent(faults: ScriptedServer) -> None:
    is_closed = threading.Event()
    faults.script(_calls.LIST_MODELS, listing_after(is_closed))
    with trivium.Client(faults.target) as client:
        opened = client.text.stream("Hi")

        def close() -> None:
            wait_until(lambda: bool(faults.received))
            opened.close()
            is_closed.set()

        closing = threading.Thread(target=close)
        closing.start()
        with pytest.raises(errors.CallCancelledError):
            list(opened)
        closing.join()
    assert [call.path for call in faults.received] == [_calls.LIST_MODELS.path]


async def test_async_stream_closed_while_its_model_is_looked_for_is_not_sent(faults: ScriptedServer) -> None:
    is_closed = threading.Event()
    faults.script(_calls.LIST_MODELS, listing_after(is_closed))
    async with trivium.AsyncClient(faults.target) as client:
        opened = client.text.stream("Hi")

        async def close() -> None:
            await asyncio.to_thread(wait_until, lambda: bool(faults.received))
            await opened.aclose()
            is_closed.set()

        closing = asyncio.create_task(close())
        with pytest.raises(errors.CallCancelledError):
            async for _ in opened:
                pass
        await closing
    assert [call.path for call in faults.received] == [_calls.LIST_MODELS.path]


def test_earlier_of_two_limits_holds() -> None:
    now = 0.0
    deadline = Deadline(10.0, lambda: now)
    now = 4.0
    assert deadline.remaining_s() == 6.0
    assert deadline.at_most(5.0).remaining_s() == 5.0
    assert deadline.at_most(7.0).remaining_s() == deadline.at_most(None).remaining_s() == 6.0
    assert Deadline(None).at_most(None).remaining_s() is None
    now = 11.0
    assert deadline.remaining_s() == 0.0
