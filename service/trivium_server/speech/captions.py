"""Captions of what was said, with times, as SubRip (SRT) and WebVTT. Sources: W3C WebVTT; SubRip as players read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# What a viewer can read: see the guidelines of broadcasters.
MAX_LINE_LEN = 42
MAX_LINES = 2
MAX_CUE_S = 7.0
_WEBVTT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedWord:
    """A word, and when it was said, in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """What was said from one time to another, in seconds.

    words: those of the text, as blanks part it, in order; none where their times are not known.
    """

    text: str
    start_s: float
    end_s: float
    words: Sequence[TimedWord] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is shown at a time: lines, and when, in milliseconds."""

    lines: tuple[str, ...]
    start_ms: int
    end_ms: int


def srt(segments: Sequence[Captioned]) -> str:
    """Returns captions as a SubRip file."""
    cues = enumerate(make_cues(segments), 1)
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{chr(10).join(cue.lines)}\n\n"
        for number, cue in cues
    )


def webvtt(segments: Sequence[Captioned]) -> str:
    """Returns captions as a WebVTT file."""
    cues = (
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n"
        f"{chr(10).join(cue.lines).translate(_WEBVTT_ESCAPES)}\n\n"
        for cue in make_cues(segments)
    )
    return "WEBVTT\n\n" + "".join(cues)


def make_cues(segments: Sequence[Captioned]) -> list[Cue]:
    """Cuts what was said into cues of at most 2 lines of 42 characters, and 7 s, that begin in the order of time.

    Cuts are where words begin and end; without their times, a text is taken to be spoken at one pace. A word that is
    longer than a line is cut. Every cue lasts; those of one segment do not overlap.
    """
    cues = []
    for segment in segments:
        at_ms = 0
        for piece in _pieces(segment):
            cue = _cue(piece, at_ms)
            at_ms = cue.end_ms
            cues.append(cue)
    return sorted(cues, key=lambda cue: (cue.start_ms, cue.end_ms))


def _pieces(segment: Captioned) -> Iterator[list[TimedWord]]:
    """Yields the words of each cue: as many as fit, in lines and in time."""
    piece: list[TimedWord] = []
    for word in _timed_words(segment):
        longer = [*piece, word]
        if piece and (len(_lines(longer)) > MAX_LINES or word.end_s - piece[0].start_s > MAX_CUE_S):
            yield piece
            longer = [word]
        piece = longer
    if piece:
        yield piece


def _timed_words(segment: Captioned) -> list[TimedWord]:
    """Returns the words of a segment with times that do not go back, none longer than a line or a cue."""
    tokens = segment.text.split()
    given = segment.words
    if len(given) != len(tokens) or any(not word.text.strip() for word in given):
        given = _evenly(tokens, segment.start_s, segment.end_s)
    words: list[TimedWord] = []
    at = max(segment.start_s, 0.0)
    for token, word in zip(tokens, given, strict=True):
        start = max(word.start_s, at)
        at = max(word.end_s, start)
        parts = [token[index : index + MAX_LINE_LEN] for index in range(0, len(token), MAX_LINE_LEN)]
        words += _evenly(parts, start, min(at, start + MAX_CUE_S * len(parts)))
    return words


def _evenly(tokens: Sequence[str], start_s: float, end_s: float) -> list[TimedWord]:
    """Gives each text its part of the time, by how long it is."""
    # A blank takes time too.
    weights = [len(token) + 1 for token in tokens]
    total = sum(weights)
    pace = max(end_s - start_s, 0.0) / total if total else 0.0
    edges = [start_s]
    for weight in weights:
        edges.append(edges[-1] + weight * pace)
    return [
        TimedWord(text=token, start_s=start, end_s=end)
        for token, (start, end) in zip(tokens, pairwise(edges), strict=True)
    ]


def _lines(words: Sequence[TimedWord]) -> list[str]:
    """Breaks words into lines, none longer than may be."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word.text) <= MAX_LINE_LEN:
            lines[-1] += " " + word.text
        else:
            lines.append(word.text)
    return lines


def _balanced(words: Sequence[TimedWord]) -> tuple[str, ...]:
    """Breaks words into as few lines as there must be, of about the same length."""
    lines = _lines(words)
    if len(lines) < 2:
        return tuple(lines)
    texts = [word.text for word in words]
    breaks = ((" ".join(texts[:at]), " ".join(texts[at:])) for at in range(1, len(texts)))
    # The upper line is the shorter one, so that less of the picture is covered.
    fitting = [pair for pair in breaks if max(map(len, pair)) <= MAX_LINE_LEN]
    return min(fitting, key=lambda pair: (abs(len(pair[0]) - len(pair[1])), len(pair[0])))


def _cue(words: Sequence[TimedWord], earliest_ms: int) -> Cue:
    start_ms = max(round(words[0].start_s * 1000), earliest_ms)
    latest_ms = start_ms + round(MAX_CUE_S * 1000)
    end_ms = min(max(round(words[-1].end_s * 1000), start_ms + 1), latest_ms)
    return Cue(lines=_balanced(words), start_ms=start_ms, end_ms=end_ms)


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
