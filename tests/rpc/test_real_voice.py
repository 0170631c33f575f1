"""SpeechSynthesisService with its real voice: sound, marks and interruptions, and texts that nobody can read."""
# ruff: noqa: RUF001  the quotes and letters that it names are meant

import io
import itertools
import random
import resource
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.rpc.talking import (
    INTERRUPT,
    Dialogue,
    Told,
    kinds,
    marks_of,
    output,
    seconds,
    sound_of,
    spans,
    text,
    told,
)
from tests.serving import RunningServer, wait_until
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechSynthesisServiceStub as Stub
from trivium_models.store import Store
from trivium_server.architectures.speech.synthesizer import Synthesizer
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

MODEL = "hibari-heart"
RATE_HZ = 24_000
TEXT = (
    "Dr. Smith paid $9.99 on 2024-10-12 — cafe\u0301 👍🏽 included!\n\n“Zyxqua 世界,” she said; call (555) 123-4567.\n"
    "See https://example.com/a_b, or 5 km² of H₂O"
)
ALL = [*("WAV", "FLAC", "OGG_OPUS", "MP3"), *("PCM_S16LE", "PCM_F32LE", "MULAW", "ALAW")]
SUBTYPES = {"PCM_S16LE": "PCM_16", "PCM_F32LE": "FLOAT", "MULAW": "ULAW", "ALAW": "ALAW"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer(Store().pull(MODEL).folder.parent, models__load=MODEL) as running:
        yield running


@pytest.fixture(scope="module")
def stub(server: RunningServer) -> Iterator[Stub]:
    with server.channel() as channel:
        yield Stub(channel)


def setup(**config: Any) -> Told:
    return Told(setup=pb.StreamSynthesizeSetup(config=pb.SynthesisConfig(model=MODEL, **config)))


def whole(stub: Stub, said: str, **config: Any) -> pb.SynthesizeResponse:
    request = pb.SynthesizeRequest(config=pb.SynthesisConfig(model=MODEL, **config), input=pb.SynthesisInput(text=said))
    return stub.Synthesize(request, timeout=60)


def streamed(stub: Stub, fragments: Sequence[str], **config: Any) -> list[pb.StreamSynthesizeResponse]:
    return told(stub, [setup(**config), *map(text, fragments)])


def decoded(raw: bytes, encoding: str, rate_hz: int = RATE_HZ) -> tuple[NDArray[np.float32], int]:
    """What soundfile makes of it; but for a stream of FLAC, where it seeks the end that the header does not tell."""
    raw_format = (
        {"format": "RAW", "subtype": SUBTYPES[encoding], "samplerate": rate_hz, "channels": 1, "endian": "LITTLE"}
        if encoding in SUBTYPES
        else {}
    )
    if encoding == "FLAC":
        with open_audio(raw, AudioFormat(encoding=AudioEncoding.FLAC), max_s=60, field="audio") as reader:
            return np.concatenate(list(reader.blocks()))[:, 0], reader.sample_rate_hz
    samples, found_hz = soundfile.read(io.BytesIO(raw), dtype="float32", **raw_format)
    return samples, found_hz


def level(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


class TestLaws:
    """What holds for any text and any fragments of it."""

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=12))
    def test_any_fragments_are_the_whole(self, stub: Stub, cuts: list[int]) -> None:
        config: dict[str, Any] = {"include_word_timings": True, "offset_unit": common_pb2.OFFSET_UNIT_UTF16_CODE_UNIT}
        answer = whole(stub, TEXT, output_format=output("PCM_S16LE"), **config)
        places = [0, *sorted(cuts), len(TEXT)]
        events = streamed(stub, [TEXT[start:end] for start, end in itertools.pairwise(places)], **config)
        assert sound_of(events) == answer.audio
        assert marks_of(events) == list(answer.marks)
        assert events[-1].completed.audio_duration == answer.audio_duration

    def test_marks_are_parts_of_the_text_in_order_and_within_the_sound(self, stub: Stub) -> None:
        answer = whole(stub, TEXT, include_word_timings=True)
        marks = list(answer.marks)
        assert [TEXT[start:end] for start, end in spans(marks)] == [mark.value for mark in marks]
        sentences = [mark for mark in marks if mark.kind == pb.SPEECH_MARK_KIND_SENTENCE]
        assert [mark.value for mark in sentences] == [
            "Dr. Smith paid $9.99 on 2024-10-12 — cafe\u0301 👍🏽 included!",
            "“Zyxqua 世界,” she said; call (555) 123-4567.",
            "See https://example.com/a_b, or 5 km² of H₂O",
        ]
        place_s = 0.0
        for mark in sentences:
            assert seconds(mark.start_offset) == pytest.approx(place_s, abs=1e-6)
            place_s = seconds(mark.end_offset)
        assert place_s == pytest.approx(seconds(answer.audio_duration))
        words = [mark for mark in marks if mark.kind == pb.SPEECH_MARK_KIND_WORD]
        assert [mark.value for mark in words] == [
            *("Dr", "Smith", "paid", "$9.99", "on", "2024-10-12", "cafe\u0301", "included"),
            *("Zyxqua", "she", "said", "call", "555) 123-4567"),
            *("See", "https://example.com/a_b", "or", "5", "km²", "of", "H₂O"),
        ]
        place_s = place = 0
        for mark, (start, end) in zip(words, spans(words), strict=True):
            assert place_s <= seconds(mark.start_offset) < seconds(mark.end_offset) <= seconds(answer.audio_duration)
            assert place <= start < end
            place_s, place = seconds(mark.end_offset), end

    @pytest.mark.parametrize("encoding", ALL)
    @pytest.mark.parametrize("rate_hz", [0, 8000, 48_000])
    def test_every_format_is_decoded_to_the_right_length(self, stub: Stub, encoding: str, rate_hz: int) -> None:
        said = "This is one sentence. And this is another."
        answer = whole(stub, said, output_format=output(encoding, rate_hz))
        events = streamed(stub, [said], output_format=output(encoding, rate_hz))
        for raw, length in (
            (answer.audio, answer.audio_duration),
            (sound_of(events), events[-1].completed.audio_duration),
        ):
            if raw.startswith(b"RIFF") and raw != answer.audio:
                # The header of a stream cannot know how long it will be: a reader takes all there is.
                assert raw[40:44] == b"\xff\xff\xff\xff"
            samples, found_hz = decoded(raw, encoding, rate_hz or RATE_HZ)
            if encoding == "FLAC" and raw == answer.audio:
                assert len(samples) == soundfile.info(io.BytesIO(raw)).frames
            assert found_hz == (rate_hz or RATE_HZ)
            # MP3 has silence before and after, in frames of up to 72 ms.
            assert len(samples) / found_hz == pytest.approx(seconds(length), abs=0.25 if encoding == "MP3" else 0.01)
            assert 0.02 < level(samples) < 0.3

    def test_speaking_rate_at_its_ends(self, stub: Stub) -> None:
        said = "The weather is fine today. We will go to the river."
        usual_s = seconds(whole(stub, said).audio_duration)
        for rate in (0.5, 2.0):
            answer = whole(stub, said, speaking_rate=rate, include_word_timings=True)
            assert seconds(answer.audio_duration) * rate == pytest.approx(usual_s, rel=0.1)
            words = [mark.value for mark in answer.marks if mark.kind == pb.SPEECH_MARK_KIND_WORD]
            assert words == said.replace(".", "").split()

    def test_volume_at_its_ends(self, stub: Stub) -> None:
        said = "The weather is fine today."
        usual, quiet, loud = (
            decoded(whole(stub, said, volume_gain_db=gain, output_format=output("PCM_F32LE")).audio, "PCM_F32LE")[0]
            for gain in (0.0, -40.0, 20.0)
        )
        np.testing.assert_allclose(quiet, usual / 100, atol=1e-7)
        assert level(loud) > 4 * level(usual)
        assert np.abs(loud).max() <= 1.0


