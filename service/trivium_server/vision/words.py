"""The words of a line, and where they are: estimated from where along the line its characters were read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.vision.ctc import Reading
from trivium_server.vision.layout import ReadLine, is_by_itself

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a line; score is the mean probability of its characters, quad as that of its line."""

    text: str
    score: float
    quad: Floats


def words_of(line: ReadLine) -> list[Word]:
    """Returns the words of a line; a character of a script that does not separate words is one by itself."""
    reading = line.reading
    edges = _edges(reading)
    return [
        Word(
            text=reading.text[first:end],
            score=float(reading.probabilities[first:end].mean()),
            quad=_part(line.quad, float(edges[first, 0]), float(edges[end - 1, 1])),
        )
        for first, end in _runs(reading.text)
    ]


def _runs(text: str) -> Iterator[tuple[int, int]]:
    first = 0
    for place, character in enumerate(text):
        if character == " " or is_by_itself(character):
            if first < place:
                yield first, place
            if character != " ":
                yield place, place + 1
            first = place + 1
    if first < len(text):
        yield first, len(text)


def _edges(reading: Reading) -> Floats:
    """Returns where characters begin and end, shape (characters, 2): halfway to the next, as usual at the ends."""
    centers = reading.centers
    if len(centers) < 2:
        return np.tile(np.array([0, 1], np.float32), (len(centers), 1))
    halves = np.diff(centers) / 2
    usual = np.float32(np.median(halves))
    before = np.concatenate([[usual], halves])
    after = np.concatenate([halves, [usual]])
    edges: Floats = np.clip(np.stack([centers - before, centers + after], axis=1), 0, 1).astype(np.float32)
    return edges


def _part(quad: Floats, start: float, end: float) -> Floats:
    """Returns the part of a quad between two fractions of its length."""
    top, bottom = quad[1] - quad[0], quad[2] - quad[3]
    corners = [quad[0] + top * start, quad[0] + top * end, quad[3] + bottom * end, quad[3] + bottom * start]
    return np.stack(corners).astype(np.float32)
