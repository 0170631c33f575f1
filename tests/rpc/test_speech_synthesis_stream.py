"""SpeechSynthesisService.StreamSynthesize over a real channel: fragments, flush, interruptions. The models are toys."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.rpc.generating import refused
from tests.rpc.talking import (
    FLUSH,
    INTERRUPT,
    Dialogue,
    Told,
    kinds,
    marks_of,
    output,
    seconds,
    sound_of,
    spans,
    speak,
    synthesize,
    text,
    told,
)
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_speech import MODELS, RUN_S, VOICE_RATE_HZ, ToyVoice, spoken
from tests.serving import wait_until
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechSynthesisServiceStub as Stub
from trivium_server.architectures.speech_capabilities import Urgency
from trivium_server.config import SpeechConfig
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

MAX_TEXT_LEN = 1000
TEXT = "One two. Three — four! Schöne 🙂 Grüße? And the last one"
SENTENCES = ["One two.", "Three — four!", "Schöne 🙂 Grüße?", "And the last one"]
Response = pb.StreamSynthesizeResponse
_MESSAGES = st.one_of(
    st.text("ab1ü🙂 .!?\n", min_size=0, max_size=40).map(text),
    st.text("abc .", min_size=0, max_size=400).map(text),
    st.sampled_from([FLUSH, INTERRUPT]),
)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    config = SpeechConfig(max_text_len=MAX_TEXT_LEN)
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS, speech=config) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


def decoded(raw: bytes) -> tuple[NDArray[np.float32], int]:
    """The samples of a stream, whose header may not tell its length, and their rate."""
    with open_audio(raw, AudioFormat(encoding=AudioEncoding.AUTO), max_s=60, field="audio") as reader:
        return np.concatenate(list(reader.blocks()))[:, 0], reader.sample_rate_hz


def fragments(whole: str, size: int) -> list[Told]:
    return [text(whole[start : start + size]) for start in range(0, len(whole), size)]


def assert_nothing_left(toys: ToyServer) -> None:
    assert wait_until(lambda: toys.admission.in_flight == 0)
    assert wait_until(lambda: all(model.num_under_way == 0 for model in toys.models.values()))
    assert wait_until(lambda: toys.thread.run(_num_tasks()) == 0)


async def _num_tasks() -> int:
    return sum("SpeakingStream" in repr(task.get_coro()) for task in asyncio.all_tasks())


class TestSpeaking:
    """Text in, sound out."""

    def test_ready_marks_audio_completed(self, stub: Stub) -> None:
        events = told(stub, [speak(), text(TEXT)])
        names = kinds(events)
        assert (names[0], names[-1]) == ("ready", "completed")
        assert set(names[1:-1]) == {"mark", "audio"}
        assert [event.sequence for event in events] == list(range(len(events)))
        assert events[0].ready.format == pb.AudioFormat(
            encoding=pb.AUDIO_ENCODING_PCM_S16LE, sample_rate_hertz=VOICE_RATE_HZ, channel_count=1
        )
        assert events[0].ready.model.name == "toy-voice"

    @pytest.mark.parametrize("size", [1, 2, 7, 1000])
    def test_any_fragments_are_the_whole(self, stub: Stub, size: int) -> None:
        config: dict[str, Any] = {"include_word_timings": True, "offset_unit": common_pb2.OFFSET_UNIT_UTF8_BYTE}
        whole = synthesize(stub, TEXT, output_format=output("PCM_S16LE"), **config)
        events = told(stub, [speak(**config), *fragments(TEXT, size), text("")])
        assert sound_of(events) == whole.audio
        assert marks_of(events) == list(whole.marks)
        completed = events[-1].completed
        assert completed.audio_duration == whole.audio_duration
        usage = completed.info.usage
        assert usage == whole.info.usage
        assert usage.input_characters == len(TEXT)
        assert seconds(usage.compute_duration) == pytest.approx(4 * RUN_S)

    @pytest.mark.parametrize("encoding", ["PCM_F32LE", "WAV", "MULAW", "ALAW", "FLAC", "OGG_OPUS", "MP3"])
    @pytest.mark.parametrize("rate_hz", [0, 8000])
    def test_every_encoding(self, stub: Stub, encoding: str, rate_hz: int) -> None:
        events = told(stub, [speak(output_format=output(encoding, rate_hz)), text(TEXT)])
        raw, format_ = sound_of(events), events[0].ready.format
        length_s = seconds(events[-1].completed.audio_duration)
        assert format_.sample_rate_hertz == (rate_hz or VOICE_RATE_HZ)
        sizes = {"PCM_F32LE": 4, "MULAW": 1, "ALAW": 1}
        if encoding in sizes:
            assert len(raw) / sizes[encoding] / format_.sample_rate_hertz == pytest.approx(length_s, abs=1e-3)
        else:
            samples, found_hz = decoded(raw)
            # MP3 has silence before and after, in frames of up to 72 ms.
            assert len(samples) / found_hz == pytest.approx(length_s, abs=0.25 if encoding == "MP3" else 0.01)

    def test_pieces_are_short_and_say_when_they_begin(self, stub: Stub) -> None:
        sentence = "Abcdefghij " * 15 + "end."
        events = told(stub, [speak(), text(sentence)])
        audio = [event.audio for event in events if event.HasField("audio")]
        lengths = [len(one.audio) / 2 / VOICE_RATE_HZ for one in audio]
        assert lengths[:2] == [0.1, 0.2]
        assert max(lengths) <= 0.5
        assert [seconds(one.start_offset) for one in audio] == pytest.approx(
            [sum(lengths[:index]) for index in range(len(lengths))]
        )

    def test_a_sentence_s_marks_come_before_its_audio(self, stub: Stub) -> None:
        events = told(stub, [speak(include_word_timings=True), text(TEXT)])
        names = "".join(kind[0] for kind in kinds(events)[1:-1])
        assert names.startswith("mmma")
        begin = 0.0
        for event in events:
            if event.HasField("audio"):
                begin = seconds(event.audio.start_offset)
            if event.HasField("mark"):
                assert seconds(event.mark.start_offset) > begin or begin == 0
        assert [mark.value for mark in marks_of(events) if mark.kind == pb.SPEECH_MARK_KIND_SENTENCE] == SENTENCES
        assert [TEXT[start:end] for start, end in spans(marks_of(events))] == [mark.value for mark in marks_of(events)]

    @pytest.mark.parametrize("messages", [[], [text("")], [text("  \n ")], [FLUSH, FLUSH], [text("... —"), FLUSH]])
    def test_nothing_to_speak(self, stub: Stub, messages: list[Told]) -> None:
        events = told(stub, [speak(), *messages])
        assert kinds(events) == ["ready", "completed"]
        assert seconds(events[-1].completed.audio_duration) == 0


class TestWhileItIsWritten:
    """Sentences are spoken as soon as they are known to have ended."""

    def test_a_sentence_is_spoken_once_the_next_one_begins(self, stub: Stub) -> None:
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak())
        dialogue.send(text("One two. Thr"))
        assert dialogue.until("mark")[-1].mark.value == "One two."
        assert len(sound_of([*dialogue.until("audio")])) > 0
        dialogue.send(text("ee."), FLUSH)
        assert dialogue.until("mark")[-1].mark.value == "Three."
        assert kinds(dialogue.end())[-1] == "completed"

    def test_what_is_spoken_ahead_is_less_urgent(self, stub: Stub, toys: ToyServer) -> None:
        voice = toys.models["toy-voice"]
        assert isinstance(voice, ToyVoice)
        del voice.urgencies[:]
        told(stub, [speak(), text("One two. Three. Four. "), text("Five.")])
        assert voice.urgencies[:2] == [Urgency.LIVE, Urgency.FILE]
        synthesize(stub, "One. Two.")
        assert voice.urgencies[-2:] == [Urgency.FILE] * 2

    def test_a_long_first_sentence_begins_to_sound_at_a_clause(self, stub: Stub) -> None:
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak())
        clauses = "If somebody writes on and on, as some do, without an end to it, and all in a first sentence, "
        dialogue.send(text(clauses), text("and on and"))
        assert dialogue.until("mark")[-1].mark.value == clauses.strip()
        assert kinds(dialogue.end())[-1] == "completed"

    def test_flush_speaks_what_is_there(self, stub: Stub) -> None:
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak())
        dialogue.send(text("One tw"), FLUSH)
        assert dialogue.until("mark")[-1].mark.value == "One tw"
        dialogue.send(text("o three"))
        events = dialogue.end()
        assert [mark.value for mark in marks_of(events)] == ["o three"]
        assert spans(marks_of(events)) == [(6, 13)]

    def test_text_that_is_not_spoken_has_a_limit(self, stub: Stub, toys: ToyServer) -> None:
        within = "a" * (MAX_TEXT_LEN - 1)
        assert kinds(told(stub, [speak(), text(within), text("b")]))[-1] == "completed"
        toys.set_gate("toy-voice", is_open=False)
        try:
            failure = refused(lambda: told(stub, [speak(), text(within), text("b"), text("c")]))
            assert (failure.reason, failure.metadata["field"]) == ("INPUT_TOO_LARGE", "text_fragment")
            assert failure.metadata["limit"] == str(MAX_TEXT_LEN)
            assert_nothing_left(toys)
            failure = refused(lambda: told(stub, [speak(), text("One. "), *[text(" " * 100)] * 11]))
            assert failure.reason == "INPUT_TOO_LARGE", "space counts while something waits"
        finally:
            toys.set_gate("toy-voice", is_open=True)

    def test_a_stream_has_no_limit_on_all_of_its_text(self, stub: Stub) -> None:
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak())
        for _ in range(5):
            dialogue.send(text("word " * 100), FLUSH)
            for _ in range(3):
                dialogue.until("mark")
        assert dialogue.end()[-1].completed.info.usage.input_characters == 2500

    def test_space_alone_is_not_held_against_anybody(self, stub: Stub) -> None:
        events = told(stub, [speak(), *[text(" " * 900)] * 50, text("One.")])
        assert spans(marks_of(events)) == [(45_000, 45_004)]

    def test_a_slow_reader_slows_the_work_down(self, toys: ToyServer) -> None:
        voice = toys.models["toy-voice"]
        assert isinstance(voice, ToyVoice)
        del voice.spoken[:]
        sentence = "Abcdefghij abcdefghij abcdefghij. "
        with grpc.insecure_channel(toys.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            dialogue: Dialogue[Told, Response] = Dialogue(
                Stub(channel).StreamSynthesize, speak(output_format=output("PCM_F32LE", 48_000))
            )
            dialogue.send(text(sentence * 29))
            assert dialogue.next().HasField("ready")
            last = -1
            while len(voice.spoken) != last:
                last = len(voice.spoken)
                time.sleep(0.5)
            assert last < 15, "nobody takes the sound"
            dialogue.send(INTERRUPT)
            events = dialogue.until("interrupted")
            interrupted = events[-1].interrupted
            num_bytes = len(sound_of(events))
            assert seconds(interrupted.produced_duration) == pytest.approx(num_bytes / 4 / 48_000, abs=0.05)
            assert interrupted.discarded_span.end_offset == len(sentence * 29)
            assert interrupted.discarded_span.start_offset > 0
            dialogue.send(text("After."))
            assert [mark.value for mark in marks_of(dialogue.end())] == ["After."]
        assert len(voice.spoken) <= last + 3
        assert_nothing_left(toys)


class TestInterrupt:
    """What was not spoken is forgotten, and told exactly."""

    def test_in_mid_sentence(self, stub: Stub, toys: ToyServer) -> None:
        """The words that were sent whole are those before the span, whatever the moment."""
        generator = random.Random(5)
        for _ in range(10):
            first = " ".join("x" * generator.randint(1, 9) for _ in range(15)) + "."
            second = " Then came ü the 🙂 second"
            dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak(include_word_timings=True))
            dialogue.send(text(first + second[:5]), text(second[5:]))
            events = [dialogue.next() for _ in range(generator.randint(1, 25))]
            dialogue.send(INTERRUPT)
            events += dialogue.until("interrupted")
            interrupted = events[-1].interrupted
            produced_s = seconds(interrupted.produced_duration)
            assert produced_s == pytest.approx(len(sound_of(events)) / 2 / VOICE_RATE_HZ, abs=1e-9)
            span = interrupted.discarded_span
            assert span.end_offset == len(first + second)
            words = spoken(first).words
            unsent = [word.piece.start for word in words if round(word.end_s * 24_000) > round(produced_s * 24_000)]
            after_first = len(first) + 1
            if unsent:
                assert span.start_offset == unsent[0]
            else:
                # All of the first sentence; the second one only ends at half-close.
                assert span.start_offset == after_first
            dialogue.send(text("Again."))
            rest = dialogue.end()
            assert [mark.value for mark in marks_of(rest)] == ["Again.", "Again."]
            mark = marks_of(rest)[0]
            assert spans([mark]) == [(len(first + second), len(first + second) + 6)]
            assert seconds(mark.start_offset) == pytest.approx(produced_s)
            assert rest[-1].completed.audio_duration.ToNanoseconds() == pytest.approx(
                1e9 * (produced_s + len(spoken("Again.").samples) / VOICE_RATE_HZ), abs=2
            )
        assert_nothing_left(toys)

    def test_everything_was_spoken(self, stub: Stub) -> None:
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak())
        dialogue.send(text("One two.  "), FLUSH)
        events = [dialogue.next()]
        whole = len(spoken("One two.").samples) * 2
        while len(sound_of(events)) < whole:
            events.append(dialogue.next())
        dialogue.send(INTERRUPT)
        (event,) = dialogue.until("interrupted")
        assert seconds(event.interrupted.produced_duration) == whole / 2 / VOICE_RATE_HZ
        assert event.interrupted.discarded_span == common_pb2.TextSpan(start_offset=10, end_offset=10)
        assert kinds(dialogue.end()) == ["completed"]

    def test_before_anything_was_spoken(self, stub: Stub, toys: ToyServer) -> None:
        toys.set_gate("toy-voice", is_open=False)
        try:
            dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak())
            dialogue.send(text("  One two. Thr"), INTERRUPT)
            event = dialogue.until("interrupted")[-1]
            assert event.interrupted.discarded_span == common_pb2.TextSpan(start_offset=2, end_offset=14)
            assert seconds(event.interrupted.produced_duration) == 0
        finally:
            toys.set_gate("toy-voice", is_open=True)
        assert kinds(dialogue.end()) == ["completed"], "what was forgotten is not spoken"

    def test_each_interrupt_has_its_answer(self, stub: Stub) -> None:
        events = told(stub, [speak(), INTERRUPT, text(" a "), INTERRUPT, INTERRUPT, text("b"), INTERRUPT])
        answers = [event.interrupted.discarded_span for event in events if event.HasField("interrupted")]
        assert [(span.start_offset, span.end_offset) for span in answers] == [(0, 0), (1, 3), (3, 3), (3, 4)]
        many = told(stub, [speak(), *[INTERRUPT] * 500])
        assert kinds(many).count("interrupted") == 500

    @pytest.mark.parametrize(
        ("unit", "expected"),
        [("UNICODE_CODE_POINT", (2, 5)), ("UTF8_BYTE", (5, 10)), ("UTF16_CODE_UNIT", (3, 6))],
    )
    def test_units(self, stub: Stub, unit: str, expected: tuple[int, int]) -> None:
        setup = speak(offset_unit=common_pb2.OffsetUnit.Value(f"OFFSET_UNIT_{unit}"))
        events = told(stub, [setup, text("🙂"), INTERRUPT, text(" äöx"[:4]), INTERRUPT])
        answers = [event.interrupted.discarded_span for event in events if event.HasField("interrupted")]
        assert (answers[1].start_offset, answers[1].end_offset) == expected

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(messages=st.lists(_MESSAGES, max_size=12), seed=st.integers(0, 2**16))
    def test_whatever_comes_the_story_is_true(self, stub: Stub, messages: list[Told], seed: int) -> None:
        """Sound, marks and interruptions agree with each other and with the text, in any order and at any pace."""
        generator = random.Random(seed)
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak(include_word_timings=True))
        events = [dialogue.next()]
        whole = ""
        ends: list[int] = []
        for message in messages:
            dialogue.send(message)
            whole += message.text_fragment
            if message.HasField("interrupt"):
                ends.append(len(whole))
                # With some luck, some sound was sent before the next message is read.
                time.sleep(generator.choice([0, 0, 0.003]))
        events += dialogue.end()
        assert [event.sequence for event in events] == list(range(len(events)))
        assert kinds(events)[-1] == "completed"
        sent_s = 0.0
        words: list[pb.SpeechMark] = []
        discarded: list[tuple[int, int]] = []
        for event in events:
            if event.HasField("audio"):
                assert seconds(event.audio.start_offset) == pytest.approx(sent_s, abs=1e-6)
                sent_s += len(event.audio.audio) / 2 / VOICE_RATE_HZ
            elif event.HasField("mark"):
                span = event.mark.source_span
                assert whole[span.start_offset : span.end_offset] == event.mark.value
                if event.mark.kind == pb.SPEECH_MARK_KIND_WORD:
                    words.append(event.mark)
            elif event.HasField("interrupted"):
                assert seconds(event.interrupted.produced_duration) == pytest.approx(sent_s, abs=1e-6)
                span = event.interrupted.discarded_span
                assert span.end_offset == ends[len(discarded)]
                spoken_words = [one for one in words if seconds(one.end_offset) <= sent_s + 1e-6]
                assert all(one.source_span.end_offset <= span.start_offset for one in spoken_words)
                discarded.append((span.start_offset, span.end_offset))
                # What was told and not sent is among what was dropped.
                words = spoken_words
        assert len(discarded) == len(ends)
        assert seconds(events[-1].completed.audio_duration) == pytest.approx(sent_s, abs=1e-6)
        told_of = {place for one in words for place in range(one.source_span.start_offset, one.source_span.end_offset)}
        told_of.update(place for start, end in discarded for place in range(start, end))
        letters = {place for place, character in enumerate(whole) if character.isalnum()}
        assert letters <= told_of, "each word was spoken, or told to be dropped"

    def test_with_an_encoder_the_stream_stays_whole(self, stub: Stub) -> None:
        dialogue: Dialogue[Told, Response] = Dialogue(stub.StreamSynthesize, speak(output_format=output("OGG_OPUS")))
        dialogue.send(text("Abcdefghij " * 20 + ". "), FLUSH)
        events = dialogue.until("mark")
        dialogue.send(INTERRUPT, text("One two."))
        events += dialogue.end()
        samples, rate_hz = decoded(sound_of(events))
        length_s = seconds(events[-1].completed.audio_duration)
        assert len(samples) / rate_hz == pytest.approx(length_s, abs=0.1)
        assert np.abs(samples).max() > 0.5


class TestEnds:
    """Messages out of turn, and ends that the stream did not choose."""

    @pytest.mark.parametrize(
        ("messages", "reason", "field"),
        [
            ([], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([text("One.")], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([INTERRUPT, speak()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([Told()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([speak(), speak()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([speak(), text("One."), speak()], "STREAM_PROTOCOL_VIOLATION", "setup"),
            ([speak(), Told()], "INVALID_ARGUMENT_FIELD", "request"),
        ],
    )
    def test_out_of_turn(self, stub: Stub, toys: ToyServer, messages: list[Told], reason: str, field: str) -> None:
        failure = refused(lambda: told(stub, messages))
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert (failure.reason, list(failure.fields)) == (reason, [field])
        assert_nothing_left(toys)

    def test_cancel_in_the_middle_leaves_nothing(self, stub: Stub, toys: ToyServer) -> None:
        for num_read in (0, 1, 2, 5):
            dialogue: Dialogue[Told, Any] = Dialogue(stub.StreamSynthesize, speak(model="toy-slow-voice"))
            dialogue.send(text("One two three. " * 20))
            for _ in range(num_read):
                dialogue.next()
            dialogue.call.cancel()
            dialogue.half_close()
            assert_nothing_left(toys)
        voice = toys.models["toy-slow-voice"]
        assert isinstance(voice, ToyVoice)
        num_spoken = len(voice.spoken)
        time.sleep(0.5)
        assert len(voice.spoken) == num_spoken

    def test_the_deadline_ends_the_stream_with_its_usage(self, stub: Stub, toys: ToyServer) -> None:
        dialogue: Dialogue[Told, Any] = Dialogue(stub.StreamSynthesize, speak(), timeout=1.0)
        dialogue.send(text("One two. "), FLUSH)
        events = dialogue.until("go_away")
        assert 0 <= seconds(events[-1].go_away.time_left) <= 0.11
        failure = refused(dialogue.next)
        dialogue.half_close()
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        if failure.trailing:  # a client whose own clock was first hears no more
            usage = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
            assert seconds(usage.audio.output_duration) == len(sound_of(events)) / 2 / VOICE_RATE_HZ
            assert usage.input_characters == 9
        assert_nothing_left(toys)

    def test_a_connection_that_breaks_leaves_nothing(self, toys: ToyServer) -> None:
        with grpc.insecure_channel(toys.address) as channel:
            dialogue: Dialogue[Told, Any] = Dialogue(Stub(channel).StreamSynthesize, speak(model="toy-slow-voice"))
            dialogue.send(text("One two three. " * 20))
            assert dialogue.next().HasField("ready")
        dialogue.half_close()
        assert_nothing_left(toys)

    def test_a_defect_of_the_model(self, stub: Stub, toys: ToyServer) -> None:
        failure = refused(lambda: told(stub, [speak(model="toy-broken-voice"), text("One. ")]))
        assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")
        assert_nothing_left(toys)

    def test_a_drain_is_told_at_once_and_the_stream_goes_on(self, tmp_path: Any) -> None:
        with ToyServer(tmp_path, MODELS) as server:
            dialogue: Dialogue[Told, Response] = Dialogue(Stub(server.channel).StreamSynthesize, speak())
            assert dialogue.next().HasField("ready")
            server.thread.loop.call_soon_threadsafe(server.admission.announce_end, time.monotonic() + 20)
            told_ = dialogue.next()
            assert 17 < seconds(told_.go_away.time_left) <= 20
            dialogue.send(text("One."))
            assert kinds(dialogue.end())[-1] == "completed"


def test_stream_without_a_deadline_has_the_longest() -> None:
    from trivium_server.rpc.methods import method_named

    assert method_named("/trivium.v1.SpeechSynthesisService/StreamSynthesize").is_long
    assert not method_named("/trivium.v1.SpeechSynthesisService/Synthesize").is_long
