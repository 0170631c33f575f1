"""Streams of frames: order, drops, errors on either side, and ends."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, fail, hang, reply
from tests.sdk.vision_script import analyze_stream, served
from tests.serving import wait_until
from trivium import _calls, errors, vision
from trivium.v1 import vision_pb2

Connect = Callable[..., Face]
PIXELS = np.zeros((100, 200, 3), np.uint8)
STREAM = "vision.analyze_stream"


@pytest.fixture
def seen() -> list[vision_pb2.VideoFrame]:
    return []


@pytest.fixture
def seeing(faults: ScriptedServer, seen: list[vision_pb2.VideoFrame]) -> ScriptedServer:
    faults.script(_calls.STREAM_ANALYZE_IMAGE, analyze_stream(seen=seen))
    faults.script(_calls.LIST_MODELS, reply(served("seer")))
    return faults


def test_every_frame_has_its_result(
    connect: Connect, seeing: ScriptedServer, seen: list[vision_pb2.VideoFrame]
) -> None:
    frames = [PIXELS, b"file", vision.VideoFrame(image=b"late", frame_number=7, media_time_s=1.5), b"last"]
    results, opened = connect(seeing.target).events(STREAM, iter(frames), ["detect", "classify"])
    assert [result.frame_number for result in results] == [0, 1, 7, 8]
    assert [result.media_time_s for result in results] == [None, None, 1.5, None]
    assert [result.detection.objects[0].label for result in results] == ["cat"] * 4
    assert [frame.image.content for frame in seen] == [result.sent for result in results]
    assert seen[0].image.content.startswith(b"\x89PNG")
    assert (opened.analyzed_count, opened.dropped_count) == (4, 0)
    assert opened.info is not None


def test_setup_names_models_and_policy(connect: Connect, seeing: ScriptedServer) -> None:
    setups = []

    def act(requests: Iterator[Any], context: grpc.ServicerContext) -> object:
        first = next(requests)
        setups.append(first.setup)
        return analyze_stream(seen=[])(itertools.chain([first], requests), context)

    seeing.script(_calls.STREAM_ANALYZE_IMAGE, act)
    asked = ["detect", vision.ClassifyImage(model="other", top_k=1)]
    connect(seeing.target).events(STREAM, [PIXELS], asked, frame_policy="latest_only")
    (setup,) = setups
    assert [feature.model for feature in setup.features] == ["seer", "other"]
    assert setup.frame_policy == vision_pb2.FRAME_POLICY_LATEST_ONLY


def test_dropped_frames_are_told(connect: Connect, seeing: ScriptedServer, seen: list[vision_pb2.VideoFrame]) -> None:
    seeing.script(_calls.STREAM_ANALYZE_IMAGE, analyze_stream(seen=seen, drop_every_second=True))
    frames = [f"frame {number}".encode() for number in range(6)]
    results, opened = connect(seeing.target).events(STREAM, frames, "detect", frame_policy="latest_only")
    assert [(result.frame_number, result.dropped_before) for result in results] == [(0, 0), (2, 1), (4, 1)]
    assert [result.sent for result in results] == frames[::2]
    assert (opened.analyzed_count, opened.dropped_count) == (3, 3)


def test_unreadable_frame_fails_alone(connect: Connect, seeing: ScriptedServer) -> None:
    results, _ = connect(seeing.target).events(STREAM, [b"one", b"broken", b"two"], "detect")
    assert [type(result.error) for result in results] == [type(None), errors.UndecodableMedia, type(None)]
    assert (results[1].image, results[1].results) == (None, ())


def _raising() -> Iterator[bytes]:
    yield b"one"
    yield b"two"
    raise OSError("the camera is gone")


@pytest.mark.parametrize(
    ("frames", "kind", "says"),
    [
        (_raising, OSError, "the camera is gone"),
        (lambda: [b"one", b"two", 5], TypeError, "image is int"),
        (lambda: [b"one", b"two", b""], ValueError, "image is empty"),
        (lambda: [b"one", b"two", vision.VideoFrame(image=b"x", frame_number=1)], ValueError, "at least 2"),
        (lambda: [b"one", b"two", "nowhere.png"], OSError, "nowhere.png"),
        (lambda: [b"one", b"two", bytes(5000)], errors.InputTooLarge, "may have 4000"),
    ],
)
def test_source_that_fails_raises_after_the_results_before(
    connect: Connect,
    seeing: ScriptedServer,
    frames: Callable[[], Iterator[object]],
    kind: type[Exception],
    says: str,
) -> None:
    face = connect(seeing.target, max_message_bytes=4000)
    results, error = face.read_until_error(face.open(STREAM, frames(), "detect"))
    assert [result.frame_number for result in results] == [0, 1]
    assert isinstance(error, kind)
    assert says in str(error)


def slow_frames(face: Face, wait: Callable[[], object]) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Three frames, each after a wait, which must not hold up the loop of an asynchronous client."""

    def frames() -> Iterator[bytes]:
        for number in range(3):
            wait()
            yield f"frame {number}".encode()

    async def async_frames() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.to_thread(wait)
            yield f"frame {number}".encode()

    return async_frames() if face.is_async else frames()


