"""The sound of a sentence: its edges, the pause after it, and when each word is spoken in it."""
# ruff: noqa: RUF001  the quotes and dashes that it names are meant

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# -54 dB: what is quieter at the edges is no speech. Vowels have peaks of some tenths.
_QUIET = 0.002
_FRAME_S = 0.0125
# So much is kept beyond the edges of what is loud, and faded in and out.
_LEAD_S = 0.04
_TAIL_S = 0.06
_CLOSERS = "\"'”’)]}»*_` "
# By the last character of a sentence; the longest for a full stop and whatever has no mark, but for a paragraph's end.
_PAUSES_S = {",": 0.15, "-": 0.15, "–": 0.2, "—": 0.2, ";": 0.25, ":": 0.3}
_LONGEST_PAUSE_S = 0.4
_PARAGRAPH_PAUSE_S = 0.75


@dataclass(frozen=True, slots=True)
class WordTime:
    """When a word is spoken: its place in a list of words, and samples."""

    word: int
    start: int
    end: int


def word_times(owners: Sequence[int], lengths: Sequence[int], *, first: int) -> Iterator[WordTime]:
    """Yields when each word is spoken, in order.

    owners: the word of each phoneme, negative for none. lengths: of the phonemes, in samples. first: where they begin.
    """
    start = first
    for owner, length in zip(owners, lengths, strict=True):
        if owner >= 0:
            yield WordTime(owner, start, start + length)
        start += length


def joined(times: Iterable[WordTime]) -> list[WordTime]:
    """Returns one time for each word, from its first sound to its last."""
    words: dict[int, WordTime] = {}
    for time in times:
        begun = words.get(time.word, time)
        words[time.word] = WordTime(time.word, begun.start, time.end)
    return list(words.values())


def pause_s(text: str, speaking_rate: float, *, ends_paragraph: bool) -> float:
    """Returns how long to be silent after a sentence."""
    last = text.rstrip(_CLOSERS)[-1:]
    pause = _PARAGRAPH_PAUSE_S if ends_paragraph else _PAUSES_S.get(last, _LONGEST_PAUSE_S)
    return pause / speaking_rate


def speech_edges(sound: Floats, sample_rate_hz: int) -> tuple[int, int]:
    """Returns where speech begins and ends in a sound, in samples, with some room; (0, 0) where there is none."""
    frame = round(_FRAME_S * sample_rate_hz)
    whole = len(sound) // frame * frame
    loud = np.flatnonzero(np.abs(sound[:whole]).reshape(-1, frame).max(axis=1) > _QUIET)
    if not len(loud):
        return 0, 0
    start = int(loud[0]) * frame - round(_LEAD_S * sample_rate_hz)
    end = (int(loud[-1]) + 1) * frame + round(_TAIL_S * sample_rate_hz)
    return max(0, start), min(end, len(sound))


def finished(speech: Floats, sample_rate_hz: int, silence_s: float) -> Floats:
    """Returns speech that fades in and out, within [-1, 1], with so much silence from where it had ended.

    Nothing for no speech.
    """
    if not len(speech):
        return speech
    tail = round(_TAIL_S * sample_rate_hz)
    rest = max(0, round(silence_s * sample_rate_hz) - tail)
    sound = np.concatenate([np.clip(speech, -1.0, 1.0), np.zeros(rest, np.float32)])
    lead = min(round(_LEAD_S * sample_rate_hz) // 4, len(speech))
    slope = np.linspace(0.0, 1.0, lead, dtype=np.float32)
    sound[:lead] *= slope
    sound[len(speech) - lead : len(speech)] *= slope[::-1]
    return sound
