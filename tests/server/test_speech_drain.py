"""SIGTERM while somebody speaks and somebody is spoken to: both hear of it at once, and go on within the grace."""

import signal
import time
from pathlib import Path

import grpc
import pytest

from tests.recordings import load_speech
from tests.rpc.generating import refused
from tests.rpc.talking import Dialogue, Heard, Told, finals, hear, kinds, pieces, seconds, speak, text
from tests.rpc.toy_speech import pcm
from tests.server.processes import ServerProcess
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub, SpeechSynthesisServiceStub
from trivium_models.store import Store

EAR, VOICE, DETECTOR = "moonshine-tiny-en", "hibari-heart", "silero-vad"
GRACE_S = 20.0


@pytest.fixture(scope="module")
def store() -> Path:
    for name in (EAR, VOICE, DETECTOR):
        folder = Store().pull(name).folder
    return folder.parent


def server_with(store: Path, grace_s: float) -> ServerProcess:
    names = f"{EAR},{VOICE},{DETECTOR}"
    return ServerProcess(store, TRIVIUM_MODELS_LOAD=names, TRIVIUM_DRAIN_GRACE_S=str(grace_s))


def test_streams_hear_of_the_drain_and_finish(store: Path) -> None:
    with server_with(store, GRACE_S) as server, grpc.insecure_channel(server.address) as channel:
        server.wait_for(r" ready  address=")
        ear: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(
            SpeechRecognitionServiceStub(channel).StreamRecognize, hear(model=EAR)
        )
        voice: Dialogue[Told, pb.StreamSynthesizeResponse] = Dialogue(
            SpeechSynthesisServiceStub(channel).StreamSynthesize, speak(model=VOICE)
        )
        assert ear.next().HasField("ready")
        assert voice.next().HasField("ready")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        for event in (ear.next(), voice.next()):
            assert event.HasField("go_away")
            assert GRACE_S - 5 < seconds(event.go_away.time_left) <= GRACE_S
        assert time.monotonic() - began < 5
        ear.send(*pieces(pcm(load_speech("beckett.wav")), 3200))
        voice.send(text("Goodbye."))
        heard = ear.end()
        assert finals(heard)
        assert kinds(heard)[-1] == "completed"
        assert kinds(voice.end())[-2:] == ["audio", "completed"]
        assert server.exit_code() == 0
        assert time.monotonic() - began < GRACE_S


def test_streams_that_outlast_the_grace_are_aborted(store: Path) -> None:
    with server_with(store, 0.5) as server, grpc.insecure_channel(server.address) as channel:
        server.wait_for(r" ready  address=")
        ear: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(
            SpeechRecognitionServiceStub(channel).StreamRecognize, hear(model=EAR)
        )
        assert ear.next().HasField("ready")
        server.signal(signal.SIGTERM)
        assert ear.next().HasField("go_away")
        failure = refused(ear.next)
        ear.half_close()
        assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "CALL_ABORTED")
        assert "trivium-usage-bin" in failure.trailing
        assert server.exit_code() == 0