def test_results_come_while_frames_do(connect: Connect, seeing: ScriptedServer) -> None:
    answered: list[float] = []
    sent: list[float] = []

    def act(requests: Iterator[object], context: grpc.ServicerContext) -> Iterator[object]:
        for message in analyze_stream(seen=[])(requests, context):  # type: ignore[attr-defined]  # an act returns what it likes
            yield message
            answered.append(time.monotonic())

    def wait() -> None:
        # `started` and the result of the frame before; without them there is no next frame.
        assert wait_until(lambda: len(answered) > len(sent))
        sent.append(time.monotonic())

    seeing.script(_calls.STREAM_ANALYZE_IMAGE, act)
    face = connect(seeing.target)
    results, _ = face.events(STREAM, slow_frames(face, wait), "detect")
    assert len(results) == 3
    assert answered[1] < sent[1] < answered[2] < sent[2]  # answered[0] is `started`


def test_broken_stream_is_not_sent_again(
    connect: Connect, seeing: ScriptedServer, seen: list[vision_pb2.VideoFrame]
) -> None:
    def act(requests: Iterator[object], context: grpc.ServicerContext) -> Iterator[object]:
        made = analyze_stream(seen=seen)(requests, context)
        yield from itertools.islice(made, 2)  # type: ignore[call-overload]  # an act returns what it likes
        context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")

    seeing.script(_calls.STREAM_ANALYZE_IMAGE, act)
    face = connect(seeing.target)
    results, error = face.read_until_error(face.open(STREAM, itertools.repeat(b"frame"), "detect"))
    assert [result.frame_number for result in results] == [0]
    assert isinstance(error, errors.ConnectionLost)
    assert [call.path for call in seeing.received].count(_calls.STREAM_ANALYZE_IMAGE.path) == 1


def test_refused_setup_is_sent_again_and_loses_no_frame(
    connect: Connect, seeing: ScriptedServer, seen: list[vision_pb2.VideoFrame]
) -> None:
    busy = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry_after_s=0.01)
    seeing.script(_calls.STREAM_ANALYZE_IMAGE, busy, busy, analyze_stream(seen=seen))
    results, _ = connect(seeing.target).events(STREAM, iter([b"one", b"two"]), "detect")
    assert [result.sent for result in results] == [b"one", b"two"]


def test_end_without_completed_is_truncated(connect: Connect, seeing: ScriptedServer) -> None:
    def act(requests: Iterator[object], context: grpc.ServicerContext) -> Iterator[object]:
        yield from itertools.islice(analyze_stream(seen=[])(requests, context), 2)  # type: ignore[call-overload]  # an act returns what it likes

    seeing.script(_calls.STREAM_ANALYZE_IMAGE, act)
    face = connect(seeing.target)
    results, error = face.read_until_error(face.open(STREAM, [b"one", b"two"], "detect"))
    assert len(results) == 1
    assert isinstance(error, errors.TruncatedStream)


def test_idle_limit_counts_what_the_server_owes(
    connect: Connect, seeing: ScriptedServer, seen: list[vision_pb2.VideoFrame]
) -> None:
    face = connect(seeing.target)
    pauses = iter([0, 1.3, 0])  # nobody owes anything meanwhile
    frames = slow_frames(face, lambda: time.sleep(next(pauses)))
    results, _ = face.events(STREAM, frames, "detect", idle_timeout_s=1)
    assert len(results) == 3
    seen.clear()
    seeing.script(_calls.STREAM_ANALYZE_IMAGE, analyze_stream(seen=seen, stop_after=2))
    opened = face.open(STREAM, itertools.repeat(b"frame"), "detect", idle_timeout_s=1)
    results, error = face.read_until_error(opened)
    assert [result.frame_number for result in results] == [0]
    assert isinstance(error, errors.StreamIdleTimeout)
    seeing.script(_calls.STREAM_ANALYZE_IMAGE, hang())
    _, error = face.read_until_error(face.open(STREAM, [b"frame"], "detect", idle_timeout_s=0.2))
    assert isinstance(error, errors.StreamIdleTimeout)


def test_stopped_reader_cancels_the_call(connect: Connect, seeing: ScriptedServer) -> None:
    assert connect(seeing.target).first(STREAM, itertools.repeat(b"frame"), "detect").frame_number == 0
    assert seeing.cancelled.wait(20)


@pytest.mark.parametrize(("features", "options"), [("detect", {"frame_policy": "some"}), ([], {}), ("see", {})])
def test_wrong_arguments_are_named_at_once(
    connect: Connect, seeing: ScriptedServer, features: object, options: dict[str, object]
) -> None:
    with pytest.raises(ValueError):
        connect(seeing.target).open(STREAM, [PIXELS], features, **options)
    assert seeing.received == []