class TestWhatCannotBeSpoken:
    """Words of another script than the voice's are left out, and told."""

    @pytest.mark.parametrize(
        ("said", "num_left_out"),
        [
            ("Hello Привет world. 你好! Bye.", 2),
            ("Wait… 🙂 naïve Łódź, $5.50 at 3:45pm; r2d2's 50% — e.g. O'Neill-Smith!", 0),
            ("мир мир мир", 3),
            ("!?", 0),
        ],
    )
    def test_both_ways_tell_how_many(self, stub: Stub, said: str, num_left_out: int) -> None:
        answers = (whole(stub, said).info, streamed(stub, [said[:9], said[9:]])[-1].completed.info)
        for info, path in zip(answers, ("input.text", "text_fragment"), strict=True):
            told = [(warning.code, warning.field_path, warning.message) for warning in info.warnings]
            message = f"the voice cannot speak {num_left_out} of the words, and left them out"
            expected = (common_pb2.WARNING_CODE_TEXT_NOT_SPOKEN, path, message)
            assert told == [expected] * (num_left_out > 0)


class TestInterruption:
    """What was heard, and what was not."""

    def test_in_mid_sentence_at_any_moment(self, stub: Stub, server: RunningServer) -> None:
        said = "This is the first of the sentences, 👍🏽 and it has some words. Here is the second one. And a third"
        words = [
            (start, end, seconds(mark.start_offset), seconds(mark.end_offset))
            for mark, (start, end) in _words(whole(stub, said, include_word_timings=True))
        ]
        generator = random.Random(3)
        for _ in range(12):
            dialogue: Dialogue[Told, pb.StreamSynthesizeResponse] = Dialogue(stub.StreamSynthesize, setup())
            dialogue.send(text(said[:40]), text(said[40:]))
            events = [dialogue.next() for _ in range(generator.randint(1, 9))]
            time.sleep(generator.choice([0, 0.01, 0.05]))
            dialogue.send(INTERRUPT)
            events += dialogue.until("interrupted")
            interrupted = events[-1].interrupted
            delivered_s = len(sound_of(events)) / 2 / RATE_HZ
            assert seconds(interrupted.produced_duration) == pytest.approx(delivered_s, abs=1e-6)
            start, end = interrupted.discarded_span.start_offset, interrupted.discarded_span.end_offset
            assert end == len(said)
            heard = [word for word in words if word[3] <= delivered_s + 1e-4]
            dropped = [word for word in words if word[3] > delivered_s + 1e-4]
            assert all(word[1] <= start for word in heard)
            assert all(word[0] >= start for word in dropped)
            dialogue.send(text("And on."))
            rest = dialogue.end()
            assert [mark.value for mark in marks_of(rest)] == ["And on."]
            assert kinds(rest)[-1] == "completed"
        _assert_nothing_left(server)

    @pytest.mark.parametrize(
        ("encoding", "most_s"),
        [("WAV", 0.0), ("PCM_F32LE", 0.0), ("MULAW", 0.0), ("OGG_OPUS", 0.1), ("FLAC", 0.2), ("MP3", 0.2)],
    )
    def test_what_encoders_hold_back_is_little(self, stub: Stub, encoding: str, most_s: float) -> None:
        dialogue: Dialogue[Told, pb.StreamSynthesizeResponse] = Dialogue(
            stub.StreamSynthesize, setup(output_format=output(encoding))
        )
        dialogue.send(
            text("This is one long sentence, and it will not be spoken to its end, since I interrupt it. Now")
        )
        events = [event for _ in range(4) for event in dialogue.until("audio")]
        dialogue.send(INTERRUPT)
        events += dialogue.until("interrupted")
        samples, found_hz = decoded(sound_of(events), encoding)
        held_s = seconds(events[-1].interrupted.produced_duration) - len(samples) / found_hz
        dialogue.end()
        # MP3 begins with silence of its own.
        assert -0.1 <= held_s <= most_s + 1e-3

    def test_cancelled_calls_leave_nothing(self, stub: Stub, server: RunningServer) -> None:
        for num_read in (0, 1, 3):
            dialogue: Dialogue[Told, Any] = Dialogue(stub.StreamSynthesize, setup())
            dialogue.send(text("One sentence of many. " * 50))
            for _ in range(num_read):
                dialogue.next()
            dialogue.call.cancel()
            dialogue.half_close()
        call = stub.Synthesize.future(
            pb.SynthesizeRequest(
                config=pb.SynthesisConfig(model=MODEL), input=pb.SynthesisInput(text="One sentence of many. " * 50)
            )
        )
        time.sleep(0.2)
        call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        _assert_nothing_left(server)


