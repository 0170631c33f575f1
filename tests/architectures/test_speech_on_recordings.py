"""The real models on real speech, and on sound that is none."""

import asyncio
import re
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.architectures.hearing import Ears, all_events, cut, finals, live, noises, running, soon, texts
from tests.recordings import SPOKEN, load_speech
from trivium_models.store import Store
from trivium_server.architectures import speech
from trivium_server.architectures.speech.hearing import Hearing
from trivium_server.architectures.speech.listening import Piece
from trivium_server.architectures.speech.live import Update
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    Heard,
    RecognitionOptions,
    SpeechMeter,
    Urgency,
)
from trivium_server.config import Config

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def ears(loop: asyncio.Runner) -> Iterator[Ears]:
    store = Store()
    recognizer, detector = store.pull("moonshine-tiny-en").folder, store.pull("silero-vad").folder
    with running(loop, recognizer=recognizer, detector=detector) as ears:
        yield ears


@pytest.fixture(scope="module")
def whisper(loop: asyncio.Runner) -> Iterator[speech.WhisperModel]:
    model = speech.load(Store().pull("whisper-tiny-en").folder, Config(), lambda _: None)
    assert isinstance(model, speech.WhisperModel)
    loop.run(model.warm_up())
    yield model
    loop.run(model.close(0.0))


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def num_errors(heard: str, name: str) -> int:
    """Words that are to be put in, left out or changed."""
    row = list(range(len(words(heard)) + 1))
    for place, spoken in enumerate(words(SPOKEN[name]), 1):
        before, row[0] = row[0], place
        for index, word in enumerate(words(heard), 1):
            best = min(row[index] + 1, row[index - 1] + 1, before + (word != spoken))
            before, row[index] = row[index], best
    return row[-1]


@pytest.mark.parametrize("name", ["beckett.wav", "sense_and_sensibility_01_austen_64kb-0930.wav"])
def test_speech_is_understood_whatever_pieces_it_comes_in(ears: Ears, loop: asyncio.Runner, name: str) -> None:
    samples = load_speech(name)
    whole = loop.run(all_events(live(ears), [samples]))
    assert num_errors(" ".join(texts(whole)), name) <= len(words(SPOKEN[name])) // 4
    events = loop.run(all_events(live(ears, interim_period_s=0.5), cut(samples, [257, 4000])))
    assert finals(events) == finals(whole)


def test_streams_together_equal_each_alone(ears: Ears, loop: asyncio.Runner) -> None:
    samples = load_speech("beckett.wav")
    shifted = [samples[place * 9000 : 70_000] for place in range(3)]

    async def compare() -> None:
        alone = [finals(await all_events(live(ears), cut(each, [1600]))) for each in shifted]
        together = await asyncio.gather(*(all_events(live(ears), cut(each, [1600])) for each in shifted))
        assert [finals(events) for events in together] == alone

    loop.run(compare())


@pytest.mark.parametrize("level_db", [-40, -12])
def test_what_is_no_speech_is_no_words(ears: Ears, loop: asyncio.Runner, level_db: int) -> None:
    for name, noise in noises():
        scaled = noise / max(1e-9, float(np.abs(noise).max())) * 10 ** (level_db / 20)
        events = loop.run(all_events(live(ears, interim_period_s=0.5), cut(scaled.astype(np.float32), [1600])))
        assert [event for event in events if isinstance(event, Update)] == [], name
    for name in ("success.wav", "error.wav"):
        assert texts(loop.run(all_events(live(ears), [load_speech(name)]))) == [], name


def test_moonshine_invents_nothing_where_nobody_speaks(ears: Ears, loop: asyncio.Runner) -> None:
    """Even where no detector of voice activity stands before it."""

    async def hear(samples: Floats) -> str:
        heard = await ears.recognizer.recognize_speech(
            samples, RecognitionOptions(), urgency=Urgency.FILE, deadline_s=soon(), meter=SpeechMeter()
        )
        return heard.text

    for name, noise in noises():
        for level_db, seconds in ((-40, 1), (-12, 4)):
            scaled = noise / max(1e-9, float(np.abs(noise).max())) * 10 ** (level_db / 20)
            assert loop.run(hear(scaled[: seconds * SAMPLE_RATE_HZ].astype(np.float32))) == "", (name, level_db)
    for name in ("success.wav", "error.wav"):
        assert loop.run(hear(load_speech(name))) == "", name


def test_whisper_tells_when_words_are_spoken(whisper: speech.WhisperModel, loop: asyncio.Runner) -> None:
    name = "sense_and_sensibility_01_austen_64kb-0930.wav"
    samples = load_speech(name)

    async def ask() -> Heard:
        options = RecognitionOptions(with_words=True)
        hearing = Hearing(whisper, options, deadline_s=soon(), meter=SpeechMeter())
        # As if it stood two seconds into a sound.
        return await hearing.hear(
            Piece(samples=samples, start_s=2.0, end_s=2.0 + len(samples) / SAMPLE_RATE_HZ), Urgency.FILE
        )

    heard = loop.run(ask())
    assert num_errors(heard.text, name) <= 1
    assert " ".join(word.text for word in heard.words) == heard.text
    times = [time for word in heard.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[0] >= 2.0
    assert times[-1] <= 2.0 + len(samples) / SAMPLE_RATE_HZ + 0.02
    # Where a word is, there is sound: as loud as the recording in the middle, at the least.
    levels = [
        float(
            np.square(samples[int((word.start_s - 2) * SAMPLE_RATE_HZ) : int((word.end_s - 2) * SAMPLE_RATE_HZ)]).mean()
        )
        for word in heard.words
    ]
    assert np.median(levels) > np.square(samples).mean() / 3
