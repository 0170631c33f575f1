"""Cuts one sound into utterances, as it comes: the detector of voice activity and the rules of endpointing together.

Files and live sound are cut here alike. How the sound comes in pieces changes nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    VOICE_WINDOW,
    SpeechMeter,
    VoiceActivityDetector,
)
from trivium_server.speech.endpointing import (
    Endpointer,
    EndpointingEvent,
    EndpointingRules,
    SpeechBegan,
    SpeechEnded,
    Utterance,
)

Floats = NDArray[np.float32]

WINDOW_S = VOICE_WINDOW / SAMPLE_RATE_HZ

# Speech goes on being speech down to this much below the threshold at which it begins, as Silero's own program has it.
_RELEASE = 0.15
_LEAST_RELEASE = 0.01
# Told as SPEECH_END when it lasts so long.
_PAUSE_S = 0.13
# Less is a click or a cough, and models invent a word for it.
_MIN_SPEECH_S = 0.2
# Soft beginnings and ends of words are not found as speech.
_PAD_BEFORE_S = 0.2
_PAD_AFTER_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Sound to be recognised, and where it begins and ends, in seconds."""

    samples: Floats
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class SpeechStarts:
    """Somebody speaks from offset_s on; known since heard_s was heard. Both in seconds, as below."""

    offset_s: float
    heard_s: float


@dataclass(frozen=True, slots=True)
class SpeechStops:
    """Nobody speaks from offset_s on."""

    offset_s: float
    heard_s: float


@dataclass(frozen=True, slots=True)
class UtteranceEnds:
    """An utterance is over."""

    piece: Piece
    heard_s: float


ListenerEvent: TypeAlias = SpeechStarts | SpeechStops | UtteranceEnds


def rules_for(
    max_segment_s: float, *, trailing_silence_s: float = 0.4, activity_threshold: float = 0.5
) -> EndpointingRules:
    """Returns the rules in windows. max_segment_s: how much the recogniser hears at a time."""
    return EndpointingRules(
        threshold=activity_threshold,
        release=max(_LEAST_RELEASE, activity_threshold - _RELEASE),
        trailing_silence=_windows(trailing_silence_s),
        pause=_windows(_PAUSE_S),
        min_speech=_windows(_MIN_SPEECH_S),
        pad_before=_windows(_PAD_BEFORE_S),
        pad_after=_windows(_PAD_AFTER_S),
        # The rest of a window, which `close` adds, has room too.
        max_len=max(2, math.floor(max_segment_s / WINDOW_S) - 1),
    )


class Listener:
    """One sound, at SAMPLE_RATE_HZ. One push at a time; after one that failed or was cancelled, none."""

    def __init__(
        self, detector: VoiceActivityDetector, rules: EndpointingRules, *, deadline_s: float, meter: SpeechMeter
    ) -> None:
        self._voice = detector.open_voice_stream()
        self._endpointer = Endpointer(rules)
        self._deadline_s = deadline_s
        self._meter = meter
        self._kept = _Kept()
        # Samples up to here were in an utterance.
        self._taken = 0

    @property
    def heard_s(self) -> float:
        """How long the sound is so far."""
        return self._kept.end / SAMPLE_RATE_HZ

    @property
    def decided_s(self) -> float:
        """Up to where it is decided what is speech: all but the last part of a window."""
        return self._endpointer.num_heard * WINDOW_S

    @property
    def is_pausing(self) -> bool:
        """Whether nobody speaks now, for as long as is told."""
        return not self._endpointer.is_speaking

    async def push(self, samples: Floats) -> list[ListenerEvent]:
        """Takes any number of samples. Raises as VoiceStream.push does."""
        self._kept.append(samples)
        begin = self._endpointer.num_heard * VOICE_WINDOW
        num_windows = (self._kept.end - begin) // VOICE_WINDOW
        if not num_windows:
            return []
        fresh = self._kept.read(begin, begin + num_windows * VOICE_WINDOW)
        probabilities = await self._voice.push(fresh, deadline_s=self._deadline_s, meter=self._meter)
        levels = np.square(fresh.reshape(num_windows, VOICE_WINDOW)).mean(axis=1)
        events: list[ListenerEvent] = []
        for probability, level in zip(probabilities.tolist(), levels.tolist(), strict=True):
            events += self._told(self._endpointer.push(probability, level))
        self._kept.forget(self._endpointer.keep_from * VOICE_WINDOW)
        return events

    def close(self) -> list[ListenerEvent]:
        """Ends the utterance that goes on. What is pushed later begins anew."""
        return list(self._told(self._endpointer.close(), is_closing=True))

    def open_piece(self) -> Piece | None:
        """Returns what there is of the utterance that goes on; None where there is none."""
        start = self._endpointer.open_start
        return None if start is None else self._piece(start * VOICE_WINDOW, self._kept.end)

    def ending_piece(self) -> Piece | None:
        """Returns the utterance that ends if nobody speaks on; None where nobody was silent for long enough."""
        ending = self._endpointer.ending
        return (
            None
            if ending is None
            else self._piece(max(self._taken, ending.start * VOICE_WINDOW), ending.end * VOICE_WINDOW)
        )

    def _told(self, events: list[EndpointingEvent], *, is_closing: bool = False) -> Iterator[ListenerEvent]:
        for event in events:
            match event:
                case SpeechBegan(window):
                    yield SpeechStarts(window * WINDOW_S, self.decided_s)
                case SpeechEnded(window):
                    yield SpeechStops(window * WINDOW_S, self.decided_s)
                case Utterance(start, end):
                    yield UtteranceEnds(self._utterance(start, end, is_closing=is_closing), self.decided_s)

    def _utterance(self, start: int, end: int, *, is_closing: bool) -> Piece:
        # One that was closed in mid-speech has the part of a window that was heard since; the next has not.
        is_at_end = is_closing and end == self._endpointer.num_heard
        last = self._kept.end if is_at_end else end * VOICE_WINDOW
        first = max(self._taken, start * VOICE_WINDOW)
        self._taken = last
        return self._piece(first, last)

    def _piece(self, start: int, end: int) -> Piece:
        return Piece(samples=self._kept.read(start, end), start_s=start / SAMPLE_RATE_HZ, end_s=end / SAMPLE_RATE_HZ)


class _Kept:
    """The end of a sound, from the first sample that may still be asked for."""

    def __init__(self) -> None:
        self._start = 0
        self._samples = np.zeros(0, np.float32)

    @property
    def end(self) -> int:
        return self._start + len(self._samples)

    def append(self, samples: Floats) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def read(self, start: int, end: int) -> Floats:
        """Returns a copy of these samples, counted from the beginning of the sound."""
        return self._samples[start - self._start : end - self._start].copy()

    def forget(self, before: int) -> None:
        if before > self._start:
            self._samples = self._samples[before - self._start :].copy()
            self._start = before


def _windows(seconds: float) -> int:
    return max(1, round(seconds / WINDOW_S))
