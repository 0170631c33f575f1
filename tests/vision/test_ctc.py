"""Reading of characters from frames: the rules of CTC in tables, and against their plain definition."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.numerics import NotFiniteError
from trivium_server.vision.ctc import Reading, decode, joined

CHARACTERS = ("", "a", "b", "c", " ")
BLANK, A, B, SPACE = 0, 1, 2, 4


def frames(classes: list[int], chance: float = 0.8) -> NDArray[np.float32]:
    """Probabilities in which each frame's best class is the one given."""
    rest = (1 - chance) / (len(CHARACTERS) - 1)
    probabilities = np.full((len(classes), len(CHARACTERS)), rest, np.float32)
    probabilities[np.arange(len(classes)), classes] = chance
    return probabilities


@pytest.mark.parametrize(
    ("classes", "text", "centers"),
    [
        ([], "", []),
        ([BLANK], "", []),
        ([A], "a", [0.5]),
        ([A, A], "a", [0.5]),
        ([A, BLANK, A, BLANK], "aa", [0.125, 0.625]),
        ([BLANK, A, A, B], "ab", [0.5, 0.875]),
        ([SPACE, A, SPACE, B, SPACE], "a b", [0.3, 0.5, 0.7]),
        ([SPACE, SPACE, BLANK, SPACE], "", []),
    ],
)
def test_runs_are_characters_and_blanks_are_not(classes: list[int], text: str, centers: list[float]) -> None:
    reading = decode(frames(classes), CHARACTERS)
    assert reading.text == text
    np.testing.assert_allclose(reading.centers, centers, rtol=1e-6)
    np.testing.assert_allclose(reading.probabilities, [0.8] * len(text), rtol=1e-6)


@given(st.lists(st.integers(0, len(CHARACTERS) - 1), max_size=40))
def test_equals_the_plain_definition(classes: list[int]) -> None:
    plain = "".join(CHARACTERS[kind] for kind, _ in groupby(classes)).strip(" ")
    reading = decode(frames(classes), CHARACTERS)
    assert reading.text == plain
    assert len(reading.text) == len(reading.centers) == len(reading.probabilities)
    assert (np.diff(reading.centers) > 0).all()
    assert ((reading.centers > 0) & (reading.centers < 1)).all()


def test_probability_is_that_of_the_surest_frame_and_score_leaves_spaces_out() -> None:
    probabilities = frames([A, A, SPACE, B])
    probabilities[1, A], probabilities[2, SPACE], probabilities[3, B] = 0.9, 0.4, 0.5
    reading = decode(probabilities, CHARACTERS)
    np.testing.assert_allclose(reading.probabilities, [0.9, 0.4, 0.5], rtol=1e-6)
    assert reading.score == pytest.approx(0.7)
    assert decode(frames([BLANK]), CHARACTERS).score == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    probabilities = frames([A, B])
    probabilities[1, A] = bad
    with pytest.raises(NotFiniteError):
        decode(probabilities, CHARACTERS)


def test_pieces_are_joined_by_their_widths() -> None:
    pieces = [decode(frames([A, B]), CHARACTERS), decode(frames([BLANK]), CHARACTERS), decode(frames([A]), CHARACTERS)]
    reading = joined(pieces, [20, 10, 10])
    assert reading.text == "aba"
    np.testing.assert_allclose(reading.centers, [0.125, 0.375, 0.875], rtol=1e-6)
    assert isinstance(reading, Reading)
