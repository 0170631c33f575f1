"""Finds utterances in the probabilities of speech of a sound's windows. Pure, and unaware of how long a window is.

                      loud enough                        spoken for long enough
    silence --------------------------> maybe speech ----------------------------> utterance
       ^                                     |                                        |
       `------- silent for too long ---------'------------ silent for too long -------'

What is decided depends only on the windows and on where `close` was called, so that sound gives the same utterances in
whatever pieces it comes. Windows count from the beginning of the sound.
"""

from dataclasses import dataclass
from typing import TypeAlias

from trivium_server.speech.segmenting import quietest_place

# The part of the longest utterance, at its end, in which a place to cut it is looked for.
_SEARCHED = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingRules:
    """When an utterance begins and ends. Lengths are in windows.

    A window is speech from `threshold` on, and goes on being speech down to `release`. Less than min_speech windows of
    at least `threshold` are no utterance. It ends when trailing_silence windows were none; pause of them are told
    earlier. It keeps pad_before and pad_after windows around what is speech, where no other has them, and is at most
    max_len long.
    """

    threshold: float
    release: float
    trailing_silence: int
    pause: int
    min_speech: int
    pad_before: int
    pad_after: int
    max_len: int


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Somebody speaks from this window on."""

    window: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Nobody speaks from this window on; the utterance may go on."""

    window: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """Windows [start, end) are one utterance, and it is over."""

    start: int
    end: int


EndpointingEvent: TypeAlias = SpeechBegan | SpeechEnded | Utterance


class Endpointer:
    """The state of one sound. Every utterance is reported once, in order, without overlap."""

    def __init__(self, rules: EndpointingRules) -> None:
        self._rules = rules
        self._num_heard = 0
        # What lies before belongs to an utterance that was reported.
        self._floor = 0
        self._open: _Open | None = None
        self._is_speaking = False

    @property
    def num_heard(self) -> int:
        """How many windows were pushed."""
        return self._num_heard

    @property
    def is_speaking(self) -> bool:
        """Whether SpeechBegan was reported, and SpeechEnded was not yet."""
        return self._is_speaking

    @property
    def open_start(self) -> int | None:
        """Where the utterance begins that goes on; None where there is none."""
        return self._open.start if self._open is not None and self._is_utterance(self._open) else None

    @property
    def ending(self) -> Utterance | None:
        """The utterance that will be reported if nobody speaks on, once all of it was pushed."""
        speech = self._open
        if speech is None or speech.silence < self._rules.pad_after or not self._is_utterance(speech):
            return None
        return Utterance(speech.start, speech.end + self._rules.pad_after)

    @property
    def keep_from(self) -> int:
        """The first window that a later utterance may have in it."""
        if self._open is not None:
            return self._open.start
        return max(self._floor, self._num_heard - self._rules.pad_before)

    def push(self, probability: float, level: float) -> list[EndpointingEvent]:
        """Takes the next window: its probability of speech, and the mean square of its samples."""
        window = self._num_heard
        self._num_heard += 1
        rules = self._rules
        speech = self._open
        if speech is None:
            if probability < rules.threshold:
                return []
            speech = self._open = _Open(start=max(self._floor, window - rules.pad_before), first=window)
        speech.add(probability, level, rules)
        events: list[EndpointingEvent] = []
        if probability >= rules.threshold and not self._is_speaking and self._is_utterance(speech):
            self._is_speaking = True
            events.append(SpeechBegan(speech.resumed))
        elif self._is_speaking and speech.silence >= min(rules.pause, rules.trailing_silence):
            events += self._cease(speech)
        if speech.silence >= rules.trailing_silence:
            events += self._end(speech, is_utterance=self._is_utterance(speech))
        elif self._num_heard - speech.start >= rules.max_len:
            events += self._cut(speech)
        return events

    def close(self) -> list[EndpointingEvent]:
        """Ends the utterance that goes on, though nobody was silent. What is pushed later begins anew."""
        speech = self._open
        if speech is None:
            return []
        return self._end(speech, is_utterance=2 * speech.num_loud >= self._rules.min_speech)

    def _is_utterance(self, speech: "_Open") -> bool:
        return speech.num_loud >= self._rules.min_speech

    def _end(self, speech: "_Open", *, is_utterance: bool) -> list[EndpointingEvent]:
        events = self._cease(speech)
        if is_utterance:
            events.append(self._report(speech, min(self._num_heard, speech.end + self._rules.pad_after)))
        self._open = None
        return events

    def _cut(self, speech: "_Open") -> list[EndpointingEvent]:
        """Reports the front part of an utterance that got too long, and goes on with the rest."""
        if not self._is_utterance(speech):
            return self._end(speech, is_utterance=False)
        rules = self._rules
        # So much is left at the end that the rest can be an utterance too.
        last = max(speech.first + 1, self._num_heard - rules.min_speech)
        first = min(max(speech.first + 1, self._num_heard - int(_SEARCHED * rules.max_len)), last)
        levels = speech.levels[first - speech.first : last + 1 - speech.first]
        place = first + (quietest_place(levels) if levels else 0)
        self._open = speech.rest(place, rules)
        ceased = self._cease(speech) if self._open is None else []
        return [*ceased, self._report(speech, place)]

    def _cease(self, speech: "_Open") -> list[EndpointingEvent]:
        if not self._is_speaking:
            return []
        self._is_speaking = False
        return [SpeechEnded(speech.end)]

    def _report(self, speech: "_Open", end: int) -> Utterance:
        self._floor = end
        return Utterance(speech.start, end)


class _Open:
    """An utterance that goes on, or what may become one. first: its first window that was pushed since it is open."""

    __slots__ = ("_probabilities", "end", "first", "levels", "num_loud", "resumed", "silence", "start")

    def __init__(self, *, start: int, first: int) -> None:
        self.start = start
        self.first = first
        self.end = first
        self.resumed = first
        self.silence = 0
        self.num_loud = 0
        self.levels: list[float] = []
        self._probabilities: list[float] = []

    def add(self, probability: float, level: float, rules: EndpointingRules) -> None:
        window = self.first + len(self.levels)
        self.levels.append(level)
        self._probabilities.append(probability)
        is_loud = probability >= rules.threshold
        self.num_loud += is_loud
        if not is_loud and (self.silence or probability < rules.release):
            self.silence += 1
            return
        if self.silence >= rules.pause:
            self.resumed = window
        self.silence = 0
        self.end = window + 1

    def rest(self, place: int, rules: EndpointingRules) -> "_Open | None":
        """Returns what follows from that window on; None where it is no speech."""
        rest = _Open(start=place, first=place)
        skipped = place - self.first
        for probability, level in zip(self._probabilities[skipped:], self.levels[skipped:], strict=True):
            rest.add(probability, level, rules)
        return rest if rest.num_loud else None
