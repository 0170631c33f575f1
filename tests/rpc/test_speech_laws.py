"""What holds of StreamRecognize whatever callers do, over a real channel. The models are toys."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias  # calls of two kinds, of which grpc's stubs know little

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rpc.generating import refused
from tests.rpc.talking import (
    FINALIZE,
    KEEP_ALIVE,
    PCM,
    Dialogue,
    Heard,
    duration,
    finals,
    hear,
    heard,
    interims,
    kinds,
    pieces,
    recognize,
    recognize_request,
    sound,
    texts,
    wav,
)
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_speech import MODELS, pcm, silence, speech, words
from tests.serving import wait_until
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub as Stub
from trivium_server.config import SpeechConfig

MAX_STREAMS = 16
MAX_IDLE_S = 1.5
UTTERANCES = st.lists(st.text("0123456789", min_size=1, max_size=5), min_size=1, max_size=3)
SIZES = st.lists(st.integers(1, 30_000), min_size=1, max_size=4)
AUTO = pb.AudioFormat()

Conversation: TypeAlias = Dialogue[Heard, pb.StreamRecognizeResponse]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    config = SpeechConfig(max_streams=MAX_STREAMS, max_idle_s=MAX_IDLE_S)
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS, speech=config) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


def assert_nothing_left(toys: ToyServer) -> None:
    assert wait_until(lambda: toys.admission.in_flight == 0)
    assert toys.recognition._streams.num_taken == toys.recognition._files.num_taken == 0
    assert wait_until(lambda: all(model.num_under_way == 0 for model in toys.models.values()))


def cut(raw: bytes, sizes: list[int]) -> list[Heard]:
    """Messages of these sizes, over and over; not more than some hundreds."""
    sizes = [max(size, len(raw) // 500) for size in sizes]
    messages, start, turn = [], 0, 0
    while start < len(raw):
        messages.append(sound(raw[start : start + sizes[turn % len(sizes)]]))
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    return messages


@given(utterances=UTTERANCES, sizes=SIZES, rate_hz=st.sampled_from([8000, 16_000, 44_100]))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_messages_equal_one(stub: Stub, utterances: list[str], sizes: list[int], rate_hz: int) -> None:
    raw = pcm(speech(*utterances, rate_hz=rate_hz))
    audio_format = pb.AudioFormat(encoding=PCM.encoding, sample_rate_hertz=rate_hz)
    growing = hear(audio_format, interim_results=True, interim_period=duration(0.1))
    whole = finals(heard(stub, [hear(audio_format), sound(raw)]))
    assert finals(heard(stub, [growing, *cut(raw, sizes)])) == whole
    assert texts(whole) == [words(each) for each in utterances]


@given(utterances=UTTERANCES, sizes=SIZES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_live_equals_the_file(stub: Stub, utterances: list[str], sizes: list[int]) -> None:
    samples = speech(*utterances)
    spoken = [update.segment for update in finals(heard(stub, [hear(), *cut(pcm(samples), sizes)]))]
    assert list(recognize(stub, wav(samples)).segments) == spoken
    sent = finals(heard(stub, [hear(AUTO), *cut(wav(samples), sizes)]))
    assert [update.segment for update in sent] == spoken


@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
def test_slower_and_faster_than_real_time_equals_at_once(stub: Stub, pace: float) -> None:
    raw = pcm(speech("31", "4", pause_s=0.5))
    at_once = finals(heard(stub, [hear(), sound(raw)]))

    def spoken() -> Iterator[Heard]:
        yield hear(interim_results=True, interim_period=duration(0.1))
        for message in pieces(raw, 3200):
            time.sleep(0.1 / pace)
            yield message

    events = list(stub.StreamRecognize(spoken(), timeout=60))
    assert finals(events) == at_once
    assert interims(events)


def test_finalize_splits_alike_however_it_is_sent(stub: Stub) -> None:
    first, second = pcm(speech("314")[: -round(0.5 * 16_000)]), pcm(speech("15", pause_s=0.2))
    whole = finals(heard(stub, [hear(), sound(first), FINALIZE, sound(second)]))
    assert texts(whole) == [words("314"), words("15")]
    for size in (333, 5000):
        again = heard(stub, [hear(), *pieces(first, size), FINALIZE, FINALIZE, *pieces(second, size)])
        assert finals(again) == whole


@pytest.mark.parametrize(("utterances", "language"), [(["31", "9", "92"], "en"), (["9", "31", "4"], "de")])
def test_first_utterance_decides_on_the_language(stub: Stub, utterances: list[str], language: str) -> None:
    """The toy takes for German what has a nine in it, where it may."""
    samples = speech(*utterances)
    spoken = finals(heard(stub, [hear(interim_results=True), *pieces(pcm(samples), 3200)]))
    assert [update.segment.language_code for update in spoken] == [language] * 3
    answer = recognize(stub, wav(samples))
    assert [segment.language_code for segment in answer.segments] == [language] * 3
    assert answer.language_code == language


def test_storm_of_cancels_and_deadlines_leaves_nothing(stub: Stub, toys: ToyServer) -> None:
    """Streams, files in pieces and recordings, left at any moment of their lives."""
    rng = random.Random(4)
    samples = speech("314", "15", "926535")
    setups = [
        hear(model="toy-slow-ear", interim_results=True, interim_period=duration(0.1)),
        hear(interim_results=True),
        hear(AUTO, model="toy-slow-ear"),
    ]
    plans = [
        (turn % 4, rng.choice(["cancel", "deadline", "end"]), rng.uniform(0.0, 0.4), rng.randrange(500, 50_000))
        for turn in range(60)
    ]

    def one(plan: tuple[int, str, float, int]) -> grpc.StatusCode | None:
        kind, ending, after_s, size = plan
        timeout_s = max(0.02, after_s) if ending == "deadline" else 60.0
        call: Any
        if kind == 3:
            request = recognize_request(wav(samples), model="toy-slow-ear")
            call = stub.Recognize.future(request, timeout=timeout_s)
        else:
            raw = wav(samples) if kind == 2 else pcm(samples)
            dialogue: Conversation = Dialogue(stub.StreamRecognize, setups[kind], timeout=timeout_s)
            dialogue.send(*pieces(raw, size))
            call = dialogue.call
            if ending == "end":
                dialogue.half_close()
        if ending == "cancel":
            time.sleep(after_s)
            call.cancel()
        try:
            list(call) if kind < 3 else call.result()
        except (grpc.RpcError, grpc.FutureCancelledError):
            pass
        finally:
            if kind < 3:
                dialogue.half_close()
        code: grpc.StatusCode | None = call.code()
        return code

    with ThreadPoolExecutor(12) as callers:
        codes = list(callers.map(one, plans))
    for (_, ending, _, _), code in zip(plans, codes, strict=True):
        if ending == "end":
            assert code is grpc.StatusCode.OK
    assert codes.count(grpc.StatusCode.CANCELLED) >= 5
    assert codes.count(grpc.StatusCode.DEADLINE_EXCEEDED) >= 5
    assert_nothing_left(toys)
    assert texts(finals(heard(stub, [hear(), sound(pcm(speech("7")))]))) == ["seven"]


def test_full_server_says_when_to_try_again(stub: Stub, toys: ToyServer) -> None:
    open_ones: list[Conversation] = [Dialogue(stub.StreamRecognize, hear()) for _ in range(MAX_STREAMS)]
    for dialogue in open_ones:
        assert dialogue.next().HasField("ready")
    try:
        failure = refused(lambda: heard(stub, [hear()]))
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        retry = failure.detail(error_details_pb2.RetryInfo)
        assert retry is not None
        assert 0 < retry.retry_delay.ToTimedelta().total_seconds() <= 10
    finally:
        for dialogue in open_ones:
            dialogue.end()
    assert_nothing_left(toys)


class TestIdle:
    """Streams whose callers send nothing."""

    @pytest.mark.parametrize("audio_format", [PCM, AUTO], ids=["live", "file"])
    def test_idle_stream_ends_and_says_what_to_do(
        self, stub: Stub, toys: ToyServer, audio_format: pb.AudioFormat
    ) -> None:
        dialogue: Conversation = Dialogue(stub.StreamRecognize, hear(audio_format))
        assert dialogue.next().HasField("ready")
        began_s = time.monotonic()
        failure = refused(dialogue.next)
        assert MAX_IDLE_S * 0.9 < time.monotonic() - began_s < MAX_IDLE_S + 5
        assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert failure.metadata == {"limit_seconds": "1.5"}
        assert failure.message == "no message came for 1.5 s; send keep_alive while there is nothing to send"
        assert_nothing_left(toys)
        dialogue.half_close()

    def test_what_was_said_before_is_told(self, stub: Stub, toys: ToyServer) -> None:
        dialogue: Conversation = Dialogue(stub.StreamRecognize, hear())
        dialogue.send(sound(pcm(speech("31"))))
        assert texts(finals(dialogue.until("transcript"))) == [words("31")]
        assert refused(dialogue.next).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert_nothing_left(toys)
        dialogue.half_close()

    def test_keep_alive_holds_the_stream(self, stub: Stub) -> None:
        dialogue: Conversation = Dialogue(stub.StreamRecognize, hear())
        for _ in range(5):
            time.sleep(MAX_IDLE_S / 3)
            dialogue.send(KEEP_ALIVE)
        dialogue.send(sound(pcm(speech("7"))))
        assert kinds(dialogue.end()) == ["ready", "transcript", "completed"]

    def test_time_in_which_the_server_works_is_no_idleness(self, stub: Stub, toys: ToyServer) -> None:
        """Neither while it does not read, nor once the caller has sent all."""
        toys.set_gate("toy-ear", is_open=False)
        try:
            dialogue: Conversation = Dialogue(stub.StreamRecognize, hear())
            # More than the server hears ahead.
            dialogue.send(*pieces(pcm(speech(*["31415926"] * 12)), 16_000))
            dialogue.half_close()
            time.sleep(MAX_IDLE_S * 1.5)
        finally:
            toys.set_gate("toy-ear", is_open=True)
        assert len(finals(dialogue.end())) == 12
        assert_nothing_left(toys)


def test_silence_is_no_idleness(stub: Stub) -> None:
    def quiet() -> Iterator[Heard]:
        yield hear()
        for _ in range(4):
            time.sleep(MAX_IDLE_S / 2)
            yield sound(pcm(silence(0.1)))

    assert kinds(list(stub.StreamRecognize(quiet(), timeout=60))) == ["ready", "completed"]
