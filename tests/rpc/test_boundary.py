"""The boundary, over a real channel: ids, deadlines, admission, errors, cancellation, for all four stream kinds."""

import asyncio
import gc
import logging
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import pytest
from google.protobuf import wrappers_pb2 as wrappers
from google.rpc import error_details_pb2

from tests.serving import Failure, LoopThread, wait_until
from trivium.v1 import common_pb2
from trivium_server import errors
from trivium_server.config import LimitsConfig
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.boundary import Boundary
from trivium_server.rpc.call import current_call
from trivium_server.telemetry import MemoryMetrics

# An inference service by name, so that admission applies; its methods exist only here.
SERVICE = "trivium.v1.TextGenerationService"
Text = wrappers.StringValue
ERRORS: dict[str, Exception] = {
    "defect": KeyError("secret-of-the-server"),
    "timeout": TimeoutError("secret-of-the-server"),
    "queue full": errors.QueueFull(3, 0.25),
    "queue timeout": errors.QueueTimeout(),
    "not found": errors.ModelNotFound("x" * 5000, ["xx", "xy"]),
    "loading": errors.ModelNotReady("m", "LOADING", 2.0),
    "available": errors.ModelNotReady("m", "AVAILABLE", None),
    "failed": errors.ModelFailed("m", "broken"),
    "invalid": errors.InvalidArgument(errors.FieldViolation("a.b", "bad"), errors.FieldViolation("c", "worse")),
    "too long": errors.InputTooLong("input.text", 10, 5),
    "too large": errors.InputTooLarge("input.text", 10, 5, "bytes"),
    "unsupported": errors.UnsupportedFeature("input.model", "cannot"),
    "aborted": errors.CallAborted("m"),
    "deadline": errors.DeadlineExceeded(0.123456),
    "long": errors.ModelFailed("m", "\U0001f642é" * 1000),
    "draining": errors.ServerDraining(1.0),
}