class TestPathologicalTexts:
    """They are spoken, or skipped, in bounded time and memory."""

    @pytest.mark.parametrize(
        "said",
        [
            "世界。你好！" * 1000,
            "👍🏽" * 3000,
            "!?.,;" * 4000,
            "мир " * 5000,
            "\u0301" * 9000,
            "\u200d\ufe0f" * 5000,
            "\x00" * 20_000,
        ],
        ids=["chinese", "emoji", "marks", "cyrillic", "combining", "joiners", "nul"],
    )
    def test_what_has_no_sound_is_skipped(self, stub: Stub, said: str) -> None:
        started = time.monotonic()
        answer = whole(stub, said)
        assert (len(answer.marks), seconds(answer.audio_duration)) == (0, 0)
        assert time.monotonic() - started < 20

    @pytest.mark.parametrize("part", ["a", "1", "xq", "$9.99,", "é", "-", "zblorq", "999,", "W", "世a"])
    def test_a_text_without_a_blank_sounds_soon_and_takes_little_memory(
        self, stub: Stub, server: RunningServer, part: str
    ) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.monotonic()
        dialogue: Dialogue[Told, pb.StreamSynthesizeResponse] = Dialogue(stub.StreamSynthesize, setup())
        dialogue.send(text((part * 20_000)[:20_000]))
        if part == "-":
            assert kinds(dialogue.end())[-1] == "completed"
        else:
            dialogue.until("audio")
            dialogue.call.cancel()
            dialogue.half_close()
        # 1 s alone, where a piece has 300 digits to spell.
        assert time.monotonic() - started < 15
        _assert_nothing_left(server)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024

    def test_too_much_sound_is_refused(self, stub: Stub) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            whole(stub, "7 " * 10_000, output_format=output("PCM_F32LE", 48_000))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "StreamSynthesize" in (caught.value.details() or "")


def _words(answer: pb.SynthesizeResponse) -> Iterator[tuple[pb.SpeechMark, tuple[int, int]]]:
    words = [mark for mark in answer.marks if mark.kind == pb.SPEECH_MARK_KIND_WORD]
    return zip(words, spans(words), strict=True)


def _assert_nothing_left(server: RunningServer) -> None:
    assert wait_until(lambda: server.app._admission.in_flight == 0)
    assert wait_until(lambda: server.run(_num_accepted(server)) == 0)


async def _num_accepted(server: RunningServer) -> int:
    with server.app.catalog.lease(MODEL, Synthesizer) as lease:
        return lease.model.stats.num_accepted
