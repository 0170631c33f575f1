"""SpeechRecognitionService.StreamRecognize with live sound, over a real channel. The models are toys."""

import asyncio
import io
import itertools
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

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
    seconds,
    sound,
    texts,
    usage_of,
)
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_speech import MODELS, RUN_S, Floats, ToyEar, pcm, silence, speech, words
from tests.serving import wait_until
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub as Stub
from trivium_server.config import SpeechConfig

MAX_STREAMS = 3
SPOKEN = ("314", "15", "926535")
CHUNK = 3200


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    speech_config = SpeechConfig(max_streams=MAX_STREAMS)
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS, speech=speech_config) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


def assert_nothing_left(toys: ToyServer) -> None:
    """What a stream leaves behind, however it ended: no task, no slot, nothing under way."""
    assert wait_until(lambda: toys.admission.in_flight == 0)
    assert toys.recognition._streams.num_taken == 0
    assert wait_until(lambda: all(model.num_under_way == 0 for model in toys.models.values()))
    assert wait_until(lambda: toys.thread.run(_num_tasks()) == 0)


async def _num_tasks() -> int:
    names = ("Live", "Merged", "SpeechRecognition", "Hearing")
    return sum(any(name in repr(task.get_coro()) for name in names) for task in asyncio.all_tasks())


class TestUtterances:
    """What is said comes back, utterance by utterance."""

    def test_each_utterance_has_one_final_result(self, stub: Stub) -> None:
        raw = pcm(speech(*SPOKEN))
        events = heard(stub, [hear(), *pieces(raw, CHUNK)])
        assert kinds(events) == ["ready", *["transcript"] * 3, "completed"]
        assert [event.sequence for event in events] == list(range(5))
        updates = finals(events)
        assert texts(updates) == [words(digits) for digits in SPOKEN]
        assert [update.segment.segment_index for update in updates] == [0, 1, 2]
        assert all(
            update.stable_prefix_length == len(text) for update, text in zip(updates, texts(updates), strict=True)
        )
        starts = [seconds(update.segment.start_offset) for update in updates]
        ends = [seconds(update.segment.end_offset) for update in updates]
        assert starts[0] == pytest.approx(0.8, abs=0.25)
        assert all(start < end for start, end in zip(starts, ends, strict=True))
        assert all(end <= start for end, start in zip(ends[:-1], starts[1:], strict=True))
        assert all(seconds(update.processed_offset) >= end for update, end in zip(updates, ends, strict=True))
        assert not updates[0].HasField("audio_duration")
        segment = updates[0].segment
        assert (segment.language_code, segment.channel) == ("en", 0)
        assert (segment.alternatives[0].confidence, segment.no_speech_probability) == (0.75, 0.125)
        assert not segment.alternatives[0].words

    def test_ready_says_who_answers_and_what_is_expected(self, stub: Stub) -> None:
        stereo = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_PCM_F32LE, sample_rate_hertz=8000, channel_count=2)
        for given, accepted, chunk_bytes in (
            (PCM, pb.AudioFormat(encoding=PCM.encoding, sample_rate_hertz=16_000, channel_count=1), 1280),
            (stereo, stereo, 2560),
        ):
            ready = heard(stub, [hear(given)])[0].ready
            assert ready.accepted_format == accepted
            assert ready.preferred_chunk_bytes == chunk_bytes
            assert (ready.model.name, ready.model.execution_provider) == ("toy-ear", "ToyExecutionProvider")

    def test_completed_says_what_was_used(self, stub: Stub) -> None:
        samples = speech(*SPOKEN)
        completed = heard(stub, [hear(), *pieces(pcm(samples), CHUNK)])[-1].completed
        length_s = len(samples) / 16_000
        assert seconds(completed.audio_duration) == pytest.approx(length_s)
        audio = completed.info.usage.audio
        assert seconds(audio.input_duration) == pytest.approx(length_s)
        assert 2.5 < seconds(audio.speech_duration) < length_s
        assert (seconds(audio.output_duration), audio.channel_count) == (0, 1)
        assert seconds(completed.info.usage.compute_duration) == pytest.approx(3 * RUN_S)
        timing = completed.info.timing
        assert 0 < seconds(timing.first_output_duration) <= seconds(timing.total_duration)
        assert completed.info.model.name == "toy-ear"
        assert not completed.info.warnings

    def test_usage_is_in_the_trailer_and_the_record_too(self, stub: Stub, toys: ToyServer) -> None:
        call = stub.StreamRecognize(iter([hear(), *pieces(pcm(speech("1")), CHUNK)]), timeout=60)
        *_, last = call
        assert usage_of(call) == last.completed.info.usage
        assert wait_until(lambda: toys.metrics.records[-1].method.endswith("/StreamRecognize"))
        assert toys.metrics.records[-1].input_audio_s == seconds(last.completed.audio_duration)

    @pytest.mark.parametrize("samples", [silence(0), silence(0.01), silence(5), speech()])
    def test_silence_gives_nothing(self, stub: Stub, samples: Floats) -> None:
        events = heard(stub, [hear(interim_results=True), *pieces(pcm(samples), CHUNK)])
        assert kinds(events) == ["ready", "completed"]
        assert seconds(events[-1].completed.audio_duration) == len(samples) / 16_000

    def test_half_close_finishes_what_is_being_said(self, stub: Stub) -> None:
        cut = speech("2718")[: -round(0.79 * 16_000)]
        assert texts(finals(heard(stub, [hear(), sound(pcm(cut))]))) == [words("2718")]

    def test_words_where_they_are_asked_for(self, stub: Stub) -> None:
        events = heard(stub, [hear(config={"include_word_timings": True}), sound(pcm(speech("42")))])
        (final,) = finals(events)
        first, second = final.segment.alternatives[0].words
        assert (first.word, second.word, first.confidence) == ("four", "two", 0.5)
        assert seconds(first.start_offset) == pytest.approx(0.8, abs=0.02)
        assert seconds(second.start_offset) == pytest.approx(0.8 + 0.304, abs=0.02)

    def test_options_reach_the_model(self, stub: Stub, toys: ToyServer) -> None:
        config = {"language_codes": ["DE-at", "de", "en"], "task": pb.RECOGNITION_TASK_TRANSLATE, "prompt": "Ä" * 1000}
        (final,) = finals(heard(stub, [hear(config=config), sound(pcm(speech("19")))]))
        assert texts([final]) == ["ONE NINE"]
        assert final.segment.language_code == "de"
        ear = toys.models["toy-ear"]
        assert isinstance(ear, ToyEar)
        options = ear.seen[-1][0]
        assert (options.language_codes, options.prompt) == (("de", "en"), "Ä" * 1000)


