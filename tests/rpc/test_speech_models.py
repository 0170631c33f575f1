"""The speech services with real models and real recordings, over a real channel."""

import difflib
import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.recordings import SPOKEN, load_speech, recording
from tests.rpc.generating import refused
from tests.rpc.talking import (
    INTERRUPT,
    Dialogue,
    Told,
    duration,
    finals,
    hear,
    heard,
    interims,
    kinds,
    marks_of,
    output,
    pieces,
    recognize,
    seconds,
    sound,
    sound_of,
    speak,
    synthesize,
    text,
    texts,
    told,
    wav,
)
from tests.rpc.toy_speech import Floats, pcm
from tests.serving import RunningServer, wait_until
from trivium.admin.v1 import admin_pb2
from trivium.admin.v1.admin_pb2_grpc import AdminServiceStub
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub, SpeechSynthesisServiceStub
from trivium_models.store import Store

MOONSHINE, WHISPER, VOICE, DETECTOR = "moonshine-tiny-en", "whisper-tiny-en", "hibari-heart", "silero-vad"
BECKETT = "beckett.wav"
TEXT = "The quick brown fox jumps over the lazy dog. Doctor Smith paid $12.50 on May 3rd, 2021."


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    names = (MOONSHINE, WHISPER, VOICE, DETECTOR)
    store = next(Store().pull(name).folder.parent for name in names)
    for name in names:
        Store().pull(name)
    with RunningServer(store, models__load=",".join(names)) as server:
        yield server


@pytest.fixture(scope="module")
def channel(running: RunningServer) -> Iterator[grpc.Channel]:
    with running.channel() as channel:
        yield channel


@pytest.fixture(scope="module")
def ears(channel: grpc.Channel) -> SpeechRecognitionServiceStub:
    return SpeechRecognitionServiceStub(channel)


@pytest.fixture(scope="module")
def voices(channel: grpc.Channel) -> SpeechSynthesisServiceStub:
    return SpeechSynthesisServiceStub(channel)


