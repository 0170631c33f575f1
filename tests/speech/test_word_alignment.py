"""When words were spoken."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.speech.word_alignment import token_starts, words_of

Floats = NDArray[np.float32]


def attention(places: Sequence[int], num_positions: int, *, num_heads: int = 3, seed: int = 0) -> Floats:
    """Each row looks at its place, from there to the next one's, with some noise."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0, 0.2, (num_heads, len(places), num_positions))
    for row, place in enumerate(places):
        end = places[row + 1] if row + 1 < len(places) else num_positions
        shares[:, row, place:end] += 1.0
    shared: Floats = (shares / shares.sum(axis=-1, keepdims=True)).astype(np.float32)
    return shared


def test_tokens_begin_where_they_are_looked_at() -> None:
    places = [0, 12, 30, 41, 70]
    assert token_starts(attention(places, 90), 0, 5) == pytest.approx(places, abs=2)


def test_rows_outside_are_left_out() -> None:
    places = [0, 5, 12, 30, 41, 70]
    assert token_starts(attention(places, 90), 2, 5) == pytest.approx([0, 30, 41], abs=3)


@given(
    gaps=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    num_more=st.integers(1, 40),
    seed=st.integers(0, 100),
)
@settings(max_examples=40)
def test_starts_never_go_back(gaps: list[int], num_more: int, seed: int) -> None:
    places = np.cumsum([0, *gaps]).tolist()
    num_positions = places[-1] + num_more
    starts = token_starts(attention(places, num_positions, seed=seed), 0, len(places))
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert starts[-1] < num_positions


def test_one_position() -> None:
    assert token_starts(attention([0, 0, 0], 1), 0, 3) == [0, 0, 0]


PIECES = [" It", " was", ",", " th", "is", " (", "so", ")", " good", "...", " \u201c", "Yes", "!", "\u201d", " 5", "%"]


def test_punctuation_stays_with_its_word() -> None:
    words = words_of(range(len(PIECES)), lambda ids: "".join(PIECES[id_] for id_ in ids), has_spaces=True)
    assert [word.text for word in words] == ["It", "was,", "this", "(so)", "good...", "\u201cYes!\u201d", "5%"]
    assert [(word.start, word.end) for word in words] == [(0, 1), (1, 3), (3, 5), (5, 8), (8, 10), (10, 14), (14, 16)]


def test_characters_of_several_tokens_are_whole() -> None:
    parts = [b" na", "\u00ef".encode()[:1], "\u00ef".encode()[1:], b"ve"]
    words = words_of(
        range(4), lambda ids: b"".join(parts[id_] for id_ in ids).decode(errors="replace"), has_spaces=True
    )
    assert [(word.text, word.start, word.end) for word in words] == [("na\u00efve", 0, 4)]


def test_language_without_spaces_has_a_word_for_each_token() -> None:
    pieces = ["\u4eca\u5929", "\u5929\u6c23", "\u5f88", "\u597d", "\u3002"]
    words = words_of(range(5), lambda ids: "".join(pieces[id_] for id_ in ids), has_spaces=False)
    assert [word.text for word in words] == ["\u4eca\u5929", "\u5929\u6c23", "\u5f88", "\u597d\u3002"]


@given(pieces=st.lists(st.sampled_from([*PIECES, "\n", " ", "a", " b"]), max_size=20), has_spaces=st.booleans())
def test_words_cover_the_text(pieces: list[str], has_spaces: bool) -> None:
    words = words_of(range(len(pieces)), lambda ids: "".join(pieces[id_] for id_ in ids), has_spaces=has_spaces)
    text = "".join(pieces)
    place = 0
    for word in words:
        found = text.find(word.text, place)
        assert text[place:found].strip() == ""
        place = found + len(word.text)
    assert text[place:].strip() == ""
    assert all(a.end <= b.start for a, b in itertools.pairwise(words))
