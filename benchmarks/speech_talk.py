"""People who talk: prompts of a studio with pauses between them, and when each of them really ends."""

import itertools
import random
from dataclasses import dataclass

import numpy as np

from benchmarks.speech_sounds import RATE_HZ, Floats, pcm, prompts

_SHORTEST_S, _LONGEST_S = 1.0, 10.0
_PAUSES_S = (0.8, 1.5)
# Speech has ended where the level stays so much below the loudest of the recording: its studio is quieter than that.
_QUIET_DB = 35.0
_FRAME = RATE_HZ // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """16-bit sound at RATE_HZ. ends_s: when each prompt has been spoken."""

    sound: bytes
    ends_s: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        return len(self.sound) / 2 / RATE_HZ


class Talkers:
    """Deals out talk, each time of other prompts."""

    def __init__(self) -> None:
        sounds = (clip.samples() for clip in prompts())
        fitting = [sound for sound in sounds if _SHORTEST_S <= len(sound) / RATE_HZ <= _LONGEST_S]
        random.Random(5).shuffle(fitting)
        self._dealt = itertools.cycle(fitting)

    def talk(self, least_s: float, *, seed: int) -> Talk:
        """Returns at least so many seconds. It begins and ends with a pause."""
        rng = np.random.default_rng(seed)
        parts: list[Floats] = []
        ends_s: list[float] = []
        length = 0

        def add(part: Floats) -> None:
            nonlocal length
            parts.append(part)
            length += len(part)

        while length < least_s * RATE_HZ:
            add(_pause(rng))
            samples = next(self._dealt)
            ends_s.append(length / RATE_HZ + end_of_speech_s(samples))
            add(samples)
        add(np.zeros(round(_PAUSES_S[1] * RATE_HZ), np.float32))
        return Talk(sound=pcm(np.concatenate(parts)), ends_s=tuple(ends_s))


def end_of_speech_s(samples: Floats) -> float:
    """Returns when a recording of a quiet room was last loud, by frames of 10 ms."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt(np.square(frames).mean(axis=1))
    loud = np.flatnonzero(levels > levels.max() * 10 ** (-_QUIET_DB / 20))
    return float(loud[-1] + 1) * _FRAME / RATE_HZ


def _pause(rng: np.random.Generator) -> Floats:
    return np.zeros(round(rng.uniform(*_PAUSES_S) * RATE_HZ), np.float32)
