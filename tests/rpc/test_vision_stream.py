"""VisionService.StreamAnalyzeImage over a real channel: policies, flow control, ends. The models are toys."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.rpc.generating import refused
from tests.rpc.looking import analyze, colours, events, feature, frame, frames_of, setup
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_vision import MODELS, png
from tests.serving import wait_until
from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceStub as Stub
from trivium_server.rpc.vision_stream import MAX_FRAMES_AHEAD

MODEL = "toy-colours"
SLOW_S = 0.1
Message = pb.StreamAnalyzeImageRequest


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


class Dialogue:
    """A stream whose messages are sent one by one."""

    def __init__(self, stub: Stub, first: Message) -> None:
        self._to_send: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.call = stub.StreamAnalyzeImage(iter(self._to_send.get, None), timeout=60)
        self._events = iter(self.call)
        self.send(first)
        assert self.next().HasField("started")

    def send(self, message: Message) -> None:
        self._to_send.put(message)

    def next(self) -> pb.StreamAnalyzeImageResponse:
        return next(self._events)

    def end(self) -> list[pb.StreamAnalyzeImageResponse]:
        self._to_send.put(None)
        return list(self._events)


class TestEveryFrame:
    """FRAME_POLICY_EVERY_FRAME, which is the default."""

    def test_stream_equals_unary(self, stub: Stub) -> None:
        features = (
            colours(),
            feature("toy-things", "detection", max_objects=7),
            feature("nothing", "faces"),
            feature("toy-reader", "text_recognition", include_word_boxes=True),
            feature("toy-faces", "faces", max_faces=0),
            feature("toy-colours", "embedding", dimensions=4),
        )
        contents = [png(value, 1, 2, width=1 + value) for value in range(50)]
        times = [Duration(seconds=number, nanos=33_000_000) for number in range(len(contents))]
        sent = [frame(number, content, media_time=times[number]) for number, content in enumerate(contents)]
        received = events(stub, [setup(*features), *sent])
        assert [event.WhichOneof("event") for event in received] == ["started", *["frame"] * 50, "completed"]
        assert [event.sequence for event in received] == list(range(52))
        pixels = 0
        for number, result in enumerate(frames_of(received)):
            whole = analyze(stub, contents[number], *features)
            assert (result.frame_number, result.dropped_before, result.media_time) == (number, 0, times[number])
            assert [strip(one) for one in result.results] == [strip(one) for one in whole.results]
            assert result.image == whole.image
            pixels += whole.info.usage.images.pixel_count
        completed = received[-1].completed
        assert (completed.analyzed_count, completed.dropped_count) == (50, 0)
        assert completed.info.usage.images == common_pb2.ImageUsage(image_count=50, pixel_count=pixels)
        assert completed.info.usage.compute_duration.ToMicroseconds() == 50 * 4 * 3000
        timing = completed.info.timing
        assert 0 < timing.first_output_duration.ToNanoseconds() < timing.total_duration.ToNanoseconds()
        assert not completed.info.HasField("model")

    def test_stream_without_frames_completes(self, stub: Stub) -> None:
        _, completed = events(stub, [setup(colours())])
        assert completed.completed.analyzed_count == 0

    def test_single_model_is_named_and_a_warning_comes_once(self, stub: Stub) -> None:
        once = feature("toy-things-once", "detection", iou_threshold=0.5)
        info = events(stub, [setup(once), *(frame(number, png()) for number in range(9))])[-1].completed.info
        assert info.model.name == "toy-things-once"
        assert [warning.field_path for warning in info.warnings] == ["setup.features[0].detection.iou_threshold"]

    def test_each_frame_is_answered_before_the_next_is_sent(self, stub: Stub) -> None:
        dialogue = Dialogue(stub, setup(colours()))
        for number in range(5):
            dialogue.send(frame(number, png(number)))
            assert dialogue.next().frame.frame_number == number
        (completed,) = dialogue.end()
        assert completed.completed.analyzed_count == 5

    def test_frames_are_under_way_at_the_same_time(self, stub: Stub) -> None:
        began = time.monotonic()
        sent = [setup(colours("toy-slow")), *(frame(number, png(1)) for number in range(20))]
        assert len(list(frames_of(events(stub, sent)))) == 20
        assert time.monotonic() - began < 20 * SLOW_S

    def test_reading_ahead_has_a_bound(self, stub: Stub, toys: ToyServer) -> None:
        model = toys.models[MODEL]
        toys.set_gate(MODEL, is_open=False)
        sent = [setup(colours()), *(frame(number, png()) for number in range(100))]
        call = stub.StreamAnalyzeImage(iter(sent), timeout=60)
        try:
            assert wait_until(lambda: model.num_under_way == MAX_FRAMES_AHEAD)
            time.sleep(0.3)
            assert model.num_under_way == MAX_FRAMES_AHEAD
        finally:
            toys.set_gate(MODEL, is_open=True)
        assert [one.frame_number for one in frames_of(call)] == list(range(100))

    def test_slow_reader_holds_the_sender_back(self, toys: ToyServer) -> None:
        model = toys.models["toy-faces"]
        before, num_sent = model.num_read, 0
        content = png(noise=100_000)

        def count_sent() -> Iterator[Message]:
            nonlocal num_sent
            yield setup(feature("toy-faces", "faces", max_faces=1000, min_score=0.0, include_landmarks=True))
            for number in range(2000):
                num_sent += 1
                yield frame(number, content)

        # Without the probe the windows of HTTP/2 are small and stay so.
        with grpc.insecure_channel(toys.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            call = Stub(channel).StreamAnalyzeImage(count_sent(), timeout=60)
            assert next(iter(call)).HasField("started")
            # What stands still for a second has stopped; nothing is read here meanwhile.
            last = -1
            while num_sent != last:
                last = num_sent
                time.sleep(1)
            call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert num_sent < 200
        assert model.num_read - before < 100
        assert wait_until(lambda: toys.admission.in_flight == 0)

    def test_a_model_may_come_and_go(self, stub: Stub, toys: ToyServer) -> None:
        dialogue = Dialogue(stub, setup(colours(), feature("toy-faces", "faces")))
        for number, is_loaded in enumerate([True, False, True]):
            if not is_loaded:
                # A stream holds no model between frames.
                toys.thread.run(toys.catalog.unload("toy-faces", 30.0))
            elif number:
                toys.thread.loop.call_soon_threadsafe(toys.catalog.start_load, "toy-faces")
                assert wait_until(lambda: toys.catalog.status("toy-faces").state.name == "READY")
            dialogue.send(frame(number, png(1)))
            first, second = dialogue.next().frame.results
            assert first.HasField("classification")
            assert second.HasField("faces") is is_loaded
        dialogue.end()


class TestLatestOnly:
    """FRAME_POLICY_LATEST_ONLY."""

    def test_while_one_is_analysed_only_the_newest_waits(self, stub: Stub, toys: ToyServer) -> None:
        model = toys.models[MODEL]
        before = model.num_read
        toys.set_gate(MODEL, is_open=False)
        try:
            dialogue = Dialogue(stub, setup(colours(), latest_only=True))
            dialogue.send(frame(1, png(1)))
            assert wait_until(lambda: model.num_under_way == 1)
            for number in range(2, 8):
                dialogue.send(frame(number, png(number)))
            time.sleep(0.3)
            assert model.num_under_way == 1
        finally:
            toys.set_gate(MODEL, is_open=True)
        received = [dialogue.next().frame, dialogue.next().frame]
        assert [(one.frame_number, one.dropped_before) for one in received] == [(1, 0), (7, 5)]
        dialogue.send(frame(9, png(9)))
        last = dialogue.next().frame
        assert (last.frame_number, last.dropped_before) == (9, 0)
        (completed,) = dialogue.end()
        assert (completed.completed.analyzed_count, completed.completed.dropped_count) == (3, 5)
        assert completed.completed.info.usage.images.image_count == 3
        assert model.num_read - before == 3

    def test_the_last_frame_is_never_dropped(self, stub: Stub) -> None:
        for count in (1, 2, 3, 50):
            sent = [setup(colours("toy-slow"), latest_only=True), *(frame(number, png()) for number in range(count))]
            received = events(stub, sent)
            results = list(frames_of(received))
            assert results[-1].frame_number == count - 1
            assert_counts(results, received[-1].completed, num_sent=count)

    @pytest.mark.alone
    def test_thirty_frames_a_second_into_a_slower_model(self, stub: Stub) -> None:
        """Counts are exact, and no result is later than two runs: the one that its frame waited for, and its own."""
        num_sent, content = 60, png(1, noise=20_000)
        sent_s: dict[int, float] = {}

        def camera() -> Iterator[Message]:
            yield setup(colours("toy-slow"), latest_only=True)
            began = time.monotonic()
            for number in range(num_sent):
                time.sleep(max(0.0, began + number / 30 - time.monotonic()))
                sent_s[number] = time.monotonic()
                yield frame(number, content)

        delays, results = [], []
        for event in stub.StreamAnalyzeImage(camera(), timeout=60):
            if event.HasField("frame"):
                delays.append(time.monotonic() - sent_s[event.frame.frame_number])
                results.append(event.frame)
        assert_counts(results, event.completed, num_sent)
        assert 10 <= len(results) <= 25, "about ten a second for two seconds"
        delays.sort()
        # The machine may be busy for a moment, but not for most of the time.
        assert delays[len(delays) // 2] < 2 * SLOW_S
        assert delays[len(delays) * 8 // 10] < 2 * SLOW_S + 0.05

    def test_slow_reader_has_frames_dropped_and_is_not_held_back(self, toys: ToyServer) -> None:
        content = png(noise=100_000)
        is_sent = threading.Event()
        num_sent = 500

        def camera() -> Iterator[Message]:
            yield setup(
                feature("toy-faces", "faces", max_faces=1000, min_score=0.0, include_landmarks=True), latest_only=True
            )
            yield from (frame(number, content) for number in range(num_sent))
            is_sent.set()

        with grpc.insecure_channel(toys.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            call = Stub(channel).StreamAnalyzeImage(camera(), timeout=60)
            assert is_sent.wait(30), "all 50 MB are read though no result is"
            received = list(call)
        results = list(frames_of(received))
        assert len(results) < 100
        assert results[-1].frame_number == num_sent - 1
        assert_counts(results, received[-1].completed, num_sent)


def assert_counts(results: list[pb.FrameResult], completed: pb.StreamAnalyzeImageCompleted, num_sent: int) -> None:
    """Each frame was analysed or dropped, and each drop was told where it happened."""
    numbers = [result.frame_number for result in results]
    assert completed.analyzed_count == len(results)
    assert completed.analyzed_count + completed.dropped_count == num_sent
    assert sum(result.dropped_before for result in results) == completed.dropped_count
    gaps = [now - last - 1 for last, now in itertools.pairwise([-1, *numbers])]
    assert [result.dropped_before for result in results] == gaps


@pytest.mark.parametrize("latest_only", [False, True])
class TestEnds:
    """A stream leaves nothing behind, whatever ends it."""

    def test_vanished_caller(self, stub: Stub, toys: ToyServer, *, latest_only: bool) -> None:
        model = toys.models[MODEL]
        toys.set_gate(MODEL, is_open=False)
        try:
            dialogue = Dialogue(stub, setup(colours(), colours(top_k=1), latest_only=latest_only))
            for number in range(10):
                dialogue.send(frame(number, png()))
            assert wait_until(lambda: model.num_under_way == 2 * (1 if latest_only else MAX_FRAMES_AHEAD))
            dialogue.call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
            assert_nothing_left(toys, lambda: model.num_under_way)
            assert wait_until(lambda: toys.metrics.records[-1].status == "CANCELLED")
        finally:
            toys.set_gate(MODEL, is_open=True)

    def test_deadline(self, tmp_path_factory: pytest.TempPathFactory, *, latest_only: bool) -> None:
        # The server's own limit: the caller's clock, which gives no reason, cannot be the first to end the call.
        with ToyServer(tmp_path_factory.mktemp("store"), MODELS, max_deadline_s=2.0) as toys:
            model = toys.models[MODEL]
            toys.set_gate(MODEL, is_open=False)
            sent = [setup(colours(), latest_only=latest_only), frame(1, png()), frame(2, png())]
            failure = refused(lambda: list(Stub(toys.channel).StreamAnalyzeImage(iter(sent), timeout=60)))
            assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
            used = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
            assert 1 <= used.images.image_count <= 2
            assert_nothing_left(toys, lambda: model.num_under_way)

    def test_defect_of_a_model(self, stub: Stub, toys: ToyServer, *, latest_only: bool) -> None:
        model = toys.models["toy-broken"]
        sent = [setup(feature("toy-broken", "detection"), latest_only=latest_only), frame(1, png()), frame(2, png())]
        failure = refused(lambda: events(stub, sent))
        assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")
        assert_nothing_left(toys, lambda: model.num_under_way)

    def test_caller_that_only_waits_at_the_end_of_the_server(
        self, tmp_path_factory: pytest.TempPathFactory, *, latest_only: bool
    ) -> None:
        with ToyServer(tmp_path_factory.mktemp("store"), MODELS) as toys:
            dialogue = Dialogue(Stub(toys.channel), setup(colours(), latest_only=latest_only))
            dialogue.send(frame(1, png()))
            assert dialogue.next().HasField("frame")
            toys.thread.loop.call_soon_threadsafe(toys.admission.close)
            toys.thread.loop.call_soon_threadsafe(toys.admission.cut)
            failure = refused(dialogue.next)
            assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "CALL_ABORTED")
            assert failure.message == "the server stopped before the call was finished"
            assert_nothing_left(toys, lambda: 0)


def assert_nothing_left(toys: ToyServer, num_under_way: Callable[[], int]) -> None:
    assert wait_until(lambda: num_under_way() == 0)
    assert wait_until(lambda: toys.admission.in_flight == 0)
    assert wait_until(lambda: toys.thread.run(_num_readers()) == 0)


async def _num_readers() -> int:
    import asyncio

    return sum(task.get_name() == "frames to analyze" for task in asyncio.all_tasks())


def strip(result: pb.VisionResult) -> bytes:
    """The result without the id of its call."""
    if result.HasField("error"):
        result.error.details.pop()
    return result.SerializeToString()


def test_stream_without_a_deadline_has_the_longest() -> None:
    from trivium_server.rpc.methods import method_named

    assert method_named("/trivium.v1.VisionService/StreamAnalyzeImage").is_long
    assert not method_named("/trivium.v1.VisionService/AnalyzeImage").is_long
