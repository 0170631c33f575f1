"""SIGTERM while streams of frames run: they go on within the grace, and hear why when they outlast it."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.rpc.looking import analyze, feature, frame, setup
from tests.rpc.toy_vision import png
from tests.server.processes import ServerProcess
from tests.serving import Failure
from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceStub
from trivium_models.store import Store

MODEL = "efficientnet-lite0"
CONTENT = png(200, 100, 50, width=64, height=64)
FEATURE = feature(MODEL, "classification", top_k=1)


@pytest.fixture(scope="module")
def store() -> Path:
    return Store().pull(MODEL).folder.parent


class Camera(threading.Thread):
    """Sends frames until told to stop, or none after the first, and reads to the end."""

    def __init__(self, channel: grpc.Channel, *, latest_only: bool, only_one: bool = False) -> None:
        super().__init__(daemon=True)
        self.started = threading.Event()
        self.stop = threading.Event()
        self.last: pb.StreamAnalyzeImageResponse | None = None
        self.failure: Failure | None = None
        self.num_sent = 0
        self._latest_only, self._only_one = latest_only, only_one
        self._call = VisionServiceStub(channel).StreamAnalyzeImage(self._messages())
        self.start()

    def _messages(self) -> Iterator[pb.StreamAnalyzeImageRequest]:
        yield setup(FEATURE, latest_only=self._latest_only)
        while not self.stop.wait(1 / 30):
            if not (self._only_one and self.num_sent):
                self.num_sent += 1
                yield frame(self.num_sent, CONTENT)

    def run(self) -> None:
        try:
            for event in self._call:
                self.last = event
                if event.HasField("frame"):
                    self.started.set()
        except grpc.RpcError as error:
            self.failure = Failure(error)
        self.stop.set()
        self.started.set()


def test_streams_go_on_within_the_grace(store: Path) -> None:
    with (
        ServerProcess(store, "--model", MODEL) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        cameras = [Camera(channel, latest_only=bool(place % 2)) for place in range(4)]
        assert all(camera.started.wait(60) for camera in cameras)
        server.signal(signal.SIGTERM)
        server.wait_for(r"draining")
        time.sleep(0.5)
        with pytest.raises(grpc.RpcError) as caught:
            analyze(VisionServiceStub(channel), CONTENT, FEATURE)
        assert Failure(caught.value).reason == "SERVER_DRAINING"
        sent_before = [camera.num_sent for camera in cameras]
        time.sleep(0.5)
        for camera, before in zip(cameras, sent_before, strict=True):
            camera.stop.set()
            camera.join(30)
            assert camera.failure is None
            assert camera.num_sent > before
            assert camera.last is not None
            completed = camera.last.completed
            assert completed.analyzed_count + completed.dropped_count == camera.num_sent
        assert server.exit_code() == 0


def test_streams_that_outlast_the_grace_hear_of_it(store: Path) -> None:
    """Those too whose caller sends nothing."""
    with (
        ServerProcess(store, "--model", MODEL, TRIVIUM_DRAIN_GRACE_S="0.3") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        cameras = [Camera(channel, latest_only=bool(place % 2), only_one=place > 1) for place in range(4)]
        assert all(camera.started.wait(60) for camera in cameras)
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        for camera in cameras:
            camera.join(30)
            assert camera.failure is not None
            assert (camera.failure.code, camera.failure.reason) == (grpc.StatusCode.ABORTED, "CALL_ABORTED")
            assert camera.failure.message == "the server stopped before the call was finished"
            assert camera.failure.metadata["model"] == MODEL
            assert camera.failure.detail(error_details_pb2.RetryInfo) is not None
            assert "trivium-usage-bin" in camera.failure.trailing
        assert server.exit_code() == 0
        assert time.monotonic() - begun < 30