class TestChunks:
    """How the audio is cut into messages, and how fast it comes, changes nothing."""

    @pytest.mark.parametrize("size", [1, 3, 641, 32_001, 10**7])
    def test_any_chunking_is_the_whole(self, stub: Stub, size: int) -> None:
        rate_hz = 8000 if size < 10 else 44_100
        samples = speech("3", pause_s=0.3, rate_hz=rate_hz) if size < 10 else speech("314", "15", rate_hz=rate_hz)
        setup = hear(pb.AudioFormat(encoding=PCM.encoding, sample_rate_hertz=rate_hz))
        expected = heard(stub, [setup, sound(pcm(samples))])
        raw = pcm(samples)
        # A thousand messages are enough of such small ones.
        events = heard(stub, [setup, *pieces(raw[: 1000 * size], size), sound(raw[1000 * size :])])
        assert [event.transcript for event in events] == [event.transcript for event in expected]
        assert finals(events)

    def test_empty_messages_are_allowed(self, stub: Stub) -> None:
        events = heard(stub, [hear(), sound(b""), *pieces(pcm(speech("7")), CHUNK), sound(b"")])
        assert texts(finals(events)) == ["seven"]

    @pytest.mark.parametrize(
        ("encoding", "rate_hz", "channels"),
        [
            ("PCM_S16LE", 8000, 1),
            ("PCM_S16LE", 48_000, 8),
            ("PCM_F32LE", 44_100, 2),
            ("MULAW", 8000, 1),
            ("ALAW", 8000, 2),
        ],
    )
    def test_raw_encodings(self, stub: Stub, encoding: str, rate_hz: int, channels: int) -> None:
        samples = speech("314", "15", rate_hz=rate_hz)
        wide = np.repeat(samples[:, None], channels, axis=1)
        subtype = {"PCM_S16LE": "PCM_16", "PCM_F32LE": "FLOAT", "MULAW": "ULAW", "ALAW": "ALAW"}[encoding]
        with io.BytesIO() as file:
            soundfile.write(file, wide, rate_hz, format="RAW", subtype=subtype, endian="LITTLE")
            raw = file.getvalue()
        given = pb.AudioFormat(
            encoding=pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}"),
            sample_rate_hertz=rate_hz,
            channel_count=channels,
        )
        events = heard(stub, [hear(given), *pieces(raw, 7777)])
        assert texts(finals(events)) == [words("314"), words("15")]
        assert events[-1].completed.info.usage.audio.channel_count == channels
        assert seconds(events[-1].completed.audio_duration) == pytest.approx(len(samples) / rate_hz, abs=1e-3)

    def test_an_end_within_a_sample_is_told(self, stub: Stub) -> None:
        events = heard(stub, [hear(), sound(pcm(speech("7")) + b"\x01")])
        assert texts(finals(events)) == ["seven"]
        (warning,) = events[-1].completed.info.warnings
        assert (warning.code, warning.field_path) == (common_pb2.WARNING_CODE_INPUT_CUT_SHORT, "audio")
        assert "1 bytes" in warning.message

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_sample_that_is_no_number(self, stub: Stub, value: float) -> None:
        given = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_PCM_F32LE, sample_rate_hertz=16_000)
        raw = np.array([0, 0.5, value], "<f4").tobytes()
        failure = refused(lambda: heard(stub, [hear(given), sound(raw)]))
        assert (failure.reason, list(failure.fields)) == ("UNDECODABLE_MEDIA", ["audio"])


