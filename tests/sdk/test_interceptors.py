"""Interceptors that a user gives to a client: they see every attempt of every call, the outermost first."""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

import trivium
from tests.sdk.scripted import ScriptedServer, events, fail, reply, stream
from trivium import _calls
from trivium.v1 import generation_pb2

UNAVAILABLE = fail(grpc.StatusCode.UNAVAILABLE, "gone")
QUICK = trivium.RetryPolicy(initial_backoff_s=0.01, max_backoff_s=0.02)
PATHS = [_calls.GENERATE.path] * 2 + [_calls.STREAM_GENERATE.path]


def script(faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, UNAVAILABLE, reply(generation_pb2.GenerateResponse(response_id="r1")))
    faults.script(_calls.STREAM_GENERATE, stream(events("Red")))


def traced(details: Any, name: str) -> Any:  # grpc gives and takes details that its stubs do not declare
    """Returns the call's details with one more name in its metadata."""
    names = [value for key, value in details.metadata or () if key == "x-trace"]
    rest = tuple(pair for pair in details.metadata or () if pair[0] != "x-trace")
    return details._replace(metadata=(*rest, ("x-trace", ",".join([*names, name]))))


class Trace(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        self.seen.append(details.method)
        return continuation(traced(details, self.name), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        self.seen.append(details.method)
        return continuation(traced(details, self.name), request)


class AsyncUnaryTrace(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        self.seen.append(details.method.decode() if isinstance(details.method, bytes) else details.method)
        return await continuation(traced(details, self.name), request)


class AsyncStreamTrace(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    async def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        self.seen.append(details.method.decode() if isinstance(details.method, bytes) else details.method)
        return await continuation(traced(details, self.name), request)


def test_interceptors_see_each_attempt_in_order(faults: ScriptedServer) -> None:
    script(faults)
    outer, inner = Trace("outer"), Trace("inner")
    with trivium.Client(faults.target, default_model="m", retry=QUICK, interceptors=[outer, inner]) as client:
        assert client.text.generate("Hi").response_id == "r1"
        assert [delta.text for delta in client.text.stream("Hi")] == ["Red"]
    assert outer.seen == inner.seen == PATHS
    assert [call.metadata["x-trace"] for call in faults.received] == ["outer,inner"] * 3


async def test_async_interceptors_see_each_attempt_in_order(faults: ScriptedServer) -> None:
    script(faults)
    seen: list[str] = []
    interceptors = [kind(name, seen) for name in ("outer", "inner") for kind in (AsyncUnaryTrace, AsyncStreamTrace)]
    async with trivium.AsyncClient(faults.target, default_model="m", retry=QUICK, interceptors=interceptors) as client:
        assert (await client.text.generate("Hi")).response_id == "r1"
        assert [delta.text async for delta in client.text.stream("Hi")] == ["Red"]
    assert seen == [path for path in PATHS for _ in ("outer", "inner")]
    assert [call.metadata["x-trace"] for call in faults.received] == ["outer,inner"] * 3
