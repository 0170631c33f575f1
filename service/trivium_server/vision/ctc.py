"""Reads a line from the probabilities of its characters, frame by frame along the line.

Greedy decoding of connectionist temporal classification: the best class of each frame, runs of one class taken as one
character, blanks left out. Source: Graves et al. 2006.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import NotFiniteError

Floats = NDArray[np.float32]

_BLANK = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a line says. For each character of text, shape (characters,): how likely it is, and where its centre lies.

    Centres are fractions of the line's length, in reading direction, ascending.
    """

    text: str
    probabilities: Floats
    centers: Floats

    @property
    def score(self) -> float:
        """The mean probability of the characters but for spaces; 0 for no text."""
        of_letters = [float(p) for p, character in zip(self.probabilities, self.text, strict=True) if character != " "]
        return sum(of_letters) / len(of_letters) if of_letters else 0.0


def decode(probabilities: Floats, characters: Sequence[str]) -> Reading:
    """Reads probabilities, shape (frames, classes). characters: of each class, each of length 1; class 0 is the blank.

    Spaces around the text are left out. Raises NotFiniteError.
    """
    # The classes are many thousands: they are looked at once, and only the best ones are taken from them.
    best = probabilities.argmax(axis=1)
    chances = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0]
    if not np.isfinite(chances).all():
        raise NotFiniteError
    changes = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(changes[1:], len(best))[: len(changes)]
    runs = [(first, end) for first, end in zip(changes, ends, strict=True) if best[first] != _BLANK]
    found = [characters[best[first]] for first, _ in runs]
    while runs and found[-1] == " ":
        runs.pop()
        found.pop()
    num_leading = next((place for place, character in enumerate(found) if character != " "), len(found))
    runs = runs[num_leading:]
    return Reading(
        text="".join(found[num_leading:]),
        probabilities=np.array([chances[first:end].max() for first, end in runs], np.float32),
        centers=np.array([(first + end) / 2 / len(best) for first, end in runs], np.float32),
    )


def joined(readings: Sequence[Reading], widths: Sequence[float]) -> Reading:
    """Returns the reading of a line from those of its pieces, at least one, which are as long as widths say."""
    starts = np.concatenate([[0], np.cumsum(widths)])
    centers = [
        (start + reading.centers * width) / starts[-1]
        for reading, start, width in zip(readings, starts[:-1], widths, strict=True)
    ]
    return Reading(
        text="".join(reading.text for reading in readings),
        probabilities=np.concatenate([reading.probabilities for reading in readings]),
        centers=np.concatenate(centers).astype(np.float32),
    )
