"""SpeechSynthesisService.Synthesize and ListVoices over a real channel. The models are toys."""

import functools
import io
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from tests.rpc.generating import refused
from tests.rpc.talking import output, seconds, spans, synthesize, synthesize_request, usage_of
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_speech import MODELS, RUN_S, VOICE_RATE_HZ, Floats, ToyVoice, spoken
from tests.serving import wait_until
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechSynthesisServiceStub as Stub
from trivium_server.speech.loudness import amplified

MAX_BYTES = 1024 * 1024
TEXT = "One two. Three — four! Five?"
SENTENCES = ["One two.", "Three — four!", "Five?"]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS, max_request_bytes=MAX_BYTES) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


def whole(*sentences: str, **how: Any) -> Floats:
    return np.concatenate([spoken(sentence, **how).samples for sentence in sentences])


def samples_of(raw: bytes) -> Floats:
    return (np.frombuffer(raw, "<i2") / 32768).astype(np.float32)


def decoded(raw: bytes) -> tuple[Floats, int]:
    samples, rate_hz = soundfile.read(io.BytesIO(raw), dtype="float32")
    return samples, rate_hz


class TestSound:
    """What is spoken, and how it is written."""

    def test_sentences_in_order_as_a_wav_file(self, stub: Stub) -> None:
        answer = synthesize(stub, TEXT)
        samples, rate_hz = decoded(answer.audio)
        assert rate_hz == VOICE_RATE_HZ
        expected = whole(*SENTENCES)
        assert samples.shape == expected.shape
        assert samples == pytest.approx(expected, abs=1e-4)
        assert answer.format == pb.AudioFormat(
            encoding=pb.AUDIO_ENCODING_WAV, sample_rate_hertz=VOICE_RATE_HZ, channel_count=1
        )
        assert seconds(answer.audio_duration) == pytest.approx(len(expected) / VOICE_RATE_HZ)

    def test_usage(self, stub: Stub, toys: ToyServer) -> None:
        answer, call = stub.Synthesize.with_call(synthesize_request(TEXT), timeout=60)
        usage = answer.info.usage
        assert usage.input_characters == len(TEXT)
        assert usage.audio.output_duration == answer.audio_duration
        assert not seconds(usage.audio.input_duration)
        assert seconds(usage.compute_duration) == pytest.approx(3 * RUN_S)
        assert seconds(answer.info.timing.first_output_duration) > 0
        assert answer.info.model.name == "toy-voice"
        assert usage_of(call) == usage
        assert wait_until(lambda: toys.metrics.records[-1].output_audio_s == seconds(answer.audio_duration))

    @pytest.mark.parametrize("encoding", ["WAV", "FLAC", "OGG_OPUS", "MP3"])
    @pytest.mark.parametrize("rate_hz", [0, 8000, 48_000])
    def test_files(self, stub: Stub, encoding: str, rate_hz: int) -> None:
        answer = synthesize(stub, TEXT, output_format=output(encoding, rate_hz))
        samples, found_hz = decoded(answer.audio)
        assert answer.format == pb.AudioFormat(
            encoding=output(encoding).encoding, sample_rate_hertz=rate_hz or VOICE_RATE_HZ, channel_count=1
        )
        if encoding != "OGG_OPUS":  # which is always decoded at 48 kHz
            assert found_hz == (rate_hz or VOICE_RATE_HZ)
        # MP3 has silence before and after.
        assert len(samples) / found_hz == pytest.approx(seconds(answer.audio_duration), abs=0.15)
        assert np.abs(samples).max() > 0.5

    @pytest.mark.parametrize(("encoding", "num_bytes"), [("PCM_S16LE", 2), ("PCM_F32LE", 4), ("MULAW", 1), ("ALAW", 1)])
    def test_raw_sound(self, stub: Stub, encoding: str, num_bytes: int) -> None:
        answer = synthesize(stub, TEXT, output_format=output(encoding))
        expected = whole(*SENTENCES)
        assert len(answer.audio) == num_bytes * len(expected)
        if encoding == "PCM_F32LE":
            assert np.frombuffer(answer.audio, "<f4").tolist() == expected.tolist()
        if encoding == "PCM_S16LE":
            assert samples_of(answer.audio) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize("rate_hz", [8000, 22_050, 48_000])
    def test_rate(self, stub: Stub, rate_hz: int) -> None:
        answer = synthesize(stub, TEXT, output_format=output("PCM_S16LE", rate_hz))
        length = len(whole(*SENTENCES)) / VOICE_RATE_HZ
        assert len(answer.audio) / 2 / rate_hz == pytest.approx(length, abs=1e-3)
        assert seconds(answer.audio_duration) == pytest.approx(length)

    @pytest.mark.parametrize("speaking_rate", [0.5, 1.0, 2.0])
    def test_speaking_rate(self, stub: Stub, speaking_rate: float) -> None:
        answer = synthesize(stub, TEXT, speaking_rate=speaking_rate, output_format=output("PCM_F32LE"))
        expected = whole(*SENTENCES, speaking_rate=speaking_rate)
        assert np.frombuffer(answer.audio, "<f4").tolist() == expected.tolist()

    @pytest.mark.parametrize("gain_db", [-40.0, -6.0, 0.0, 6.0, 20.0])
    def test_volume(self, stub: Stub, gain_db: float) -> None:
        answer = synthesize(stub, TEXT, volume_gain_db=gain_db, output_format=output("PCM_F32LE"))
        samples = np.frombuffer(answer.audio, "<f4")
        assert samples.tolist() == amplified(whole(*SENTENCES), gain_db).tolist()
        assert np.abs(samples).max() <= 1
        if gain_db <= 0:
            assert np.abs(samples).max() == pytest.approx(0.9 * 10 ** (gain_db / 20), rel=1e-3)

    @pytest.mark.parametrize(
        ("voice", "is_low"),
        [
            (pb.VoiceSelection(), False),
            (pb.VoiceSelection(voice_name="ann"), False),
            (pb.VoiceSelection(voice_name="ben"), True),
            (pb.VoiceSelection(language_code="de"), True),
            (pb.VoiceSelection(language_code="en-GB"), False),
        ],
    )
    def test_voice(self, stub: Stub, voice: pb.VoiceSelection, is_low: bool) -> None:
        answer = synthesize(stub, "Word.", voice=voice, output_format=output("PCM_F32LE"))
        assert np.frombuffer(answer.audio, "<f4").tolist() == whole("Word.", is_low=is_low).tolist()

    @pytest.mark.parametrize("text", [" ", "\n\n", "... — !", "🙂"])
    @pytest.mark.parametrize("encoding", ["WAV", "PCM_S16LE", "FLAC", "MP3", "OGG_OPUS"])
    def test_nothing_to_speak(self, stub: Stub, text: str, encoding: str) -> None:
        answer = synthesize(stub, text, output_format=output(encoding))
        assert (len(answer.marks), seconds(answer.audio_duration)) == (0, 0)
        if encoding == "WAV":
            assert len(decoded(answer.audio)[0]) == 0

    def test_same_text_same_sound(self, stub: Stub) -> None:
        assert synthesize(stub, TEXT).audio == synthesize(stub, TEXT).audio