def plain(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def agreement(heard_text: str, spoken_text: str) -> float:
    """How many of the words that were said were understood, in their order."""
    expected = plain(spoken_text)
    matcher = difflib.SequenceMatcher(None, plain(heard_text), expected, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(expected)


def test_recognition_is_serving_once_a_detector_is_there_too(running: RunningServer) -> None:
    with RunningServer(running.config.models.dir, models__load=MOONSHINE) as server, server.channel() as channel:
        check, service = HealthStub(channel).Check, "trivium.v1.SpeechRecognitionService"
        request = health_pb2.HealthCheckRequest(service=service)
        assert check(request).status == health_pb2.HealthCheckResponse.NOT_SERVING
        failure = refused(
            lambda: recognize(SpeechRecognitionServiceStub(channel), recording(BECKETT).read_bytes(), model=MOONSHINE)
        )
        assert (failure.code, failure.metadata["model"]) == (grpc.StatusCode.FAILED_PRECONDITION, DETECTOR)
        list(AdminServiceStub(channel).LoadModel(admin_pb2.LoadModelRequest(model=DETECTOR)))
        assert wait_until(lambda: check(request).status == health_pb2.HealthCheckResponse.SERVING)


class TestRecordings:
    """Files, and live sound, are understood alike."""

    @pytest.mark.parametrize("model", [MOONSHINE, WHISPER])
    @pytest.mark.parametrize("name", [BECKETT, "two_cities.wav"])
    def test_a_recording(self, ears: SpeechRecognitionServiceStub, model: str, name: str) -> None:
        answer = recognize(ears, recording(name).read_bytes(), pb.CAPTION_FORMAT_SRT, model=model)
        # Of Beckett's twelve words, the smaller model hears two otherwise.
        assert agreement(answer.text, SPOKEN[name]) >= (0.8 if name == BECKETT else 0.9), answer.text
        assert answer.language_code == "en"
        ends = [seconds(segment.end_offset) for segment in answer.segments]
        assert ends == sorted(ends)
        assert ends[-1] <= seconds(answer.audio_duration)
        assert answer.captions[0].content.count(" --> ") >= len(answer.segments)
        usage = answer.info.usage
        assert 0 < seconds(usage.audio.speech_duration) <= seconds(usage.audio.input_duration)
        assert seconds(usage.compute_duration) > 0

    @pytest.mark.parametrize("chunk_bytes", [999, 3200, 10**7])
    def test_live_finals_are_the_file(self, ears: SpeechRecognitionServiceStub, chunk_bytes: int) -> None:
        samples = load_speech("two_cities.wav")[: 25 * 16_000]
        whole = recognize(ears, wav(samples), model=MOONSHINE)
        setup = hear(model=MOONSHINE, interim_results=True, interim_period=duration(0.3))
        events = heard(ears, [setup, *pieces(pcm(samples), chunk_bytes)])
        assert [update.segment for update in finals(events) if texts([update]) != [""]] == list(whole.segments)
        for update in interims(events):
            assert update.stable_prefix_length <= len(update.segment.alternatives[0].text)

    def test_in_company_as_alone(self, ears: SpeechRecognitionServiceStub) -> None:
        """Live streams and files at the same time, each of its own recording."""
        names = [name for name in SPOKEN if name != "two_cities.wav"]
        sounds = [load_speech(name) for name in names]
        alone = [recognize(ears, wav(samples), model=MOONSHINE).segments for samples in sounds]

        def live(samples: Floats) -> list[pb.TranscriptSegment]:
            return [
                update.segment for update in finals(heard(ears, [hear(model=MOONSHINE), *pieces(pcm(samples), 999)]))
            ]

        def whole(samples: Floats) -> list[pb.TranscriptSegment]:
            return list(recognize(ears, wav(samples), model=MOONSHINE).segments)

        with ThreadPoolExecutor(2 * len(names)) as pool:
            streams = [pool.submit(live, samples) for samples in sounds]
            files = [pool.submit(whole, samples) for samples in sounds]
            for expected, stream, file in zip(alone, streams, files, strict=True):
                assert expected
                assert stream.result() == file.result() == list(expected)

    def test_words_have_times(self, ears: SpeechRecognitionServiceStub) -> None:
        answer = recognize(ears, recording(BECKETT).read_bytes(), model=WHISPER, include_word_timings=True)
        words = [word for segment in answer.segments for word in segment.alternatives[0].words]
        assert agreement(" ".join(word.word for word in words), SPOKEN[BECKETT]) >= 0.9
        starts = [seconds(word.start_offset) for word in words]
        assert starts == sorted(starts)
        assert all(seconds(word.start_offset) <= seconds(word.end_offset) for word in words)

    @pytest.mark.parametrize("model", [MOONSHINE, WHISPER])
    def test_no_speech_no_words(self, ears: SpeechRecognitionServiceStub, model: str) -> None:
        generator = np.random.default_rng(1)
        noise = (0.1 * generator.standard_normal(8 * 16_000)).astype(np.float32)
        for samples in (noise, np.zeros(8 * 16_000, np.float32), load_speech("success.wav"), load_speech("error.wav")):
            assert recognize(ears, wav(samples), model=model).text == ""
            assert not texts(finals(heard(ears, [hear(model=model), sound(pcm(samples))])))


class TestSpeaking:
    """What is spoken can be understood, whole and in pieces."""

    def test_round_trip(self, ears: SpeechRecognitionServiceStub, voices: SpeechSynthesisServiceStub) -> None:
        answer = synthesize(voices, TEXT, model=VOICE, include_word_timings=True)
        said = "the quick brown fox jumps over the lazy dog doctor smith paid"
        assert agreement(recognize(ears, answer.audio, model=WHISPER).text, said) >= 0.9
        words = [mark for mark in answer.marks if mark.kind == pb.SPEECH_MARK_KIND_WORD]
        assert [mark.value.strip(".,") for mark in words[:4]] == ["The", "quick", "brown", "fox"]
        assert all(
            seconds(now.end_offset) <= seconds(after.start_offset) + 1e-6 for now, after in itertools.pairwise(words)
        )

    @pytest.mark.parametrize("size", [1, 13, 1000])
    def test_streamed_equals_whole(self, voices: SpeechSynthesisServiceStub, size: int) -> None:
        config: dict[str, Any] = {"model": VOICE, "include_word_timings": True}
        whole = synthesize(voices, TEXT, output_format=output("PCM_S16LE"), **config)
        fragments = [text(TEXT[start : start + size]) for start in range(0, len(TEXT), size)]
        events = told(voices, [speak(**config), *fragments])
        assert sound_of(events) == whole.audio
        assert marks_of(events) == list(whole.marks)

    def test_interrupt_in_mid_sentence(self, voices: SpeechSynthesisServiceStub) -> None:
        setup = speak(model=VOICE, include_word_timings=True)
        sentence = "It was the best of times, it was the worst of times, it was the age of wisdom. "
        dialogue: Dialogue[Told, pb.StreamSynthesizeResponse] = Dialogue(voices.StreamSynthesize, setup)
        dialogue.send(text(sentence + "It was the age of foolishness. And"))
        events = dialogue.until("audio")
        dialogue.send(INTERRUPT)
        events += dialogue.until("interrupted")
        interrupted = events[-1].interrupted
        produced_s = seconds(interrupted.produced_duration)
        rate_hz = events[0].ready.format.sample_rate_hertz
        assert produced_s == pytest.approx(len(sound_of(events)) / 2 / rate_hz)
        unsent = [
            mark.source_span.start_offset
            for mark in marks_of(events)
            if mark.kind == pb.SPEECH_MARK_KIND_WORD and seconds(mark.end_offset) > produced_s + 1e-4
        ]
        assert interrupted.discarded_span.start_offset == min([*unsent, len(sentence)])
        assert kinds(dialogue.end()) == ["completed"]

    def test_voices_are_listed(self, voices: SpeechSynthesisServiceStub) -> None:
        answer = voices.ListVoices(pb.ListVoicesRequest(model=VOICE))
        assert answer.voices
        assert all(voice.native_sample_rate_hertz == 24_000 for voice in answer.voices)
