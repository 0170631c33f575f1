"""Recordings that are transcribed."""

import asyncio
import contextlib
import io
import random
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.architectures.hearing import Ears, all_events, cut, finals, idle, live, running, soon
from tests.architectures.tiny_speech import sound, write_detector, write_recognizer
from trivium_server.architectures.speech.transcription import FileProgress, Segment, transcribe_file
from trivium_server.architectures.speech_capabilities import SAMPLE_RATE_HZ, RecognitionOptions, SpeechMeter
from trivium_server.errors import TriviumError
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

Floats = NDArray[np.float32]

AUTO = AudioFormat(encoding=AudioEncoding.AUTO)
UTTERANCE = [0.25, 0.5, 0.75, 0.375, 0, 0, 0, 0, 0, 0]
LEVELS = st.lists(
    st.one_of(
        st.lists(st.sampled_from([0.25, 0.375, 0.5, 0.75]), min_size=1, max_size=12),
        st.integers(1, 9).map(lambda count: [0.0] * count),
    ),
    max_size=12,
).map(lambda parts: [level for part in parts for level in part])


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[Ears]:
    folder = tmp_path_factory.mktemp("speech")
    recognizer, detector = write_recognizer(folder / "hears"), write_detector(folder / "detects")
    with running(loop, recognizer=recognizer, detector=detector) as ears:
        yield ears


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def wav(*channels: Floats, sample_rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A file of 16 bits a sample. Levels that are multiples of 1/8 come out of it as they were."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((np.stack(channels, axis=1) * 32768).astype("<i2").tobytes())
    return written.getvalue()


async def transcribed(
    ears: Ears,
    pool: ThreadPoolExecutor,
    file: bytes,
    *,
    separate_channels: bool = False,
    progress: FileProgress | None = None,
    num_taken: int | None = None,
) -> list[Segment]:
    """Returns all segments, or leaves after so many."""
    with open_audio(file, AUTO, max_s=3600.0, field="audio") as reader:
        segments = transcribe_file(
            reader,
            recognizer=ears.recognizer,
            detector=ears.detector,
            options=RecognitionOptions(),
            separate_channels=separate_channels,
            deadline_s=soon(),
            meter=SpeechMeter(),
            progress=progress or FileProgress(),
            pool=pool,
        )
        taken: list[Segment] = []
        async with contextlib.aclosing(segments):
            async for segment in segments:
                taken.append(segment)
                if len(taken) == num_taken:
                    break
        return taken


@given(levels=LEVELS, size=st.integers(1, 9000))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_equals_live(
    ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor, levels: list[float], size: int
) -> None:
    samples = sound([*levels, 0.0])
    segments = loop.run(transcribed(ears, pool, wav(samples)))
    events = loop.run(all_events(live(ears, interim_period_s=0.2), cut(samples, [size])))
    assert segments == [update.segment for update in finals(events)]


def test_long_recording_comes_in_order(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor) -> None:
    levels = [level for turn in range(120) for level in [0.25 + turn % 5 / 8, *UTTERANCE]]
    progress = FileProgress()
    segments = loop.run(transcribed(ears, pool, wav(sound(levels)), progress=progress))
    assert [segment.index for segment in segments] == list(range(120))
    for turn, segment in enumerate(segments):
        # From a second to a second, each utterance by itself.
        assert 1.1 * turn - 0.3 < segment.start_s < segment.end_s < 1.1 * (turn + 1)
    assert progress.heard_s == progress.audio_s == pytest.approx(132.0)
    assert progress.speech_s == pytest.approx(sum(segment.end_s - segment.start_s for segment in segments))
    assert not progress.was_cut_short


def test_channels_are_mixed_or_heard_separately(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor) -> None:
    silence = [0.0] * len(UTTERANCE)
    left, right = sound(UTTERANCE + silence + UTTERANCE), sound(silence + UTTERANCE + silence)
    file = wav(left, right)
    separate = loop.run(transcribed(ears, pool, file, separate_channels=True))
    alone = [loop.run(transcribed(ears, pool, wav(channel))) for channel in (left, right)]
    for channel in (0, 1):
        got = [(each.start_s, each.end_s, each.heard) for each in separate if each.channel == channel]
        assert got == [(each.start_s, each.end_s, each.heard) for each in alone[channel]]
    assert sorted(each.index for each in separate) == [0, 1, 2]
    mixed = loop.run(transcribed(ears, pool, file))
    assert [each.channel for each in mixed] == [0, 0, 0]
    assert "w2 w4" in mixed[0].heard.text  # half as loud as in its channel


def test_other_rates_are_heard_as_well(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor) -> None:
    levels = [*UTTERANCE, *UTTERANCE]
    tripled = np.repeat(sound(levels), 3)
    segments = loop.run(transcribed(ears, pool, wav(tripled, sample_rate_hz=48000)))
    wanted = loop.run(transcribed(ears, pool, wav(sound(levels))))
    for got, other in zip(segments, wanted, strict=True):
        assert (got.start_s, got.end_s) == pytest.approx((other.start_s, other.end_s), abs=0.07)


@pytest.mark.parametrize("num_samples", [1, 511, 512, 3000])
def test_silence_and_nothing(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor, num_samples: int) -> None:
    progress = FileProgress()
    assert loop.run(transcribed(ears, pool, wav(np.zeros(num_samples, np.float32)), progress=progress)) == []
    assert progress.audio_s == num_samples / SAMPLE_RATE_HZ
    assert progress.speech_s == 0


def test_file_that_is_cut_short_is_told(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor) -> None:
    whole = wav(sound(UTTERANCE * 3))
    progress = FileProgress()
    segments = loop.run(transcribed(ears, pool, whole[: len(whole) // 2], progress=progress))
    assert progress.was_cut_short
    assert progress.audio_s == pytest.approx(1.5, abs=0.01)
    assert len(segments) == 2


def test_leaving_and_cancelling_leave_nothing(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor) -> None:
    file = wav(sound(UTTERANCE * 40))
    rng = random.Random(0)

    async def storm() -> None:
        assert len(await transcribed(ears, pool, file, num_taken=2)) == 2
        await idle(ears)
        tasks = [asyncio.ensure_future(transcribed(ears, pool, file)) for _ in range(12)]
        for task in tasks:
            asyncio.get_running_loop().call_later(rng.uniform(0, 0.2), task.cancel)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not any(isinstance(each, TriviumError) for each in ended)
        await idle(ears)

    loop.run(storm())


def test_many_recordings_together_equal_each_alone(ears: Ears, loop: asyncio.Runner, pool: ThreadPoolExecutor) -> None:
    files = [wav(sound([0.125 * (1 + turn % 7), *UTTERANCE] * (1 + turn % 3))) for turn in range(12)]

    async def compare() -> None:
        alone = [await transcribed(ears, pool, file) for file in files]
        together = await asyncio.gather(*(transcribed(ears, pool, file) for file in files))
        assert together == alone

    loop.run(compare())