class TestWhileItIsSpoken:
    """Interim results, finals without closing, activity."""

    def test_an_utterance_is_final_once_the_speaker_is_silent(self, stub: Stub) -> None:
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, hear())
        dialogue.send(*pieces(pcm(speech("31", pause_s=0.5)), CHUNK))
        assert texts(finals(dialogue.until("transcript"))) == [words("31")]
        dialogue.send(*pieces(pcm(speech("41", pause_s=0.5)), CHUNK))
        assert texts(finals(dialogue.until("transcript"))) == [words("41")]
        assert kinds(dialogue.end()) == ["completed"]

    def test_interim_results_grow_and_share_the_index(self, stub: Stub) -> None:
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(
            stub.StreamRecognize, hear(interim_results=True, interim_period=duration(0.1))
        )
        samples = speech("926535")
        events = [dialogue.next()]
        for start in range(0, len(samples), 1600):
            dialogue.send(sound(pcm(samples[start : start + 1600])))
            time.sleep(0.02)
        events += dialogue.end()
        growing, (final,) = interims(events), finals(events)
        assert len(growing) >= 3
        assert {update.segment.segment_index for update in events_of(events)} == {0}
        whole = words("926535")
        assert all(whole.startswith(text) for text in texts(growing))
        assert texts([final]) == [whole]
        lengths = [update.stable_prefix_length for update in growing]
        assert all(length <= len(text) for length, text in zip(lengths, texts(growing), strict=True))
        assert lengths == sorted(lengths)
        offsets = [seconds(update.processed_offset) for update in growing]
        assert all(now - last >= 0.1 for last, now in itertools.pairwise(offsets))

    def test_no_interim_results_where_none_are_wanted(self, stub: Stub) -> None:
        assert not interims(heard(stub, [hear(), *pieces(pcm(speech("926535")), 320)]))

    def test_finals_are_the_same_with_interim_results(self, stub: Stub) -> None:
        raw = pcm(speech(*SPOKEN))
        setup = hear(interim_results=True, interim_period=duration(0.1))
        assert finals(heard(stub, [setup, *pieces(raw, 640)])) == finals(heard(stub, [hear(), sound(raw)]))

    def test_finalize_ends_the_utterance_and_not_the_stream(self, stub: Stub) -> None:
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, hear())
        dialogue.send(FINALIZE, *pieces(pcm(speech("31")[: -round(0.7 * 16_000)]), CHUNK), FINALIZE, FINALIZE)
        assert texts(finals(dialogue.until("transcript"))) == [words("31")]
        dialogue.send(KEEP_ALIVE, *pieces(pcm(speech("4")), CHUNK))
        assert texts(finals(dialogue.until("transcript"))) == ["four"]
        dialogue.send(KEEP_ALIVE)
        assert kinds(dialogue.end()) == ["completed"]

    def test_activity_where_it_is_asked_for(self, stub: Stub) -> None:
        asked = hear(endpointing=pb.EndpointingConfig(emit_activity_events=True))
        events = heard(stub, [asked, *pieces(pcm(speech("31", "4")), CHUNK)])
        activities = [event.activity for event in events if event.HasField("activity")]
        names = [pb.ActivityKind.Name(one.kind).removeprefix("ACTIVITY_KIND_") for one in activities]
        assert names == ["SPEECH_START", "SPEECH_END", "END_OF_UTTERANCE"] * 2
        offsets = [seconds(one.offset) for one in activities]
        assert offsets == sorted(offsets)
        assert offsets[0] == pytest.approx(0.8, abs=0.05)
        assert offsets[1] == pytest.approx(0.8 + 0.61, abs=0.1)
        order = [kind for kind in kinds(events) if kind in {"activity", "transcript"}]
        assert order == ["activity"] * 3 + ["transcript"] + ["activity"] * 3 + ["transcript"]

    @pytest.mark.parametrize(("silence_s", "expected"), [(0.1, 3), (0.7, 3), (1.2, 1), (5.0, 1)])
    def test_trailing_silence(self, stub: Stub, silence_s: float, expected: int) -> None:
        setup = hear(endpointing=pb.EndpointingConfig(trailing_silence=duration(silence_s)))
        events = heard(stub, [setup, *pieces(pcm(speech("31", "4", "1")), CHUNK)])
        assert len(finals(events)) == expected

    @pytest.mark.parametrize(("threshold", "expected"), [(0.05, 1), (0.95, 1)])
    def test_threshold_at_both_ends(self, stub: Stub, threshold: float, expected: int) -> None:
        setup = hear(endpointing=pb.EndpointingConfig(activity_threshold=threshold))
        assert len(finals(heard(stub, [setup, sound(pcm(speech("31")))]))) == expected

    def test_long_speech_is_cut(self, stub: Stub) -> None:
        events = heard(stub, [hear(), *pieces(pcm(speech("314159265358979")), CHUNK)])
        updates = finals(events)
        assert len(updates) > 1
        assert all(
            seconds(update.segment.end_offset) - seconds(update.segment.start_offset) <= 4.01 for update in updates
        )


