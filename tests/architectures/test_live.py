"""Speech that is transcribed while it is spoken."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.architectures.hearing import Ears, Event, all_events, cut, finals, idle, live, running, texts
from tests.architectures.tiny_speech import MAX_SEGMENT_S, sound, write_detector, write_recognizer
from trivium_server.architectures.speech.live import Activity, ActivityKind, Endpointing, LiveTranscription, Update
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    Heard,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
)
from trivium_server.errors import UnsupportedFeature

Floats = NDArray[np.float32]

# Two utterances: half a second of silence between them.
TWO = sound([0] * 3 + [0.2, 0.4, 0.6, 0.3] + [0] * 7 + [0.9, 0.8, 0.7] + [0] * 2)
SILENCE = np.zeros(SAMPLE_RATE_HZ, np.float32)
LEVELS = st.lists(
    st.one_of(
        st.lists(st.sampled_from([0.2, 0.3, 0.5, 0.8]), min_size=1, max_size=12),
        st.integers(1, 9).map(lambda n: [0.0] * n),
    ),
    max_size=12,
).map(lambda parts: [level for part in parts for level in part])
SIZES = st.lists(st.integers(1, 9000), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[Ears]:
    folder = tmp_path_factory.mktemp("speech")
    recognizer, detector = write_recognizer(folder / "hears"), write_detector(folder / "detects")
    with running(loop, recognizer=recognizer, detector=detector) as ears:
        yield ears


async def _read(source: AsyncGenerator[Event], into: list[Event] | None = None) -> list[Event]:
    events: list[Event] = [] if into is None else into
    async with contextlib.aclosing(source):
        async for event in source:
            events.append(event)  # noqa: PERF401  the caller sees them as they come
    return events


async def _push_all(stream: LiveTranscription, pieces: Iterable[Floats]) -> None:
    for piece in pieces:
        await stream.push(piece)


def told(events: Sequence[Event]) -> list[Activity | Update]:
    """What depends on the sound alone: all but interim results."""
    return [event for event in events if isinstance(event, Activity) or event.is_final]


@given(levels=LEVELS, sizes=SIZES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_pieces_equal_the_whole(ears: Ears, loop: asyncio.Runner, levels: list[float], sizes: list[int]) -> None:
    samples = sound(levels)
    whole = loop.run(all_events(live(ears), [samples]))
    pieces = loop.run(all_events(live(ears, interim_period_s=0.2), cut(samples, sizes)))
    assert told(pieces) == told(whole) == whole


@given(levels=LEVELS, sizes=SIZES, closed_after=st.integers(0, 9))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_utterance_has_one_final_and_its_sound_is_its_own(
    ears: Ears, loop: asyncio.Runner, levels: list[float], sizes: list[int], closed_after: int
) -> None:
    async def ask() -> list[Event]:
        stream = live(ears, interim_period_s=0.1)
        reading = asyncio.ensure_future(_read(stream.events()))
        for turn, piece in enumerate(cut(sound(levels), sizes)):
            await stream.push(piece)
            if turn == closed_after:
                await stream.finalize()
        await stream.finish()
        return await reading

    events = loop.run(ask())
    ended = finals(events)
    assert [update.segment.index for update in ended] == list(range(len(ended)))
    segments = [update.segment for update in ended]
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(segments))
    assert all(0 < each.end_s - each.start_s <= MAX_SEGMENT_S for each in segments)
    kinds = [event.kind for event in events if isinstance(event, Activity)]
    assert kinds.count(ActivityKind.END_OF_UTTERANCE) == len(ended)
    # An utterance's interim results come before its final one, and carry its index.
    indexes = [event.segment.index for event in events if isinstance(event, Update)]
    assert indexes == sorted(indexes)
    for update in ended:
        assert update.stable_prefix_len == len(update.segment.heard.text)


def test_two_utterances(ears: Ears, loop: asyncio.Runner) -> None:
    events = loop.run(all_events(live(ears), [TWO]))
    assert texts(events) == ["w0 w0 w2 w4 w6 w3 w0 w0", "w0 w0 w8 w8 w7 w1 w0"]
    assert [event.kind.name for event in events if isinstance(event, Activity)] == [
        "SPEECH_START", "SPEECH_END", "END_OF_UTTERANCE", "SPEECH_START", "SPEECH_END", "END_OF_UTTERANCE",
    ]  # fmt: skip


def test_interim_results_grow_and_are_no_more_than_asked_for(ears: Ears, loop: asyncio.Runner) -> None:
    levels = [0.2, 0.4, 0.6, 0.3, 0.5, 0.7, 0.2, 0.9, 0.4, 0.3, 0.8, 0.2]

    async def ask() -> list[Event]:
        stream = live(ears, interim_period_s=0.3)
        events: list[Event] = []
        reading = asyncio.ensure_future(_read(stream.events(), events))
        for piece in cut(sound(levels), [1600]):
            await stream.push(piece)
            await idle(ears)
        await stream.finish()
        await reading
        return events

    updates = [event for event in loop.run(ask()) if isinstance(event, Update)]
    interims = [update for update in updates if not update.is_final]
    assert 3 <= len(interims) <= 4
    (final,) = [update for update in updates if update.is_final]
    for before, after in itertools.pairwise(interims):
        assert after.segment.heard.text.startswith(before.segment.heard.text)
        assert after.processed_s - before.processed_s >= 0.3 - 1e-9
        assert before.stable_prefix_len <= after.stable_prefix_len < len(after.segment.heard.text)
        settled = after.segment.heard.text[: after.stable_prefix_len]
        assert final.segment.heard.text.startswith(settled)
    assert interims[-1].stable_prefix_len > 0


class CountingRecognizer:
    """Counts what it has another recogniser hear. Implements SpeechRecognizer."""

    def __init__(self, recognizer: SpeechRecognizer) -> None:
        self._recognizer = recognizer
        self.execution_provider = recognizer.execution_provider
        self.recognizer_info = recognizer.recognizer_info
        self.num_asked = 0

    async def recognize_speech(
        self, samples: Floats, options: RecognitionOptions, *, urgency: Urgency, deadline_s: float, meter: SpeechMeter
    ) -> Heard:
        self.num_asked += 1
        return await self._recognizer.recognize_speech(
            samples, options, urgency=urgency, deadline_s=deadline_s, meter=meter
        )


@pytest.mark.parametrize(("levels_after", "num_asked"), [([0] * 3, 1), ([0.5, 0.7, 0.2] + [0] * 5, 2)])
def test_final_result_is_begun_in_the_silence_before_the_utterance_is_over(
    ears: Ears, loop: asyncio.Runner, levels_after: list[float], num_asked: int
) -> None:
    samples = sound([0.2, 0.4, 0.6, 0.3] + [0] * 3 + levels_after)
    counting = CountingRecognizer(ears.recognizer)

    async def ask() -> list[Event]:
        stream = live(ears, recognizer=counting)
        events: list[Event] = []
        reading = asyncio.ensure_future(_read(stream.events(), events))
        pieces = cut(samples, [1600])
        for number, piece in enumerate(pieces):
            await stream.push(piece)
            await asyncio.sleep(0)
            await idle(ears)
            if number == 6:
                # Not yet silent for long enough to be over, and understood already.
                assert (counting.num_asked, finals(events)) == (1, [])
        await stream.finish()
        await reading
        return events

    events = loop.run(ask())
    # Who speaks on is heard anew: once more in the silence behind it.
    assert counting.num_asked == num_asked
    assert texts(events) == texts(loop.run(all_events(live(ears), [samples])))


def test_silence_is_nothing(ears: Ears, loop: asyncio.Runner) -> None:
    stream = live(ears, interim_period_s=0.1)
    assert loop.run(all_events(stream, cut(SILENCE, [777]))) == []
    assert stream.heard_s == 1.0
    assert stream.speech_s == 0.0


def test_finalize_ends_an_utterance_and_the_stream_goes_on(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> list[Event]:
        stream = live(ears)
        await stream.finalize()
        await stream.push(sound([0.2, 0.4, 0.6, 0.3]))
        await stream.finalize()
        await stream.finalize()
        await stream.push(sound([0.5, 0.7, 0.9, 0.8, 0.1]))
        await stream.finish()
        return await _read(stream.events())

    events = loop.run(ask())
    assert texts(events) == ["w2 w4 w6 w3", "w5 w7 w9 w8 w1"]
    first, second = (update.segment for update in finals(events))
    # What was heard to the sample belongs to the first.
    assert (first.start_s, first.end_s, second.start_s, second.end_s) == (0.0, 0.4, 0.4, 0.9)


def test_single_utterance_hears_no_more(ears: Ears, loop: asyncio.Runner) -> None:
    stream = live(ears, Endpointing(single_utterance=True))
    assert len(texts(loop.run(all_events(stream, cut(TWO, [500]))))) == 1
    assert stream.heard_s < len(TWO) / SAMPLE_RATE_HZ


@given(sizes=SIZES, timeout_s=st.sampled_from([0.2, 0.5, 0.7, 1.1]))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stream_ends_where_nobody_speaks(ears: Ears, loop: asyncio.Runner, sizes: list[int], timeout_s: float) -> None:
    samples = np.concatenate([sound([0] * 4 + [0.2, 0.4, 0.6]), SILENCE, sound([0.3, 0.4, 0.5])])
    rule = Endpointing(speech_start_timeout_s=timeout_s)
    whole = loop.run(all_events(live(ears, rule), [samples]))
    assert loop.run(all_events(live(ears, rule), cut(samples, sizes))) == whole
    assert len(texts(whole)) == {0.2: 0, 0.5: 0, 0.7: 1, 1.1: 2}[timeout_s]


def test_long_speech_is_cut(ears: Ears, loop: asyncio.Runner) -> None:
    levels = [round(0.2 + 0.1 * (turn * 7 % 8), 1) for turn in range(100)]
    events = loop.run(all_events(live(ears), cut(sound(levels), [3000])))
    segments = [update.segment for update in finals(events)]
    assert len(segments) >= 3
    assert segments[0].start_s == 0.0
    assert segments[-1].end_s == 10.0
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(segments))
    kinds = [event.kind for event in events if isinstance(event, Activity)]
    assert kinds.count(ActivityKind.SPEECH_START) == 1


def test_reader_who_does_not_read_holds_the_feeder_back(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        stream = live(ears)
        feeding = asyncio.ensure_future(_push_all(stream, itertools.repeat(TWO, 10_000)))
        await asyncio.sleep(0.3)
        heard_s = stream.heard_s
        await asyncio.sleep(0.2)
        assert stream.heard_s == heard_s
        assert not feeding.done()
        async with contextlib.aclosing(stream.events()) as events:
            for _ in range(100):
                await anext(events)
        assert stream.heard_s > heard_s
        await feeding  # the stream is over for it too

    loop.run(ask())


def test_cancelled_streams_leave_nothing(ears: Ears, loop: asyncio.Runner) -> None:
    rng = random.Random(1)

    async def storm() -> None:
        streams = [live(ears, interim_period_s=0.1) for _ in range(30)]
        tasks = [asyncio.ensure_future(all_events(stream, cut(np.tile(TWO, 5), [1000]))) for stream in streams]
        for task in tasks:
            asyncio.get_running_loop().call_later(rng.uniform(0, 0.2), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        await idle(ears)
        assert all(stream.num_under_way == 0 for stream in streams)

    loop.run(storm())


def test_sound_that_is_no_number_ends_its_stream_alone(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        bad = TWO.copy()
        bad[9000] = np.nan
        good, other, broken = live(ears), live(ears), live(ears)
        outcomes = await asyncio.gather(
            all_events(good, cut(TWO, [500])),
            _push_all(broken, cut(bad, [500])),
            all_events(other, cut(TWO, [500])),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], UnsupportedFeature)
        assert outcomes[0] == outcomes[2]

    loop.run(ask())