class Probe:
    """Handlers that do as the request says: echo, fail, hang, wait for `release`."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.closed = threading.Event()
        self.remaining_s = 0.0

    async def unary(self, request: Text, _context: object) -> Text:
        call = current_call()
        self.remaining_s = call.deadline_s - time.monotonic()
        if request.value == "id":
            return Text(value=call.request_id)
        images = common_pb2.ImageUsage(image_count=2, pixel_count=600)
        call.usage = lambda: common_pb2.Usage(input_characters=len(request.value), images=images)
        await self._act(request.value)
        return request

    def release(self) -> None:
        """Lets all go on that wait."""
        self._released.set()

    async def unary_stream(self, request: Text, _context: object) -> AsyncIterator[Text]:
        try:
            await self._wait(request.value)
            for _ in range(3):
                yield request
            while request.value == "flood":
                yield Text(value="x" * 1_000_000)
            await self._act(request.value)
        finally:
            await asyncio.sleep(0)
            self.closed.set()

    async def stream_unary(self, requests: AsyncIterator[Text], _context: object) -> Text:
        values = [request.value async for request in requests]
        await self._act(values[-1])
        return Text(value=",".join(values))

    async def stream_stream(self, requests: AsyncIterator[Text], _context: object) -> AsyncIterator[Text]:
        async for request in requests:
            await self._wait(request.value)
            yield request
            await self._act(request.value)

    async def _wait(self, what: str) -> None:
        while what == "wait" and not self._released.is_set():
            await asyncio.sleep(0.01)

    async def _act(self, what: str) -> None:
        await self._wait(what)
        if what == "hang":
            try:
                await asyncio.sleep(60)
            finally:
                self.closed.set()
        if (error := what.rstrip()) in ERRORS:
            raise ERRORS[error]

    def handlers(self) -> dict[str, "grpc.RpcMethodHandler[Text, Text]"]:
        read, write = Text.FromString, Text.SerializeToString
        return {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary, read, write),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.unary_stream, read, write),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.stream_unary, read, write),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.stream_stream, read, write),
        }


class ProbeServer:
    """A grpc.aio server with nothing but the boundary and the probe."""

    def __init__(self, **limits: float) -> None:
        self.probe = Probe()
        self.metrics = MemoryMetrics()
        self.thread = LoopThread()
        self.limits = LimitsConfig(**limits)  # type: ignore[arg-type]  # by name
        self.thread.run(self._start())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")

    async def _start(self) -> None:
        self.admission = Admission(self.limits.max_concurrent_calls)
        boundary = Boundary(limits=self.limits, admission=self.admission, metrics=self.metrics, instance_id="here")
        self.server = grpc.aio.server(interceptors=(boundary,))
        generic = grpc.method_handlers_generic_handler(SERVICE, self.probe.handlers())
        self.server.add_generic_rpc_handlers((generic,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()

    def close(self) -> None:
        self.channel.close()
        self.thread.run(self.server.stop(0))
        self.thread.close()

    def _call(self, kind: str, name: str) -> Callable[..., object]:
        make = getattr(self.channel, kind)
        return make(f"/{SERVICE}/{name}", Text.SerializeToString, Text.FromString)  # type: ignore[no-any-return]

    def ask(self, kind: str, value: str, **options: object) -> list[str]:
        """Calls the method of that stream kind and returns the values that come."""
        if kind == "unary_unary":
            return [self._call(kind, "Unary")(Text(value=value), **options).value]  # type: ignore[attr-defined]
        if kind == "unary_stream":
            return [m.value for m in self._call(kind, "UnaryStream")(Text(value=value), **options)]  # type: ignore[attr-defined]
        requests = iter([Text(value="a"), Text(value=value)])
        if kind == "stream_unary":
            return [self._call(kind, "StreamUnary")(requests, **options).value]  # type: ignore[attr-defined]
        return [m.value for m in self._call(kind, "StreamStream")(requests, **options)]  # type: ignore[attr-defined]

    def fail(self, kind: str, value: str, **options: object) -> Failure:
        with pytest.raises(grpc.RpcError) as caught:
            self.ask(kind, value, **options)
        return Failure(caught.value)


KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


@pytest.fixture(scope="module")
def probe_server() -> Iterator[ProbeServer]:
    server = ProbeServer()
    yield server
    server.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_stream_kind_passes(probe_server: ProbeServer, kind: str) -> None:
    expected = {
        "unary_unary": ["x"],
        "unary_stream": ["x", "x", "x"],
        "stream_unary": ["a,x"],
        "stream_stream": ["a", "x"],
    }
    assert probe_server.ask(kind, "x") == expected[kind]
    record = probe_server.metrics.records[-1]
    assert (record.status, record.responses) == ("OK", len(expected[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_leaks_nothing(
    probe_server: ProbeServer, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("trivium"), "propagate", True)
    for what in ("defect", "timeout"):
        failure = probe_server.fail(kind, what, metadata=(("x-request-id", f"id-{kind}"),))
        assert (failure.code, failure.message, failure.reason) == (
            grpc.StatusCode.INTERNAL,
            "internal error",
            "INTERNAL",
        )
        assert "secret" not in str(failure.trailing)
        info = failure.detail(error_details_pb2.RequestInfo)
        assert info is not None
        assert info.request_id == f"id-{kind}"
    assert "secret-of-the-server" in caplog.text
    assert f"id-{kind}" in caplog.text


@pytest.mark.parametrize(
    ("what", "code", "reason"),
    [
        ("queue full", grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
        ("queue timeout", grpc.StatusCode.DEADLINE_EXCEEDED, "QUEUE_TIMEOUT"),
        ("not found", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("loading", grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY"),
        ("available", grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_READY"),
        ("failed", grpc.StatusCode.FAILED_PRECONDITION, "MODEL_FAILED"),
        ("invalid", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD"),
        ("too long", grpc.StatusCode.INVALID_ARGUMENT, "INPUT_TOO_LONG"),
        ("too large", grpc.StatusCode.INVALID_ARGUMENT, "INPUT_TOO_LARGE"),
        ("unsupported", grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FEATURE"),
        ("aborted", grpc.StatusCode.ABORTED, "CALL_ABORTED"),
        ("draining", grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING"),
    ],
)
def test_every_error_has_its_code_and_details(
    probe_server: ProbeServer, what: str, code: grpc.StatusCode, reason: str
) -> None:
    failure = probe_server.fail("unary_unary", what)
    info = failure.detail(error_details_pb2.ErrorInfo)
    assert info is not None
    assert (failure.code, info.reason, info.domain) == (code, reason, "trivium.v1")
    assert failure.status.code == code.value[0]
    assert failure.detail(error_details_pb2.RequestInfo) is not None
    retry = failure.detail(error_details_pb2.RetryInfo)
    retryable = what in {"queue full", "loading", "draining"}
    assert (retry is not None) is retryable
    assert ("grpc-retry-pushback-ms" in failure.trailing) is retryable
    assert (failure.detail(error_details_pb2.ResourceInfo) is not None) is (what == "not found")
    assert (failure.detail(error_details_pb2.PreconditionFailure) is not None) is (what == "failed")
    assert bool(failure.fields) is (code is grpc.StatusCode.INVALID_ARGUMENT)
    # What was used is told also when the call fails.
    assert common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"]).input_characters == len(what)


def test_retry_delay_is_told_twice(probe_server: ProbeServer) -> None:
    failure = probe_server.fail("unary_unary", "queue full")
    retry = failure.detail(error_details_pb2.RetryInfo)
    assert retry is not None
    assert retry.retry_delay.ToMilliseconds() == 250
    assert failure.trailing["grpc-retry-pushback-ms"] == "250"


def test_all_violations_are_listed(probe_server: ProbeServer) -> None:
    assert probe_server.fail("unary_unary", "invalid").fields == {"a.b": "bad", "c": "worse"}


@pytest.mark.parametrize("given", ["abc-123", "A" * 128, "0f3c:7/x"])
def test_a_usable_request_id_is_kept(probe_server: ProbeServer, given: str) -> None:
    assert probe_server.ask("unary_unary", "id", metadata=(("x-request-id", given),)) == [given]


@pytest.mark.parametrize("given", ["", "A" * 129, "a b", "<script>"])
def test_another_request_id_is_replaced(probe_server: ProbeServer, given: str) -> None:
    (made,) = probe_server.ask("unary_unary", "id", metadata=(("x-request-id", given),))
    assert made != given
    assert len(made) == 32


IDS = {"x-request-id": "mine", "trivium-instance": "here"}


def test_a_call_with_one_answer_is_named_in_its_trailing_metadata(probe_server: ProbeServer) -> None:
    method = probe_server.channel.unary_unary(f"/{SERVICE}/Unary", Text.SerializeToString, Text.FromString)
    _, call = method.with_call(Text(value="x"), metadata=(("x-request-id", "mine"),))
    assert dict(call.trailing_metadata()).items() >= IDS.items()
    assert not set(dict(call.initial_metadata())) & set(IDS)


@pytest.mark.parametrize(
    ("kind", "num_messages"), [("unary_unary", 0), ("unary_stream", 3), ("stream_unary", 0), ("stream_stream", 2)]
)
def test_a_call_that_fails_is_named_where_its_answer_begins(
    probe_server: ProbeServer, kind: str, num_messages: int
) -> None:
    failure = probe_server.fail(kind, "failed", metadata=(("x-request-id", "mine"),))
    named_first, named_last = (
        (failure.initial, failure.trailing) if num_messages else (failure.trailing, failure.initial)
    )
    assert named_first.items() >= IDS.items()
    assert not set(named_last) & set(IDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_ends_a_call_at_its_deadline_with_reason(kind: str) -> None:
    server = ProbeServer(default_deadline_s=0.3, default_stream_deadline_s=0.3, max_deadline_s=0.3)
    try:
        for options in ({}, {"timeout": 30}):
            began = time.monotonic()
            failure = server.fail(kind, "hang", **options)
            assert time.monotonic() - began < 20
            assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
            assert failure.metadata == {"limit_seconds": "0.3"}
            assert server.probe.closed.wait(20)
            server.probe.closed.clear()
        assert server.admission.in_flight == 0
    finally:
        server.close()


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
def test_a_stream_that_never_begins_gives_its_place_back(kind: str) -> None:
    server = ProbeServer(default_deadline_s=0.3)
    over = threading.Event()

    def nothing() -> Iterator[Text]:
        over.wait(20)
        yield from ()

    name = {"stream_unary": "StreamUnary", "stream_stream": "StreamStream"}[kind]
    try:
        call = server._call(kind, name)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(nothing(), timeout=20))  # type: ignore[call-overload]  # of a stream; a single answer raised before
        failure = Failure(caught.value)
        assert (failure.code, failure.metadata) == (grpc.StatusCode.DEADLINE_EXCEEDED, {"limit_seconds": "0.3"})
        assert failure.message == "no message came for 0.3 s; send the setup when the stream begins"
        assert wait_until(lambda: server.admission.in_flight == 0)
    finally:
        over.set()
        server.close()


def test_a_deadline_that_a_handler_noticed_is_told_as_the_whole(probe_server: ProbeServer) -> None:
    failure = probe_server.fail("unary_unary", "deadline", timeout=30)
    assert 29 < float(failure.metadata["limit_seconds"]) < 31
    assert len(failure.metadata["limit_seconds"]) <= 4


def test_long_texts_are_cut_between_characters_and_fit_into_headers(probe_server: ProbeServer) -> None:
    failure = probe_server.fail("unary_unary", "long")
    assert failure.message.endswith(("\U0001f642…", "é…"))
    assert 500 < len(failure.message.encode()) <= 512
    assert len(failure.trailing["grpc-status-details-bin"]) < 2500


@pytest.mark.alone
def test_reason_and_usage_arrive_before_the_client_gives_up(probe_server: ProbeServer) -> None:
    # The margin is 20 ms and a hundredth: enough for a stall of this machine only where the deadline is not too near.
    failure = probe_server.fail("unary_unary", "hang", timeout=8.0)
    assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert "trivium-usage-bin" in failure.trailing


@pytest.mark.parametrize(
    ("timeout", "low", "high"), [(None, 50, 60), (20, 15, 20.2), (3500, 3400, 3500), (100_000, 3500, 3600)]
)
def test_deadline_is_the_clients_the_default_or_the_maximum(
    probe_server: ProbeServer, timeout: float | None, low: float, high: float
) -> None:
    probe_server.ask("unary_unary", "x", timeout=timeout)
    assert low < probe_server.probe.remaining_s <= high


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_cancelled_call_closes_its_handler(probe_server: ProbeServer, kind: str) -> None:
    probe_server.probe.closed.clear()
    name = {"unary_stream": "UnaryStream", "stream_stream": "StreamStream"}[kind]
    request = Text(value="hang")
    call = probe_server._call(kind, name)(request if kind == "unary_stream" else iter([request]))
    assert next(call).value == "hang"  # type: ignore[call-overload]  # a call is an iterator
    call.cancel()  # type: ignore[attr-defined]  # a call, by what made it
    assert probe_server.probe.closed.wait(20)
    assert wait_until(lambda: probe_server.admission.in_flight == 0)
    assert wait_until(lambda: probe_server.metrics.records[-1].status == "CANCELLED")


def test_a_reader_that_stops_reading_is_cut_off_at_its_deadline() -> None:
    server = ProbeServer(default_stream_deadline_s=0.5)
    try:
        call = server._call("unary_stream", "UnaryStream")(Text(value="flood"))
        assert next(call).value == "flood"  # type: ignore[call-overload]  # a call is an iterator
        assert server.probe.closed.wait(20)
        assert wait_until(lambda: server.admission.in_flight == 0)
        failure = server.fail("unary_unary", "failed")
        assert failure.reason == "MODEL_FAILED", "others are served meanwhile"
        with pytest.raises(grpc.RpcError) as caught:
            list(call)  # type: ignore[call-overload]  # a call is an iterator
        assert Failure(caught.value).reason == "DEADLINE_EXCEEDED"
    finally:
        server.close()


def test_a_reader_that_takes_nothing_is_cut_off_at_the_limit() -> None:
    server = ProbeServer(max_write_lag_s=0.5)
    try:
        call = server._call("unary_stream", "UnaryStream")(Text(value="flood"))
        assert next(call).value == "flood"  # type: ignore[call-overload]  # a call is an iterator
        begun = time.monotonic()
        assert server.ask("unary_unary", "x") == ["x"], "others of its connection are served"
        assert server.probe.closed.wait(20)
        assert wait_until(lambda: server.admission.in_flight == 0)
        assert time.monotonic() - begun > 0.4
        # Whatever the caller does, what the call had is given back, and it is done with.
        assert wait_until(lambda: len(server.metrics.records) == 2)
        record = server.metrics.records[-1]
        assert (record.status, record.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
        assert record.response_bytes < 10_000_000
        with pytest.raises(grpc.RpcError) as caught:
            list(call)  # type: ignore[call-overload]  # a call is an iterator
        failure = Failure(caught.value)
        assert (failure.reason, failure.metadata["limit_seconds"]) == ("DEADLINE_EXCEEDED", "0.5")
        assert failure.message == "nothing was read of the stream for 0.5 s while it had more; read it as it comes"
    finally:
        server.close()


def test_a_reader_that_is_slow_is_waited_for() -> None:
    limit_s = 6.0
    server = ProbeServer(max_write_lag_s=limit_s)
    try:
        # A stream that has nothing to send waits for nobody.
        idle = server._call("unary_stream", "UnaryStream")(Text(value="hang"))
        call = server._call("unary_stream", "UnaryStream")(Text(value="flood"))
        for _ in range(3):
            next(idle)  # type: ignore[call-overload]  # a call is an iterator
        end_s = time.monotonic() + limit_s + 2
        while time.monotonic() < end_s:
            next(call)  # type: ignore[call-overload]  # a call is an iterator
            # The client's HTTP/2 tells of what was read in batches: here, of about a second.
            time.sleep(0.2)
        assert not server.probe.closed.is_set()
        assert idle.is_active()  # type: ignore[attr-defined]  # a call, by what made it
    finally:
        server.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("refusal", ["handler", "parser", "drain"])
def test_a_refused_request_is_not_kept(kind: str, refusal: str) -> None:
    size = 1 << 20
    server = ProbeServer()
    raw = Text(value="invalid".ljust(size)).SerializeToString()
    if refusal == "parser":
        raw = raw.replace(b"invalid", b"\xffnvalid")
    if refusal == "drain":
        server.thread.loop.call_soon_threadsafe(server.admission.close)
        assert wait_until(lambda: not server.admission.is_open)
    name = kind.title().replace("_", "").replace("UnaryUnary", "Unary")
    # A client's error keeps its last response: here, a number.
    call = getattr(server.channel, kind)(f"/{SERVICE}/{name}", bytes, len)

    def refuse() -> None:
        with pytest.raises(grpc.RpcError) as caught:
            list(call(raw if kind.startswith("unary") else iter([raw])))
        assert Failure(caught.value).reason == ("SERVER_DRAINING" if refusal == "drain" else "INVALID_ARGUMENT_FIELD")

    try:
        refuse()
        gc.collect()
        gc.disable()
        tracemalloc.start()
        for _ in range(8):
            refuse()
        assert wait_until(lambda: tracemalloc.get_traced_memory()[0] < size)
    finally:
        tracemalloc.stop()
        gc.enable()
        server.close()


def test_calls_beyond_the_limit_are_refused_at_once() -> None:
    server = ProbeServer(max_concurrent_calls=2)
    try:
        call = server.channel.unary_unary(f"/{SERVICE}/Unary", Text.SerializeToString, Text.FromString)
        running = [call.future(Text(value="hang")) for _ in range(2)]
        assert wait_until(lambda: server.admission.in_flight == 2)
        failure = server.fail("unary_unary", "x")
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert failure.detail(error_details_pb2.RetryInfo) is not None
        running[0].cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert wait_until(lambda: server.admission.in_flight == 1)
        assert server.ask("unary_unary", "x") == ["x"]
        running[1].cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
    finally:
        server.close()


def test_a_draining_server_refuses_new_calls() -> None:
    server = ProbeServer()
    try:
        server.thread.loop.call_soon_threadsafe(server.admission.close)
        assert wait_until(lambda: not server.admission.is_open)
        for kind in KINDS:
            failure = server.fail(kind, "x")
            assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    finally:
        server.close()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_method_is_unimplemented_with_reason(probe_server: ProbeServer, kind: str) -> None:
    call = getattr(probe_server.channel, kind)("/trivium.v1.Nothing/Does", Text.SerializeToString, Text.FromString)
    request = iter([Text()]) if kind.startswith("stream") else Text()
    with pytest.raises(grpc.RpcError) as caught:
        list(call(request))
    failure = Failure(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND")
    assert failure.metadata == {"method": "/trivium.v1.Nothing/Does"}
    assert wait_until(lambda: probe_server.metrics.records[-1].method == "_OTHER")


def test_access_log_tells_everything_but_content(
    probe_server: ProbeServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("trivium"), "propagate", True)
    caplog.set_level(logging.INFO, "trivium.access")
    metadata = (("x-request-id", "r1"), ("trivium-client", "demo/1 " + "y" * 500))
    probe_server.ask("unary_unary", "very private text", metadata=metadata)
    access = [record.fields for record in caplog.records if record.name == "trivium.access"]  # type: ignore[attr-defined]
    # A call of an earlier test may end only now.
    (fields,) = [fields for fields in access if fields["request_id"] == "r1"]
    assert (fields["status"], fields["responses"]) == ("OK", 1)
    assert fields["request_bytes"] == fields["response_bytes"] > 0
    assert (fields["num_images"], fields["num_pixels"]) == (2, 600)
    assert fields["client"] == "demo/1 " + "y" * 121
    assert "private" not in str(fields)
