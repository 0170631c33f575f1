"""SpeechRecognitionService.Recognize, and files sent in pieces, over a real channel. The models are toys."""

import asyncio
import io
import logging
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
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
    WAV,
    Dialogue,
    Heard,
    finals,
    hear,
    heard,
    kinds,
    pieces,
    recognize,
    recognize_request,
    seconds,
    sound,
    texts,
    usage_of,
    wav,
)
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_speech import MODELS, RUN_S, Floats, pcm, silence, speech, words
from tests.serving import wait_until
from trivium.v1 import common_pb2, models_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub as Stub
from trivium_server.config import SpeechConfig

MAX_AUDIO_S = 30.0
MAX_FILE_BYTES = 1_000_000
MAX_FILES = 3
SPOKEN = ("314", "15", "926535")
AUTO = pb.AudioFormat()


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    config = SpeechConfig(max_audio_s=MAX_AUDIO_S, max_file_bytes=MAX_FILE_BYTES, max_files=MAX_FILES, decoders=2)
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS, speech=config) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


def encoded(samples: Floats, encoding: str, rate_hz: int = 16_000) -> bytes:
    formats = {"WAV": ("WAV", "PCM_16"), "FLAC": ("FLAC", "PCM_16"), "OGG_OPUS": ("OGG", "OPUS"), "MP3": ("MP3", None)}
    container, subtype = formats[encoding]
    with io.BytesIO() as file:
        soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
        return file.getvalue()


def assert_nothing_left(toys: ToyServer) -> None:
    assert wait_until(lambda: toys.admission.in_flight == 0)
    assert toys.recognition._files.num_taken == 0
    assert wait_until(lambda: all(model.num_under_way == 0 for model in toys.models.values()))
    assert wait_until(lambda: num_unnamed_files() == FILES_BEFORE)