class TestMarks:
    """When each part is spoken, and where it is in the text."""

    def test_sentences(self, stub: Stub) -> None:
        marks = list(synthesize(stub, TEXT).marks)
        assert [mark.kind for mark in marks] == [pb.SPEECH_MARK_KIND_SENTENCE] * 3
        assert [mark.value for mark in marks] == SENTENCES
        assert [TEXT[start:end] for start, end in spans(marks)] == SENTENCES
        begin = 0
        for mark, sentence in zip(marks, SENTENCES, strict=True):
            length = len(spoken(sentence).samples)
            assert seconds(mark.start_offset) == pytest.approx(begin / VOICE_RATE_HZ)
            assert seconds(mark.end_offset) == pytest.approx((begin + length) / VOICE_RATE_HZ)
            begin += length

    def test_words_in_the_order_of_their_beginning(self, stub: Stub) -> None:
        marks = list(synthesize(stub, TEXT, include_word_timings=True).marks)
        assert [mark.value for mark in marks] == [
            "One two.",
            "One",
            "two.",
            "Three — four!",
            "Three",
            "four!",
            "Five?",
            "Five?",
        ]
        assert [TEXT[start:end] for start, end in spans(marks)] == [mark.value for mark in marks]
        begins = [seconds(mark.start_offset) for mark in marks]
        assert begins == sorted(begins)
        assert seconds(marks[1].end_offset) == pytest.approx(0.15)

    @pytest.mark.parametrize(
        ("unit", "encode"),
        [
            ("UNSPECIFIED", len),
            ("UNICODE_CODE_POINT", len),
            ("UTF8_BYTE", lambda text: len(text.encode())),
            ("UTF16_CODE_UNIT", lambda text: len(text.encode("utf-16-le")) // 2),
        ],
    )
    def test_units(self, stub: Stub, unit: str, encode: Any) -> None:
        text = "Schöne 🙂 Grüße! Über 🙂🙂 alles. Ende."
        marks = list(
            synthesize(
                stub, text, include_word_timings=True, offset_unit=common_pb2.OffsetUnit.Value(f"OFFSET_UNIT_{unit}")
            ).marks
        )
        places = [text.index(mark.value) for mark in marks]
        assert spans(marks) == [
            (encode(text[:place]), encode(text[: place + len(mark.value)]))
            for place, mark in zip(places, marks, strict=True)
        ]


class TestLimits:
    """Too much sound, deadlines, cancels, defects."""

    def test_longest_text(self, stub: Stub) -> None:
        text = ("... " * 4999).strip() + " One."
        assert len(text) == 20_000
        assert seconds(synthesize(stub, text).audio_duration) == pytest.approx(0.4)

    def test_more_sound_than_a_message_has_room_for(self, stub: Stub, toys: ToyServer) -> None:
        sentence = "Abcdefghij klmnopqrst uvwxyz. "
        voice = toys.models["toy-voice"]
        assert isinstance(voice, ToyVoice)
        del voice.spoken[:]
        failure = refused(lambda: synthesize(stub, sentence * 100))
        assert (failure.reason, failure.metadata["field"]) == ("INPUT_TOO_LARGE", "input.text")
        assert failure.metadata["limit"] == str(MAX_BYTES)
        assert "StreamSynthesize" in failure.message
        assert len(voice.spoken) < 30, "it does not go on when it is too much"
        usage = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
        assert usage.input_characters == len(sentence * 100)
        assert seconds(usage.compute_duration) > 0
        assert not seconds(usage.audio.output_duration), "none of it was sent"

    def test_the_next_sentence_is_spoken_while_one_is_encoded(self, stub: Stub, toys: ToyServer) -> None:
        assert synthesize(stub, TEXT, model="toy-slow-voice").audio
        voice = toys.models["toy-slow-voice"]
        assert isinstance(voice, ToyVoice)
        assert voice.spoken == SENTENCES

    def test_cancel_and_deadline_stop_after_the_sentence(self, stub: Stub, toys: ToyServer) -> None:
        voice = toys.models["toy-slow-voice"]
        assert isinstance(voice, ToyVoice)
        long = synthesize_request("One. " * 100, model="toy-slow-voice")
        for end in ("cancel", "deadline"):
            del voice.spoken[:]
            if end == "cancel":
                call = stub.Synthesize.future(long, timeout=60)
                assert wait_until(lambda: len(voice.spoken) >= 2)
                call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
            else:
                failure = refused(lambda: stub.Synthesize(long, timeout=0.5))
                assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert wait_until(lambda: toys.admission.in_flight == 0)
            num_spoken = len(voice.spoken)
            time.sleep(0.5)
            assert len(voice.spoken) == num_spoken < 10

    def test_defect_of_the_model(self, stub: Stub) -> None:
        failure = refused(lambda: synthesize(stub, TEXT, model="toy-broken-voice"))
        assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")


class TestVoices:
    """ListVoices in pages."""

    def pages(self, stub: Stub, **fields: Any) -> list[list[tuple[str, str]]]:
        pages, token = [], ""
        while True:
            answer = stub.ListVoices(pb.ListVoicesRequest(page_token=token, **fields))
            pages.append([(voice.model, voice.voice_name) for voice in answer.voices])
            token = answer.next_page_token
            if not token:
                return pages

    def test_all_by_model_and_name(self, stub: Stub) -> None:
        (page,) = self.pages(stub)
        models = ("toy-broken-voice", "toy-odd-voice", "toy-slow-voice", "toy-voice")
        assert page == [(model, voice) for model in models for voice in ("ann", "ben")]
        voice = stub.ListVoices(pb.ListVoicesRequest(model="toy-odd-voice")).voices[0]
        assert (voice.display_name, list(voice.language_codes)) == ("Ann", ["en-US", "en-GB"])
        assert (voice.native_sample_rate_hertz, dict(voice.traits)) == (22_050, {"gender": "female"})

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 1000])
    def test_pages_join_to_the_whole(self, stub: Stub, size: int) -> None:
        pages = self.pages(stub, page_size=size)
        assert all(len(page) == size for page in pages[:-1])
        assert [voice for page in pages for voice in page] == self.pages(stub)[0]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"model": "toy-voice"}, [("toy-voice", "ann"), ("toy-voice", "ben")]),
            ({"model": "toy-voice", "language_code": "de"}, [("toy-voice", "ben")]),
            ({"model": "toy-voice", "language_code": "en-gb"}, [("toy-voice", "ann")]),
            ({"model": "toy-voice", "language_code": "en-AU"}, []),
            ({"model": "toy-voice", "language_code": "e"}, None),
            ({"model": "no-such"}, []),
            ({"model": "toy-ear"}, []),
        ],
    )
    def test_filters(self, stub: Stub, fields: dict[str, str], expected: list[tuple[str, str]] | None) -> None:
        if expected is None:
            assert list(refused(lambda: self.pages(stub, **fields)).fields) == ["language_code"]
        else:
            assert self.pages(stub, **fields) == [expected]

    @pytest.mark.parametrize("size", [-1, 1001])
    def test_page_size(self, stub: Stub, size: int) -> None:
        assert list(refused(lambda: self.pages(stub, page_size=size)).fields) == ["page_size"]

    def test_tokens_of_others(self, stub: Stub) -> None:
        token = stub.ListVoices(pb.ListVoicesRequest(page_size=1)).next_page_token
        for request in (
            pb.ListVoicesRequest(page_token="nonsense"),
            pb.ListVoicesRequest(page_token="é"),
            pb.ListVoicesRequest(page_token=token, language_code="de"),
        ):
            failure = refused(functools.partial(stub.ListVoices, request))
            assert list(failure.fields) == ["page_token"]


@pytest.mark.parametrize("gain_db", [0.001, 3.0, 20.0])
def test_limited_sound_stays_in_range_in_order_and_smooth(gain_db: float) -> None:
    ramp = np.linspace(-1, 1, 20_001, dtype=np.float32)
    louder = amplified(ramp, gain_db)
    assert np.abs(louder).max() <= 1
    steps = np.diff(louder.astype(np.float64))
    assert (steps >= 0).all()
    assert np.abs(np.diff(steps)).max() < 1e-4 * 10 ** (gain_db / 20)
    assert louder[10_000] == 0
    assert amplified(ramp[:7], gain_db).tolist() == louder[:7].tolist()