def events_of(events: list[pb.StreamRecognizeResponse]) -> list[pb.TranscriptUpdate]:
    return [event.transcript for event in events if event.HasField("transcript")]


class TestEndsByItself:
    """Streams that the server ends with `completed` although the caller has not half-closed."""

    def test_after_one_utterance(self, stub: Stub, toys: ToyServer) -> None:
        setup = hear(endpointing=pb.EndpointingConfig(single_utterance=True))
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, setup)
        dialogue.send(*pieces(pcm(speech("31", "4")), CHUNK))
        events = dialogue.until("completed")
        assert kinds(events) == ["ready", "transcript", "completed"]
        with pytest.raises(StopIteration):
            dialogue.next()
        assert dialogue.call.code() is grpc.StatusCode.OK
        assert_nothing_left(toys)

    def test_when_nobody_speaks(self, stub: Stub, toys: ToyServer) -> None:
        setup = hear(endpointing=pb.EndpointingConfig(speech_start_timeout=duration(1)))
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, setup)
        dialogue.send(*pieces(pcm(speech("31")), CHUNK))
        assert kinds(dialogue.until("transcript")) == ["ready", "transcript"]
        dialogue.send(*pieces(pcm(silence(2)), CHUNK))
        assert kinds(dialogue.until("completed")) == ["completed"]
        assert_nothing_left(toys)


