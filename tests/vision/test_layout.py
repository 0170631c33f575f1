"""Reading order, joined lines, blocks and words of pages that are given as boxes."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.vision.ctc import Reading
from trivium_server.vision.layout import PlacedLine, ReadLine, arranged, reading_order
from trivium_server.vision.words import words_of

Floats = NDArray[np.float32]

HEIGHT = 20.0


def line(text: str, left: float, top: float, width: float, height: float = HEIGHT) -> ReadLine:
    quad = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], np.float32)
    centers = (np.arange(len(text)) + 0.5) / max(1, len(text))
    reading = Reading(text=text, probabilities=np.full(len(text), 0.9, np.float32), centers=centers.astype(np.float32))
    return ReadLine(quad=quad, reading=reading)


def turned(lines: list[ReadLine], degrees: float) -> list[ReadLine]:
    """The lines of a page that was turned about its corner."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)
    return [ReadLine(quad=(each.quad @ turn).astype(np.float32), reading=each.reading) for each in lines]


def texts(placed: list[PlacedLine]) -> list[str]:
    return [each.line.reading.text for each in placed]


def column(name: str, left: float, top: float, count: int, width: float = 300.0) -> list[ReadLine]:
    return [line(f"{name}{row}", left, top + 28 * row, width) for row in range(count)]


TWO_COLUMNS = column("a", 0, 100, 5) + column("b", 340, 100, 5)
INVOICE = [
    line(f"{word}{row}", left, 40 * row, width)
    for row in range(4)
    for word, left, width in (("item", 0, 240), ("qty", 400, 30), ("sum", 500, 80))
]
PAGES = {
    "rows": (column("a", 0, 0, 4), ["a0", "a1", "a2", "a3"]),
    "columns": (TWO_COLUMNS, [f"{name}{row}" for name in "ab" for row in range(5)]),
    "three columns": (
        [*TWO_COLUMNS, *column("c", 680, 100, 5)],
        [f"{name}{row}" for name in "abc" for row in range(5)],
    ),
    "columns whose lines are not level": (
        column("a", 0, 100, 5) + column("b", 340, 111, 5),
        [f"{name}{row}" for name in "ab" for row in range(5)],
    ),
    "title and footer across columns": (
        [line("title", 100, 20, 440), *TWO_COLUMNS, line("footer", 60, 400, 500)],
        ["title", *(f"{name}{row}" for name in "ab" for row in range(5)), "footer"],
    ),
    "table": (INVOICE, [f"{word}{row}" for row in range(4) for word in ("item", "qty", "sum")]),
    "nothing": ([], []),
}


@pytest.mark.parametrize("degrees", [0, 4, -6, 90, 180, 270, 93])
@pytest.mark.parametrize("name", PAGES)
def test_reading_order_whichever_way_the_page_is_turned(name: str, degrees: float) -> None:
    lines, order = PAGES[name]
    assert texts(arranged(turned(lines, degrees)[::-1])) == order


@given(st.permutations([*TWO_COLUMNS, line("title", 100, 20, 440)]))
def test_order_does_not_depend_on_that_of_the_lines(lines: list[ReadLine]) -> None:
    assert texts(arranged(lines)) == texts(arranged([line("title", 100, 20, 440), *TWO_COLUMNS]))


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(1, 300), st.integers(1, 60)), max_size=25)
)
def test_every_line_is_placed_once_and_blocks_count_up(boxes: list[tuple[int, int, int, int]]) -> None:
    lines = [line(f"<{number}>", x, y, width, height) for number, (x, y, width, height) in enumerate(boxes)]
    placed = arranged(lines)
    assert sorted("".join(texts(placed)).replace(" ", "")) == sorted("".join(f"<{n}>" for n in range(len(lines))))
    blocks = [each.block for each in placed]
    assert blocks == sorted(blocks)
    assert sorted(set(blocks)) == list(range(len(set(blocks))))


@pytest.mark.parametrize(
    ("one", "other", "gap", "joined"),
    [
        ("two", "words", 10, ["two words"]),
        ("two", "cells", 30, ["two", "cells"]),
        ("日本", "語", 10, ["日本語"]),
        ("日本", "ab", 10, ["日本 ab"]),
    ],
)
def test_pieces_of_a_line_are_joined(one: str, other: str, gap: float, joined: list[str]) -> None:
    placed = arranged([line(other, 100 + gap, 1, 60), line(one, 0, 0, 100)])
    assert texts(placed) == joined
    if len(joined) == 1:
        quad, reading = placed[0].line.quad, placed[0].line.reading
        assert quad.tolist() == [[0, 0], [160 + gap, 1], [160 + gap, 21], [0, 20]]
        assert len(reading.centers) == len(reading.probabilities) == len(reading.text)
        assert (np.diff(reading.centers) > 0).all()


def test_blocks_end_at_gaps_and_where_the_size_changes() -> None:
    page = [
        line("heading", 0, 0, 300, 50),
        *column("a", 0, 60, 3),
        *column("b", 0, 200, 2),
    ]
    assert [each.block for each in arranged(page)] == [0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("one", ["one"]),
        ("two words", ["two", "words"]),
        ("漢字 kana かな", ["漢", "字", "kana", "か", "な"]),
        ("第2号A-1", ["第", "2", "号", "A-1"]),
        ("a  b", ["a", "b"]),
    ],
)
def test_words_and_characters_by_themselves(text: str, words: list[str]) -> None:
    assert [word.text for word in words_of(line(text, 0, 0, 100))] == words


def test_word_boxes_lie_where_the_characters_were_read() -> None:
    first, second = words_of(line("ab cde", 100, 40, 60))
    np.testing.assert_allclose(first.quad, [[100, 40], [120, 40], [120, 60], [100, 60]], atol=1e-3)
    np.testing.assert_allclose(second.quad, [[130, 40], [160, 40], [160, 60], [130, 60]], atol=1e-3)
    assert first.score == pytest.approx(0.9)


@given(st.text("ab 漢", max_size=12), st.integers(-180, 180))
def test_word_boxes_stay_within_their_line(text: str, degrees: float) -> None:
    (whole,) = turned([line(text.strip(), 10, 10, 200)], degrees)
    start, direction = whole.quad[0], (whole.quad[1] - whole.quad[0]) / 200
    places = [float((corner - start) @ direction) for word in words_of(whole) for corner in word.quad[:2]]
    np.testing.assert_allclose(places, sorted(places), atol=1e-3)
    assert all(-0.01 <= place <= 200.01 for place in places)


def test_thousands_of_lines_are_arranged_in_little_time() -> None:
    cells = [line("x", 60 * column, 30 * row, 20) for row in range(60) for column in range(50)]
    started_s = time.thread_time()
    assert len(arranged(cells)) == len(cells)
    assert time.thread_time() - started_s < 3.0


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_order_of_lines_that_are_yet_to_be_read_is_that_of_read_ones(name: str, degrees: float) -> None:
    lines = turned(PAGES[name][0], degrees)[::-1]
    order = reading_order([each.quad for each in lines])
    assert sorted(order) == list(range(len(lines)))
    assert [lines[place].reading.text for place in order] == " ".join(PAGES[name][1]).split()


def test_no_line_has_no_order() -> None:
    assert reading_order([]) == []