def num_unnamed_files() -> int:
    """Temporary files of this process that have no name any more."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += str(link.readlink()).endswith("(deleted)")
        except FileNotFoundError:
            continue
    return found


FILES_BEFORE = num_unnamed_files()
"""Those of pytest."""


class TestRecognize:
    """A recording in one request."""

    def test_segments_text_and_usage(self, stub: Stub, toys: ToyServer) -> None:
        samples = speech(*SPOKEN)
        request = recognize_request(wav(samples), include_word_timings=True)
        answer, call = stub.Recognize.with_call(request, timeout=60)
        assert answer.text == " ".join(words(digits) for digits in SPOKEN)
        assert [one.alternatives[0].text for one in answer.segments] == [words(digits) for digits in SPOKEN]
        assert [one.segment_index for one in answer.segments] == [0, 1, 2]
        assert answer.language_code == "en"
        assert seconds(answer.audio_duration) == pytest.approx(len(samples) / 16_000)
        for segment in answer.segments:
            assert segment.start_offset.ToNanoseconds() < segment.end_offset.ToNanoseconds()
            assert (segment.channel, segment.language_code, segment.no_speech_probability) == (0, "en", 0.125)
            (alternative,) = segment.alternatives
            assert alternative.confidence == 0.75
            assert " ".join(word.word for word in alternative.words) == alternative.text
            assert seconds(alternative.words[0].start_offset) >= seconds(segment.start_offset)
            assert seconds(alternative.words[-1].end_offset) <= seconds(segment.end_offset)
        audio = answer.info.usage.audio
        assert seconds(audio.input_duration) == seconds(answer.audio_duration)
        assert 2.5 < seconds(audio.speech_duration) < seconds(audio.input_duration)
        assert (audio.channel_count, seconds(audio.output_duration)) == (1, 0)
        assert seconds(answer.info.usage.compute_duration) == pytest.approx(3 * RUN_S)
        assert answer.info.model.name == "toy-ear"
        assert not answer.info.warnings
        assert seconds(answer.info.timing.first_output_duration) > 0
        assert usage_of(call) == answer.info.usage

    @pytest.mark.parametrize("encoding", ["WAV", "FLAC", "OGG_OPUS", "MP3"])
    def test_files_are_known_by_their_bytes(self, stub: Stub, encoding: str) -> None:
        content = encoded(speech("314", "15"), encoding)
        said = f"{words('314')} {words('15')}"
        given = pb.AudioFormat(encoding=pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}"))
        auto = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_AUTO, sample_rate_hertz=8000, channel_count=8)
        for audio_format in (AUTO, auto, given):
            assert recognize(stub, content, format=audio_format).text == said

    def test_raw_sound(self, stub: Stub) -> None:
        assert recognize(stub, pcm(speech("314")), format=PCM).text == words("314")

    @pytest.mark.parametrize("samples", [silence(0.01), silence(3), speech()])
    def test_silence_gives_nothing(self, stub: Stub, samples: Floats) -> None:
        answer = recognize(stub, wav(samples), pb.CAPTION_FORMAT_SRT)
        assert (answer.text, len(answer.segments), answer.language_code) == ("", 0, "")
        assert seconds(answer.audio_duration) == len(samples) / 16_000
        assert answer.captions[0].content.strip() == ""

    def test_channels_are_mixed(self, stub: Stub) -> None:
        one, other = speech("314"), silence(len(speech("314")) / 16_000)
        answer = recognize(stub, wav(np.stack([one, other], axis=1)))
        assert answer.text == words("314")
        assert answer.info.usage.audio.channel_count == 2

    def test_channels_by_themselves(self, stub: Stub) -> None:
        one = np.concatenate([speech("314"), silence(2), speech("15")])
        other = np.concatenate([silence(2), speech("92"), silence(4)])[: len(one)]
        answer = recognize(stub, wav(np.stack([one, other], axis=1)), separate_channels=True)
        assert answer.text == f"{words('314')} {words('15')}\n{words('92')}"
        assert [(one.channel, one.alternatives[0].text) for one in answer.segments] == [
            (0, words("314")),
            (1, words("92")),
            (0, words("15")),
        ]
        assert [one.segment_index for one in answer.segments] == [0, 1, 2]
        audio = answer.info.usage.audio
        assert audio.channel_count == 2
        assert seconds(audio.input_duration) == pytest.approx(len(one) / 16_000)

    def test_captions_in_the_order_asked_for(self, stub: Stub) -> None:
        answer = recognize(stub, wav(speech("314", "15")), pb.CAPTION_FORMAT_WEBVTT, pb.CAPTION_FORMAT_SRT)
        assert [one.format for one in answer.captions] == [pb.CAPTION_FORMAT_WEBVTT, pb.CAPTION_FORMAT_SRT]
        vtt, srt = (one.content for one in answer.captions)
        assert vtt.startswith("WEBVTT")
        assert srt.startswith("1\n00:00:00,")
        assert words("314") in vtt
        assert words("15") in srt

    def test_prompt_that_the_model_does_not_take_is_told(self, stub: Stub) -> None:
        answer = recognize(stub, wav(speech("314")), model="toy-plain-ear", prompt="pi")
        (warning,) = answer.info.warnings
        assert (warning.code, warning.field_path) == (common_pb2.WARNING_CODE_PARAMETER_IGNORED, "config.prompt")
        assert not recognize(stub, wav(speech("314")), prompt="pi").info.warnings

    def test_file_that_was_cut_short_is_told(self, stub: Stub) -> None:
        answer = recognize(stub, wav(speech("314", "15"))[:-8000])
        assert answer.text == f"{words('314')} {words('15')}"
        (warning,) = answer.info.warnings
        assert (warning.code, warning.field_path) == (common_pb2.WARNING_CODE_INPUT_CUT_SHORT, "audio")

    def test_longest_recording(self, stub: Stub) -> None:
        recognize(stub, wav(silence(MAX_AUDIO_S, 8000), 8000))
        failure = refused(lambda: recognize(stub, wav(silence(MAX_AUDIO_S + 1, 8000), 8000)))
        assert (failure.reason, failure.metadata["field"]) == ("INPUT_TOO_LARGE", "audio")
        assert failure.metadata["limit"] == "30"

    @pytest.mark.parametrize("content", [b"\0", b"RIFF", b"no sound at all" * 100, wav(speech("3"))[:20]])
    def test_what_cannot_be_decoded(self, stub: Stub, toys: ToyServer, content: bytes) -> None:
        failure = refused(lambda: recognize(stub, content))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNDECODABLE_MEDIA")
        assert list(failure.fields) == ["audio"]
        assert_nothing_left(toys)

    def test_cancel_and_deadline_leave_nothing(self, stub: Stub, toys: ToyServer) -> None:
        toys.set_gate("toy-ear", is_open=False)
        try:
            call = stub.Recognize.future(recognize_request(wav(speech(*SPOKEN))), timeout=60)
            assert wait_until(lambda: toys.models["toy-ear"].num_under_way > 0)
            call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
            assert_nothing_left(toys)
            failure = refused(lambda: stub.Recognize(recognize_request(wav(speech(*SPOKEN))), timeout=0.5))
            assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert_nothing_left(toys)
        finally:
            toys.set_gate("toy-ear", is_open=True)

    def test_defect_of_the_model(self, stub: Stub, toys: ToyServer) -> None:
        failure = refused(lambda: recognize(stub, wav(speech("3")), model="toy-broken-ear"))
        assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")
        usage = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
        assert seconds(usage.audio.input_duration) > 0
        assert_nothing_left(toys)


class TestFileInPieces:
    """StreamRecognize with a file."""

    @pytest.mark.parametrize("size", [1000, 65_536, 10**7])
    def test_stream_equals_unary(self, stub: Stub, toys: ToyServer, size: int) -> None:
        content = wav(speech(*SPOKEN))
        captions = [pb.CAPTION_FORMAT_WEBVTT, pb.CAPTION_FORMAT_SRT]
        whole = recognize(stub, content, *captions, include_word_timings=True)
        setup = hear(WAV, config={"include_word_timings": True}, caption_formats=captions)
        events = heard(stub, [setup, KEEP_ALIVE, *pieces(content, size), sound(b""), KEEP_ALIVE])
        assert kinds(events) == ["ready", *["transcript"] * 3, "completed"]
        assert [event.sequence for event in events] == list(range(5))
        assert [update.segment for update in finals(events)] == list(whole.segments)
        for update in finals(events):
            assert update.stable_prefix_length == len(update.segment.alternatives[0].text)
            assert seconds(update.audio_duration) == pytest.approx(seconds(whole.audio_duration))
            assert seconds(update.segment.end_offset) <= seconds(update.processed_offset) + 1e-6
        completed = events[-1].completed
        assert completed.audio_duration == whole.audio_duration
        assert completed.info.usage == whole.info.usage
        assert list(completed.captions) == list(whole.captions)
        assert_nothing_left(toys)

    @pytest.mark.parametrize("encoding", ["WAV", "FLAC", "OGG_OPUS", "MP3"])
    def test_every_encoding_by_its_bytes(self, stub: Stub, encoding: str) -> None:
        content = encoded(speech("314", "15"), encoding)
        for audio_format in (AUTO, pb.AudioFormat(encoding=pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}"))):
            events = heard(stub, [hear(audio_format), *pieces(content, 5000)])
            assert texts(finals(events)) == [words("314"), words("15")]

    def test_ready_says_what_is_expected(self, stub: Stub) -> None:
        ready = heard(stub, [hear(AUTO), sound(wav(silence(1)))])[0].ready
        assert ready.accepted_format == pb.AudioFormat(encoding=pb.AUDIO_ENCODING_AUTO)
        assert ready.preferred_chunk_bytes == 65_536

    def test_segments_come_while_the_rest_is_transcribed(self, stub: Stub, toys: ToyServer) -> None:
        content = wav(np.concatenate([speech("314", "15"), silence(8), speech("92")]))
        dialogue: Dialogue[Heard, pb.StreamRecognizeResponse] = Dialogue(stub.StreamRecognize, hear(AUTO))
        dialogue.send(*pieces(content, 65_536))
        assert dialogue.next().HasField("ready")
        toys.set_gate("toy-detector", is_open=False)
        try:
            dialogue.half_close()
            assert wait_until(lambda: toys.models["toy-detector"].num_under_way == 1)
        finally:
            toys.set_gate("toy-detector", is_open=True)
        first = dialogue.next().transcript
        assert texts([first]) == [words("314")]
        assert seconds(first.processed_offset) < seconds(first.audio_duration)
        assert texts(finals(dialogue.end())) == [words("15"), words("92")]

    def test_interim_results_are_ignored_and_told(self, stub: Stub) -> None:
        events = heard(stub, [hear(AUTO, interim_results=True), sound(wav(speech("314")))])
        assert [update.is_final for update in finals(events)] == [True]
        (warning,) = events[-1].completed.info.warnings
        assert warning.code == common_pb2.WARNING_CODE_PARAMETER_IGNORED
        assert warning.field_path == "setup.interim_results"

    def test_largest_file(self, stub: Stub, toys: ToyServer) -> None:
        room = MAX_FILE_BYTES // 2 - 1000
        heard(stub, [hear(AUTO), *pieces(wav(silence(room / 24_000, 24_000), 24_000), 65_536)])
        content = wav(silence(28, 22_050), 22_050)
        assert len(content) > MAX_FILE_BYTES
        failure = refused(lambda: heard(stub, [hear(AUTO), *pieces(content, 65_536)]))
        assert (failure.reason, failure.metadata["limit"]) == ("INPUT_TOO_LARGE", str(MAX_FILE_BYTES))
        assert failure.metadata["field"] == "audio"
        assert_nothing_left(toys)

    def test_no_room_on_the_disk(self, stub: Stub, toys: ToyServer) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            failure = refused(lambda: heard(stub, [hear(AUTO), *pieces(wav(silence(10)), 65_536)]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert_nothing_left(toys)

    @pytest.mark.parametrize(
        ("messages", "reason", "field"),
        [
            ([hear(AUTO)], "INVALID_ARGUMENT_FIELD", "audio"),
            ([hear(AUTO), sound(b""), KEEP_ALIVE], "INVALID_ARGUMENT_FIELD", "audio"),
            ([hear(AUTO), FINALIZE], "INVALID_ARGUMENT_FIELD", "finalize"),
            ([hear(AUTO), Heard()], "INVALID_ARGUMENT_FIELD", "request"),
            ([hear(AUTO), hear(AUTO)], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([hear(AUTO), sound(b"no sound at all")], "UNDECODABLE_MEDIA", "audio"),
            ([hear(WAV), sound(encoded(speech("3"), "FLAC"))], "UNDECODABLE_MEDIA", "audio"),
        ],
    )
    def test_refused(self, stub: Stub, toys: ToyServer, messages: list[Heard], reason: str, field: str) -> None:
        failure = refused(lambda: heard(stub, messages))
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (failure.reason, list(failure.fields)) == (reason, [field])
        assert_nothing_left(toys)

    def test_separate_channels_are_for_recognize(self, stub: Stub, toys: ToyServer) -> None:
        setup = hear(AUTO, config={"separate_channels": True})
        assert texts(finals(heard(stub, [setup, sound(wav(speech("3")))]))) == ["three"]
        two = wav(np.stack([speech("3")] * 2, axis=1))
        failure = refused(lambda: heard(stub, [setup, sound(two)]))
        assert (failure.reason, failure.metadata["feature"]) == (
            "UNSUPPORTED_FEATURE",
            "setup.config.separate_channels",
        )
        assert_nothing_left(toys)

    def test_room_for_files(self, stub: Stub, toys: ToyServer) -> None:
        open_ones: list[Dialogue[Heard, pb.StreamRecognizeResponse]] = [
            Dialogue(stub.StreamRecognize, hear(AUTO)) for _ in range(MAX_FILES)
        ]
        for dialogue in open_ones:
            assert dialogue.next().HasField("ready")
        for call in (lambda: heard(stub, [hear(AUTO)]), lambda: recognize(stub, wav(silence(1)))):
            failure = refused(call)
            assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            assert "grpc-retry-pushback-ms" in failure.trailing
        # Live sound has room of its own.
        assert kinds(heard(stub, [hear()])) == ["ready", "completed"]
        for dialogue in open_ones:
            dialogue.send(sound(wav(silence(1))))
            assert kinds(dialogue.end()) == ["completed"]
        assert_nothing_left(toys)

    def test_cancel_deadline_and_break_leave_nothing(self, stub: Stub, toys: ToyServer) -> None:
        content = wav(speech(*SPOKEN))
        toys.set_gate("toy-ear", is_open=False)
        try:
            for is_closed in (False, True):
                dialogue: Dialogue[Heard, Any] = Dialogue(stub.StreamRecognize, hear(AUTO))
                dialogue.send(*pieces(content, 65_536))
                assert dialogue.next().HasField("ready")
                if is_closed:
                    dialogue.half_close()
                    assert wait_until(lambda: toys.models["toy-ear"].num_under_way > 0)
                dialogue.call.cancel()
                dialogue.half_close()
                assert_nothing_left(toys)
            failure = refused(lambda: heard(stub, [hear(AUTO), *pieces(content, 65_536)], timeout=0.5))
            assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert_nothing_left(toys)
        finally:
            toys.set_gate("toy-ear", is_open=True)


def test_access_log_has_the_length_of_the_sound(
    stub: Stub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("trivium"), "propagate", True)
    caplog.set_level(logging.INFO, "trivium.access")

    def logged() -> list[Any]:
        # A call of the test before may still be logged meanwhile.
        fields = [record.fields for record in caplog.records if record.name == "trivium.access"]  # type: ignore[attr-defined]
        return [given for given in fields if given["status"] == "OK"]

    recognize(stub, wav(speech("314")))
    assert wait_until(lambda: bool(logged()))
    (fields,) = logged()
    assert fields["input_audio_ms"] == round(1000 * len(speech("314")) / 16_000)
    assert (fields["output_audio_ms"], fields["model"]) == (0, "toy-ear")


class TestHelpers:
    """The detector of voice activity, and what ModelService says."""

    def test_without_a_detector_nothing_is_recognised(self, tmp_path: Path) -> None:
        toys = {"toy-ear": MODELS["toy-ear"]}
        with ToyServer(tmp_path, toys) as server:
            stub = Stub(server.channel)
            for call in (lambda: recognize(stub, wav(silence(1))), lambda: heard(stub, [hear()])):
                failure = refused(call)
                assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_READY")
                assert "silero-vad" in failure.message

    @pytest.mark.parametrize(("name", "works"), [("toy-detector", True), ("toy-voice", False), ("no-such", False)])
    def test_the_detector_that_the_settings_name(self, tmp_path: Path, name: str, works: bool) -> None:
        toys = {each: MODELS[each] for each in ("toy-ear", "toy-detector", "toy-voice")}
        with ToyServer(tmp_path, toys, speech=SpeechConfig(voice_activity_model=name)) as server:
            stub = Stub(server.channel)
            if works:
                assert recognize(stub, wav(speech("3"))).text == "three"
                server.thread.run(server.catalog.unload(name, 0.0))
            failure = refused(lambda: recognize(stub, wav(speech("3"))))
            assert (failure.code, failure.metadata["model"]) == (grpc.StatusCode.FAILED_PRECONDITION, name)

    def test_models_say_what_they_can(self, toys: ToyServer) -> None:
        models = {
            model.name: model
            for model in ModelServiceStub(toys.channel).ListModels(models_pb2.ListModelsRequest()).models
        }
        ear = models["toy-ear"]
        assert models_pb2.CAPABILITY_RECOGNIZE_SPEECH in ear.capabilities
        assert list(ear.recognition.tasks) == [pb.RECOGNITION_TASK_TRANSCRIBE, pb.RECOGNITION_TASK_TRANSLATE]
        assert (ear.recognition.gives_word_timings, ear.recognition.honors_prompt) == (True, True)
        assert seconds(ear.recognition.max_segment_duration) == 4
        assert list(ear.language_codes) == ["en", "de"]
        assert ear.limits.max_audio_milliseconds == 30_000
        assert ear.limits.max_input_characters == 0
        plain = models["toy-plain-ear"].recognition
        assert (list(plain.tasks), plain.gives_word_timings, plain.honors_prompt) == ([1], False, False)
        assert models_pb2.CAPABILITY_DETECT_VOICE_ACTIVITY in models["toy-detector"].capabilities
        assert not models["toy-detector"].HasField("recognition")
        voice = models["toy-voice"]
        assert models_pb2.CAPABILITY_SYNTHESIZE_SPEECH in voice.capabilities
        assert list(voice.language_codes) == ["en-US", "en-GB", "de-DE"]
        assert (voice.limits.max_input_characters, voice.limits.max_audio_milliseconds) == (20_000, 0)


def test_the_event_loop_stays_free_while_a_recording_is_worked_on(stub: Stub, toys: ToyServer) -> None:
    content = wav(np.concatenate([speech(*SPOKEN)] * 3))
    lags: list[float] = []
    is_over = threading.Event()

    async def watch() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - began - 0.01)

    watching = asyncio.run_coroutine_threadsafe(watch(), toys.thread.loop)
    try:
        for _ in range(5):
            recognize(stub, content)
    finally:
        is_over.set()
        watching.result(10)
    lags.sort()
    assert lags[len(lags) * 95 // 100] < 0.05, "most of the time, on a machine that others use too"
