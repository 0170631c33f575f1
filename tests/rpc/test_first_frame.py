"""What a proxy sees of a call, and when. One that has seen no header of an answer may still ask another replica."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from tests.rpc.frames import DATA, ENHANCE_YOUR_CALM, HEADERS, Connection, Frame
from tests.rpc.requests import chat
from tests.rpc.test_boundary import SERVICE, ProbeServer, Text
from tests.server.stores import write_model
from tests.serving import MODEL, RunningServer, wait_until
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

UNARY, STREAM = f"/{SERVICE}/Unary", f"/{SERVICE}/UnaryStream"
STREAMS = (STREAM, f"/{SERVICE}/StreamStream")
ALL = (UNARY, f"/{SERVICE}/StreamUnary", *STREAMS)


@pytest.fixture(scope="module")
def probe() -> Iterator[ProbeServer]:
    server = ProbeServer()
    yield server
    server.close()


def text(value: str) -> bytes:
    return Text(value=value).SerializeToString()


def shapes(frames: list[Frame]) -> list[tuple[int, bool]]:
    return [(frame.kind, frame.ends_stream) for frame in frames]


def is_named(frame: Frame) -> bool:
    return b"x-request-id" in frame.payload and b"trivium-instance" in frame.payload


def assert_ends_in_one_frame(frames: list[Frame]) -> None:
    """What gRPC calls Trailers-Only, with the call's names in it."""
    assert shapes(frames) == [(HEADERS, True)]
    assert is_named(frames[0])


@pytest.mark.parametrize("path", [UNARY, f"/{SERVICE}/StreamUnary"])
def test_an_answer_ends_with_its_status_and_its_names(probe: ProbeServer, path: str) -> None:
    with Connection(f"127.0.0.1:{probe.port}") as connection:
        frames = connection.answer(connection.call(path, text("x"), x_request_id="mine"))
    assert shapes(frames) == [(HEADERS, False), (DATA, False), (HEADERS, True)]
    assert is_named(frames[-1])
    assert b"mine" in frames[-1].payload
    assert b"grpc-status" in frames[-1].payload


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_begins_with_its_names(probe: ProbeServer, path: str) -> None:
    with Connection(f"127.0.0.1:{probe.port}") as connection:
        frames = connection.answer(connection.call(path, text("x")))
    kinds = [frame.kind for frame in frames]
    assert kinds[:2] == [HEADERS, DATA]
    assert kinds.count(HEADERS) == 2
    assert is_named(frames[0])


@pytest.mark.parametrize("path", ALL)
def test_nothing_is_sent_of_a_call_that_has_nothing_to_say(path: str) -> None:
    server = ProbeServer()
    try:
        with Connection(f"127.0.0.1:{server.port}") as connection:
            stream = connection.call(path, text("wait"))
            assert wait_until(lambda: server.admission.in_flight == 1)
            assert connection.ping() == []
            server.probe.release()
            frames = connection.answer(stream)
        assert (frames[0].kind, frames[1].kind) == (HEADERS, DATA)
        assert is_named(frames[0 if path in STREAMS else -1])
    finally:
        server.close()


@pytest.mark.parametrize("path", [UNARY, f"/{SERVICE}/StreamUnary", "/trivium.v1.Nothing/Does"])
def test_a_failed_call_is_one_frame(probe: ProbeServer, path: str) -> None:
    with Connection(f"127.0.0.1:{probe.port}") as connection:
        assert_ends_in_one_frame(connection.answer(connection.call(path, text("queue full"))))


@pytest.mark.parametrize("path", ALL)
def test_a_refusal_is_one_frame(path: str) -> None:
    server = ProbeServer(max_concurrent_calls=1)
    try:
        with Connection(f"127.0.0.1:{server.port}") as connection:
            connection.call(UNARY, text("wait"))
            assert wait_until(lambda: server.admission.in_flight == 1)
            assert_ends_in_one_frame(connection.answer(connection.call(path, text("x"))))
            server.thread.loop.call_soon_threadsafe(server.admission.close)
            assert wait_until(lambda: not server.admission.is_open)
            assert_ends_in_one_frame(connection.answer(connection.call(path, text("x"))))
            server.probe.release()
    finally:
        server.close()


def test_a_deadline_while_waiting_is_one_frame() -> None:
    server = ProbeServer(default_deadline_s=0.3, default_stream_deadline_s=0.3, max_deadline_s=0.3)
    try:
        with Connection(f"127.0.0.1:{server.port}") as connection:
            assert_ends_in_one_frame(connection.answer(connection.call(UNARY, text("hang"), grpc_timeout="30S")))
    finally:
        server.close()


def test_a_servicer_that_is_not_ours_fails_in_one_frame_too(tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with RunningServer(tmp_path, models__load="none") as running, Connection(running.address) as connection:
        request = health_pb2.HealthCheckRequest(service="nothing").SerializeToString()
        assert_ends_in_one_frame(connection.answer(connection.call("/grpc.health.v1.Health/Check", request)))


def test_nothing_is_sent_of_a_call_in_the_queue(model_store: Path) -> None:
    with (
        RunningServer(model_store, models__load=[MODEL], generation__slots=1) as running,
        running.channel() as channel,
        Connection(running.address) as connection,
    ):
        before_it = pb.StreamGenerateRequest(input=chat("Tell me a story.", max_output_tokens=2000))
        stream = TextGenerationServiceStub(channel).StreamGenerate(before_it)
        reader = iter(stream)
        next(reader)
        next(reader)
        request = pb.GenerateRequest(input=chat("Name a colour.", max_output_tokens=2))
        stream_id = connection.call("/trivium.v1.TextGenerationService/Generate", request.SerializeToString())
        assert wait_until(lambda: dict(running.app.catalog.workloads())[MODEL].num_waiting == 1)
        assert connection.ping() == []
        stream.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert shapes(connection.answer(stream_id)) == [(HEADERS, False), (DATA, False), (HEADERS, True)]


def test_a_proxy_may_ping_each_second(tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with RunningServer(tmp_path, models__load="none") as running, Connection(running.address) as busy:
        busy.call("/grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest().SerializeToString())
        with Connection(running.address) as idle:
            for _ in range(6):
                busy.ping()
                idle.ping()
                time.sleep(1.0)
            answer = idle.answer(idle.call("/grpc.health.v1.Health/Check", b""))
            assert answer[0].kind == HEADERS
            # More than that is abuse.
            idle.send_pings(100)
            assert idle.going_away() == ENHANCE_YOUR_CALM
