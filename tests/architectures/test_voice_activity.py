"""The detector of voice activity."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.architectures.hearing import Ears, idle, running, soon
from tests.architectures.tiny_speech import sound, write_detector, write_recognizer
from trivium_server.architectures import speech
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech_capabilities import VOICE_WINDOW, SpeechMeter
from trivium_server.config import Config
from trivium_server.errors import CallAborted, QueueTimeout, UnsupportedFeature

Floats = NDArray[np.float32]

COUNTS = st.lists(st.integers(0, 70), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[Ears]:
    folder = tmp_path_factory.mktemp("speech")
    recognizer, detector = write_recognizer(folder / "hears"), write_detector(folder / "detects")
    with running(loop, recognizer=recognizer, detector=detector) as ears:
        yield ears


def some_sound(seed: int, num_windows: int) -> Floats:
    levels = np.random.default_rng(seed).integers(0, 12, num_windows) / 64
    return sound(levels.tolist())[: num_windows * VOICE_WINDOW]


async def probabilities(ears: Ears, samples: Floats, counts: list[int]) -> Floats:
    """Pushes so many windows at a time."""
    stream = ears.detector.open_voice_stream()
    found, start, turn = [], 0, 0
    while start < len(samples):
        end = start + max(1, counts[turn % len(counts)]) * VOICE_WINDOW
        found.append(await stream.push(samples[start:end], deadline_s=soon(), meter=SpeechMeter()))
        start, turn = end, turn + 1
    return np.concatenate(found)


@given(num_windows=st.integers(1, 200), counts=COUNTS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_pieces_equal_the_whole(ears: Ears, loop: asyncio.Runner, num_windows: int, counts: list[int]) -> None:
    samples = some_sound(num_windows, num_windows)
    whole = loop.run(probabilities(ears, samples, [num_windows]))
    np.testing.assert_array_equal(loop.run(probabilities(ears, samples, counts)), whole)


@given(lengths=st.lists(st.integers(1, 60), min_size=2, max_size=9), counts=COUNTS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_equals_alone(ears: Ears, loop: asyncio.Runner, lengths: list[int], counts: list[int]) -> None:
    sounds = [some_sound(place, length) for place, length in enumerate(lengths)]

    async def compare() -> None:
        alone = [await probabilities(ears, each, counts) for each in sounds]
        together = await asyncio.gather(*(probabilities(ears, each, counts) for each in sounds))
        for wanted, got in zip(alone, together, strict=True):
            np.testing.assert_array_equal(got, wanted)

    loop.run(compare())


def test_each_window_is_heard_with_what_was_before(ears: Ears, loop: asyncio.Runner) -> None:
    loud, silent = sound([0.3] * 16)[:VOICE_WINDOW], np.zeros(VOICE_WINDOW, np.float32)
    found = loop.run(probabilities(ears, np.concatenate([silent, loud, silent, silent]), [1]))
    assert [round(float(each), 2) for each in found] == [0.1, 1.0, 0.7, 0.1]


def test_sound_that_is_no_number_fails_alone(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        sounds = [some_sound(place, 8) for place in range(6)]
        sounds[2][700] = np.nan
        ended = await asyncio.gather(*(probabilities(ears, each, [2]) for each in sounds), return_exceptions=True)
        for place, each in enumerate(ended):
            assert isinstance(each, UnsupportedFeature if place == 2 else np.ndarray)

    loop.run(ask())


def test_many_streams_share_runs(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> tuple[int, int]:
        before = ears.detector.stats
        await asyncio.gather(*(probabilities(ears, some_sound(place, 60), [3]) for place in range(32)))
        after = ears.detector.stats
        return after.num_batches - before.num_batches, after.useful_tokens - before.useful_tokens

    num_batches, num_windows = loop.run(ask())
    assert num_windows == 32 * 60
    assert num_batches < 32 * 20 / 3  # alone, each of the 20 pushes of each stream would be one


def test_deadline_and_cancel_leave_nothing(ears: Ears, loop: asyncio.Runner) -> None:
    rng = random.Random(0)

    async def storm() -> None:
        tasks = [asyncio.ensure_future(probabilities(ears, some_sound(place, 90), [3])) for place in range(40)]
        for task in tasks:
            asyncio.get_running_loop().call_later(rng.uniform(0, 0.02), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        stream = ears.detector.open_voice_stream()
        with pytest.raises(QueueTimeout):
            await stream.push(some_sound(0, 3), deadline_s=soon() - 120, meter=SpeechMeter())
        await idle(ears)

    loop.run(storm())


async def test_closed_model_ends_calls(tmp_path: Path) -> None:
    model = speech.load(write_detector(tmp_path / "detects"), Config(), lambda _: None)
    assert isinstance(model, speech.VoiceActivityModel)
    await model.warm_up()
    await model.close(0.0)
    with pytest.raises(CallAborted):
        await model.open_voice_stream().push(some_sound(0, 3), deadline_s=soon(), meter=SpeechMeter())


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"model_type": "silero_vad", "window": 256}, "config.json: window must be 512"),
        ({"model_type": "silero_vad", "sampling_rate": 8000}, "config.json: sampling_rate must be 16000"),
        ({"model_type": "vad"}, "config.json: model_type 'vad' is none that hears or speaks; this server knows "),
    ],
)
def test_folder_that_cannot_be_served(tmp_path: Path, config: dict[str, object], wanted: str) -> None:
    with pytest.raises(ModelFolderError, match=wanted):
        speech.load(write_detector(tmp_path, config=config), Config(), lambda _: None)
