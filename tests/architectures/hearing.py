"""Loads and calls models that hear, in tests."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures import speech
from trivium_server.architectures.speech.live import Activity, Endpointing, LiveTranscription, Update
from trivium_server.architectures.speech.moonshine import MoonshineModel
from trivium_server.architectures.speech.voice_activity import VoiceActivityModel
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
)
from trivium_server.config import Config, SpeechConfig

Floats = NDArray[np.float32]
Event = Activity | Update


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """A recogniser and the detector that it is used with."""

    recognizer: MoonshineModel
    detector: VoiceActivityModel

    def is_idle(self) -> bool:
        stats = self.detector.stats
        return self.recognizer.stats.num_accepted == stats.num_accepted == stats.num_callers == 0


@contextlib.contextmanager
def running(loop: asyncio.Runner, *, recognizer: Path, detector: Path, runners: int = 2) -> Iterator[Ears]:
    """Warmed models; nothing may be left in them at the end."""
    config = Config(speech=SpeechConfig(runners=runners))
    recognizing = speech.load(recognizer, config, lambda _: None)
    detecting = speech.load(detector, config, lambda _: None)
    assert isinstance(recognizing, MoonshineModel)
    assert isinstance(detecting, VoiceActivityModel)
    loop.run(recognizing.warm_up())
    loop.run(detecting.warm_up())
    ears = Ears(recognizer=recognizing, detector=detecting)
    try:
        yield ears
        assert ears.is_idle()
    finally:
        loop.run(recognizing.close(grace_s=0.0))
        loop.run(detecting.close(grace_s=0.0))


async def idle(ears: Ears) -> None:
    """Waits until nothing waits or runs."""
    async with asyncio.timeout(10):
        while not ears.is_idle():
            await asyncio.sleep(0.002)


def live(
    ears: Ears,
    endpointing: Endpointing | None = None,
    *,
    interim_period_s: float | None = None,
    recognizer: SpeechRecognizer | None = None,
) -> LiveTranscription:
    return LiveTranscription(
        recognizer or ears.recognizer,
        ears.detector,
        RecognitionOptions(),
        endpointing or Endpointing(),
        interim_period_s=interim_period_s,
        deadline_s=soon(),
        meter=SpeechMeter(),
    )


async def all_events(stream: LiveTranscription, pieces: Sequence[Floats]) -> list[Event]:
    """Feeds a stream, finishes it, and returns what it told."""

    async def feed() -> None:
        for piece in pieces:
            await stream.push(piece)
        await stream.finish()

    feeding = asyncio.create_task(feed())
    async with contextlib.aclosing(stream.events()) as events:
        told = [event async for event in events]
    await feeding
    assert stream.num_under_way == 0
    return told


def finals(events: Sequence[Event]) -> list[Update]:
    return [event for event in events if isinstance(event, Update) and event.is_final]


def texts(events: Sequence[Event]) -> list[str]:
    return [update.segment.heard.text for update in finals(events)]


def cut(samples: Floats, sizes: Sequence[int]) -> list[Floats]:
    """Cuts sound into pieces of these sizes, over and over; the last piece is what is left."""
    pieces, start, turn = [], 0, 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        pieces.append(samples[start : start + size])
        start, turn = start + size, turn + 1
    return pieces


def soon() -> float:
    return time.monotonic() + 60.0


def noises(seconds: int = 4) -> Iterator[tuple[str, Floats]]:
    """Sound that is no speech, by name."""
    rng = np.random.default_rng(0)
    count = seconds * SAMPLE_RATE_HZ
    time_s = np.arange(count) / SAMPLE_RATE_HZ
    yield "silence", np.zeros(count, np.float32)
    yield "white noise", rng.standard_normal(count).astype(np.float32)
    spectrum = np.fft.rfft(rng.standard_normal(count)) / np.sqrt(np.arange(1, count // 2 + 2))
    yield "pink noise", np.fft.irfft(spectrum, count).astype(np.float32)
    yield "hum", np.sum([np.sin(2 * np.pi * 50 * n * time_s) / n for n in range(1, 9)], axis=0).astype(np.float32)
    beat = np.exp(-3 * (time_s % 0.5))
    chord = np.sum([np.sin(2 * np.pi * hz * n * time_s) / n for hz in (220, 277, 330) for n in range(1, 5)], axis=0)
    yield "music", (beat * chord).astype(np.float32)
