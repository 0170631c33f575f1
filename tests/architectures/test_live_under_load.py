"""Live speech on a machine that has more to do than it can."""

import asyncio
import gc
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.architectures.hearing import Ears, Event, all_events, cut, finals, live, running, texts
from tests.architectures.tiny_speech import MAX_SEGMENT_S, sound, write_detector, write_recognizer
from trivium_server.architectures.speech.live import Update
from trivium_server.architectures.speech.runner import SpeechRunner
from trivium_server.architectures.speech_capabilities import (
    Heard,
    RecognitionOptions,
    RecognitionTask,
    RecognizerInfo,
    SpeechMeter,
    Urgency,
)
from trivium_server.errors import QueueFull

Floats = NDArray[np.float32]

RUN_S = 0.03
STEP_S = 0.1
NUM_STREAMS = 10
# One utterance of two seconds, another one of one.
SPOKEN = sound([0.3, 0.4, 0.5, 0.6] * 5 + [0] * 7 + [0.7, 0.8] * 5 + [0] * 7)


@dataclass(frozen=True, slots=True)
class Item:
    number: int
    urgency: Urgency
    duration_s: float


class SlowRecognizer:
    """Takes RUN_S for each piece, one at a time, and says how long it is. Implements SpeechRecognizer."""

    execution_provider = "SlowExecutionProvider"

    def __init__(self) -> None:
        self.recognizer_info = RecognizerInfo(
            language_codes=("en",),
            tasks=(RecognitionTask.TRANSCRIBE,),
            max_segment_s=MAX_SEGMENT_S,
            gives_word_timings=False,
            honors_prompt=False,
        )
        self.runner: SpeechRunner[Item, Heard] = SpeechRunner(
            self._run, model="slow", num_runners=1, max_items=1, max_waiting=100
        )
        # What was asked for and what was begun, in the order in which it happened.
        self.log: list[tuple[str, Item]] = []
        self._numbers = itertools.count()

    def _run(self, items: Sequence[Item]) -> list[Heard]:
        (item,) = items
        self.log.append(("begun", item))
        time.sleep(RUN_S)
        return [Heard(text=f"{item.duration_s:.2f} s", language_code="en")]

    async def recognize_speech(
        self,
        samples: Floats,
        options: RecognitionOptions,
        *,
        urgency: Urgency,
        deadline_s: float,
        meter: SpeechMeter,
    ) -> Heard:
        item = Item(next(self._numbers), urgency, len(samples) / 16_000)
        self.log.append(("asked", item))
        return await self.runner.run(item, urgency=urgency, deadline_s=deadline_s, meter=meter)

    def num_interims_before(self, final: Item) -> int:
        """How many interim results were begun while a final one waited."""
        asked, begun = (self.log.index((what, final)) for what in ("asked", "begun"))
        return sum(what == "begun" and item.urgency is Urgency.INTERIM for what, item in self.log[asked:begun])


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[Ears]:
    folder = tmp_path_factory.mktemp("speech")
    recognizer, detector = write_recognizer(folder / "hears"), write_detector(folder / "detects")
    with running(loop, recognizer=recognizer, detector=detector) as ears:
        yield ears


def num_interims(events: Sequence[Event]) -> int:
    return sum(isinstance(event, Update) and not event.is_final for event in events)


async def speak(ears: Ears, recognizer: SlowRecognizer, pace: float) -> list[Event]:
    """Speaks so many times as fast as people do."""
    stream = live(ears, interim_period_s=STEP_S, recognizer=recognizer)

    async def paced() -> None:
        for piece in cut(SPOKEN, [round(STEP_S * 16_000)]):
            await stream.push(piece)
            await asyncio.sleep(STEP_S / pace)
        await stream.finish()

    feeding = asyncio.create_task(paced())
    events = [event async for event in stream.events()]
    await feeding
    assert stream.num_under_way == 0
    return events


@pytest.mark.alone
def test_interim_results_slow_down_and_final_ones_do_not_wait_for_them(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        recognizer = SlowRecognizer()
        await recognizer.runner.start(lambda: None)
        try:
            alone = await speak(ears, recognizer, pace=2.0)
            # Nearly as many as there are steps of speech, which begins to be known after two of them.
            assert num_interims(alone) >= 18
            recognizer.log.clear()
            together = await asyncio.gather(*(speak(ears, recognizer, pace=2.0) for _ in range(NUM_STREAMS)))
        finally:
            await recognizer.runner.close(0.0)
        assert [finals(events) for events in together] == [finals(alone)] * NUM_STREAMS
        assert all(0 < num_interims(events) < num_interims(alone) / 2 for events in together)
        ends = [item for what, item in recognizer.log if what == "asked" and item.urgency is Urgency.LIVE]
        assert len(ends) == 2 * NUM_STREAMS
        # One may begin at the very moment at which the final one is asked for.
        assert all(recognizer.num_interims_before(each) <= 1 for each in ends)
        assert recognizer.runner.stats.num_accepted == 0

    loop.run(ask())


def test_interim_result_that_is_refused_is_left_out(ears: Ears, loop: asyncio.Runner) -> None:
    """A full line refuses what can wait; what was said is told all the same."""

    class Full(SlowRecognizer):
        async def recognize_speech(
            self,
            samples: Floats,
            options: RecognitionOptions,
            *,
            urgency: Urgency,
            deadline_s: float,
            meter: SpeechMeter,
        ) -> Heard:
            if urgency is Urgency.INTERIM:
                raise QueueFull(1, 1.0)
            return await super().recognize_speech(samples, options, urgency=urgency, deadline_s=deadline_s, meter=meter)

    async def ask() -> list[Event]:
        recognizer = Full()
        await recognizer.runner.start(lambda: None)
        try:
            return await all_events(live(ears, interim_period_s=STEP_S, recognizer=recognizer), cut(SPOKEN, [1600]))
        finally:
            await recognizer.runner.close(0.0)

    events = loop.run(ask())
    assert len(texts(events)) == 2
    assert num_interims(events) == 0


def test_failures_that_nobody_came_to_read_are_no_noise(ears: Ears, loop: asyncio.Runner) -> None:
    class Broken(SlowRecognizer):
        async def recognize_speech(
            self,
            samples: Floats,
            options: RecognitionOptions,
            *,
            urgency: Urgency,
            deadline_s: float,
            meter: SpeechMeter,
        ) -> Heard:
            raise QueueFull(1, 1.0)

    async def ask() -> list[object]:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        stream = live(ears, recognizer=Broken())
        await stream.push(np.tile(SPOKEN, 2))
        await stream.finish()
        with pytest.raises(QueueFull):
            [event async for event in stream.events()]
        del stream
        gc.collect()
        await asyncio.sleep(0)
        asyncio.get_running_loop().set_exception_handler(None)
        return told

    assert loop.run(ask()) == []


@pytest.mark.parametrize("pace", [1.0, 4.0, 1000.0])
def test_pace_changes_nothing_of_what_is_final(ears: Ears, loop: asyncio.Runner, pace: float) -> None:
    async def ask() -> None:
        recognizer = SlowRecognizer()
        await recognizer.runner.start(lambda: None)
        try:
            whole = await all_events(live(ears, recognizer=recognizer), [SPOKEN])
            assert finals(await speak(ears, recognizer, pace)) == finals(whole)
            assert len(finals(whole)) == 2
        finally:
            await recognizer.runner.close(0.0)

    loop.run(ask())