class TestRoom:
    """Streams beyond the limit, and callers who send faster than is heard."""

    def test_no_more_streams_than_there_is_room_for(self, stub: Stub, toys: ToyServer) -> None:
        open_ones: list[Dialogue[Heard, pb.StreamRecognizeResponse]] = [
            Dialogue(stub.StreamRecognize, hear()) for _ in range(MAX_STREAMS)
        ]
        for dialogue in open_ones:
            assert dialogue.next().HasField("ready")
        failure = refused(lambda: heard(stub, [hear()]))
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert failure.metadata == {"limit": str(MAX_STREAMS)}
        assert failure.trailing["grpc-retry-pushback-ms"] == "2000"
        # Another model has its own, and files have theirs.
        assert kinds(heard(stub, [hear(model="toy-plain-ear")])) == ["ready", "completed"]
        for dialogue in open_ones:
            assert kinds(dialogue.end()) == ["completed"]
        assert kinds(heard(stub, [hear()])) == ["ready", "completed"]
        assert_nothing_left(toys)

    def test_a_caller_who_is_too_fast_is_held_back(self, toys: ToyServer) -> None:
        """While the models do not go on, little is read, and nothing is lost."""
        toys.set_gate("toy-ear", is_open=False)
        num_sent = 0
        minute = pcm(np.concatenate([speech("31")] * 30))

        def count_sent() -> Iterator[Heard]:
            nonlocal num_sent
            yield hear()
            for _ in range(15):
                for piece in pieces(minute, 64_000):
                    num_sent += 1
                    yield piece

        with grpc.insecure_channel(toys.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            call = Stub(channel).StreamRecognize(count_sent(), timeout=120)
            try:
                events = iter(call)
                assert next(events).HasField("ready")
                last = -1
                while num_sent != last:
                    last = num_sent
                    time.sleep(0.5)
                assert num_sent < 15 * len(minute) // 64_000 / 2, "less than half of it"
            finally:
                toys.set_gate("toy-ear", is_open=True)
            results = list(events)
        assert len(finals(results)) == 15 * 30
        assert_nothing_left(toys)


class TestFailures:
    """Messages out of turn, and ends that the stream did not choose."""

    @pytest.mark.parametrize(
        ("messages", "reason", "field"),
        [
            ([], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([sound(b"\0\0"), hear()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([KEEP_ALIVE], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([Heard()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([hear(), hear()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([hear(), sound(b"\0\0"), hear()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([hear(), Heard()], "INVALID_ARGUMENT_FIELD", "request"),
        ],
    )
    def test_out_of_turn(self, stub: Stub, toys: ToyServer, messages: list[Heard], reason: str, field: str) -> None:
        failure = refused(lambda: heard(stub, messages))
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (failure.reason, list(failure.fields)) == (reason, [field])
        assert_nothing_left(toys)

    def test_what_was_said_before_a_wrong_message_is_told(self, stub: Stub) -> None:
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, hear())
        dialogue.send(*pieces(pcm(speech("31")), CHUNK))
        assert texts(finals(dialogue.until("transcript"))) == [words("31")]
        dialogue.send(hear())
        assert refused(dialogue.next).reason == "STREAM_PROTOCOL_VIOLATION"

    def test_a_defect_of_the_model_ends_the_stream(self, stub: Stub, toys: ToyServer) -> None:
        messages = [hear(model="toy-broken-ear"), *pieces(pcm(speech("31")), CHUNK)]
        failure = refused(lambda: heard(stub, messages))
        assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")
        usage = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
        assert seconds(usage.audio.input_duration) > 0
        assert seconds(usage.compute_duration) == pytest.approx(RUN_S)
        assert_nothing_left(toys)

    def test_cancel_in_the_middle_leaves_nothing(self, stub: Stub, toys: ToyServer) -> None:
        for num_read in (0, 1, 2):
            setup = hear(model="toy-slow-ear", interim_results=True, interim_period=duration(0.1))
            dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, setup)
            dialogue.send(*pieces(pcm(speech(*SPOKEN)), CHUNK))
            for _ in range(num_read):
                dialogue.next()
            dialogue.call.cancel()
            dialogue.half_close()
            assert_nothing_left(toys)
        assert wait_until(lambda: toys.metrics.records[-1].status == "CANCELLED")

    def test_the_deadline_ends_the_stream_with_its_usage(self, stub: Stub, toys: ToyServer) -> None:
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, hear(), timeout=1.0)
        dialogue.send(*pieces(pcm(speech("31")), CHUNK))
        assert kinds(dialogue.until("transcript")) == ["ready", "transcript"]
        events = dialogue.until("go_away")
        assert 0 <= seconds(events[-1].go_away.time_left) <= 0.11
        failure = refused(dialogue.next)
        dialogue.half_close()
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if failure.trailing:  # a client whose own clock was first hears no more
            usage = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
            assert seconds(usage.audio.input_duration) == pytest.approx(len(speech("31")) / 16_000)
        assert_nothing_left(toys)

    def test_a_connection_that_breaks_leaves_nothing(self, toys: ToyServer) -> None:
        with grpc.insecure_channel(toys.address) as channel:
            dialogue: Dialogue[Heard, Any] = Dialogue(Stub(channel).StreamRecognize, hear(model="toy-slow-ear"))
            dialogue.send(*pieces(pcm(speech(*SPOKEN)), CHUNK))
            assert dialogue.next().HasField("ready")
        dialogue.half_close()
        assert_nothing_left(toys)

    def test_unloading_the_model_aborts_the_stream(self, stub: Stub, toys: ToyServer) -> None:
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(
            stub.StreamRecognize, hear(model="toy-plain-ear")
        )
        assert dialogue.next().HasField("ready")
        unloading = asyncio.run_coroutine_threadsafe(toys.catalog.unload("toy-plain-ear", 30.0), toys.thread.loop)
        time.sleep(0.1)
        assert not unloading.done(), "a stream holds its model"
        assert refused(lambda: heard(stub, [hear(model="toy-plain-ear")])).reason == "MODEL_NOT_READY"
        dialogue.send(sound(pcm(speech("31"))))
        assert kinds(dialogue.end()) == ["transcript", "completed"]
        unloading.result(10)
        toys.thread.loop.call_soon_threadsafe(toys.catalog.start_load, "toy-plain-ear")
        assert wait_until(lambda: toys.catalog.status("toy-plain-ear").state.name == "READY")

    def test_unloading_ends_a_stream_that_is_silent(self, stub: Stub, toys: ToyServer) -> None:
        dialogue: Dialogue[Heard, Any] = Dialogue(stub.StreamRecognize, hear(model="toy-plain-ear"))
        assert dialogue.next().HasField("ready")
        toys.thread.run(toys.catalog.unload("toy-plain-ear", 0.1))
        try:
            failure = refused(dialogue.next)
            assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "CALL_ABORTED")
            assert_nothing_left(toys)
        finally:
            dialogue.half_close()
            toys.thread.loop.call_soon_threadsafe(toys.catalog.start_load, "toy-plain-ear")
            assert wait_until(lambda: toys.catalog.status("toy-plain-ear").state.name == "READY")


class TestGoAway:
    """Callers hear in time that their stream will end."""

    def test_a_drain_is_told_at_once_and_the_stream_goes_on(self, tmp_path: Any) -> None:
        with ToyServer(tmp_path, MODELS) as server:
            dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(
                Stub(server.channel).StreamRecognize, hear()
            )
            assert dialogue.next().HasField("ready")
            began = time.monotonic()
            server.thread.loop.call_soon_threadsafe(server.admission.announce_end, began + 20)
            told = dialogue.next()
            assert told.WhichOneof("event") == "go_away"
            assert time.monotonic() - began < 2
            assert 17 < seconds(told.go_away.time_left) <= 20
            dialogue.send(*pieces(pcm(speech("31")), CHUNK))
            assert kinds(dialogue.end()) == ["transcript", "completed"]
            # A stream that begins while the server drains hears of it after its `ready`.
            assert sorted(kinds(heard(Stub(server.channel), [hear(), sound(pcm(speech("4")))]))) == [
                "completed",
                "go_away",
                "ready",
                "transcript",
            ]


def test_stream_without_a_deadline_has_the_longest() -> None:
    from trivium_server.rpc.methods import Treatment, method_named

    method = method_named("/trivium.v1.SpeechRecognitionService/StreamRecognize")
    assert (method.is_long, method.treatment) == (True, Treatment.INFERENCE)
    assert not method_named("/trivium.v1.SpeechRecognitionService/Recognize").is_long
