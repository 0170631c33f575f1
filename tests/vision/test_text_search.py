"""How closely pages are looked at, with a detector that sees what is large enough."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.vision.page_bands import Bands, bands_of
from trivium_server.vision.text_search import Look, SearchSettings, TextSearch

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SETTINGS = SearchSettings()

Line = tuple[int, int, int, int]
"""Left, top, width and height."""


def page(width: int, height: int, lines: list[Line]) -> Pixels:
    """A page on which lines are rows of strokes."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    for left, top, long, tall in lines:
        strokes = np.arange(long) % max(2, tall // 2) < max(1, tall // 4)
        pixels[top : top + tall, left : left + long][:, strokes] = 0
    return pixels


def search(pixels: Pixels, lines: list[Line], legible: float = 8.0) -> tuple[list[Look], list[Floats]]:
    """Runs a search with a detector that finds lines of so many pixels, as high as they are and half as much."""
    looking, looks = TextSearch(pixels, SETTINGS), []
    while (look := looking.next_look()) is not None:
        looks.append(look)
        looking.found([
            quad * np.float32(look.scale)
            for left, top, long, tall in lines
            if tall * look.scale >= legible
            for quad in [seen(look.bands, left, top, long, tall)]
            if quad is not None
        ])  # fmt: skip
    return looks, looking.lines


def seen(bands: Bands, left: int, top: int, width: int, height: int) -> Floats | None:
    """Where a line lies in what is kept of a page, if it is."""
    x = [sum(min(max(edge - start, 0), end - start) for start, end in bands.columns) for edge in (left, left + width)]
    y = [sum(min(max(edge - start, 0), end - start) for start, end in bands.rows) for edge in (top, top + height)]
    if x[1] - x[0] < width or y[1] - y[0] < height:
        return None
    return np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], np.float32)


def boxes(quads: list[Floats]) -> list[Line]:
    corners = [(quad.min(axis=0), quad.max(axis=0)) for quad in quads]
    return sorted(
        (round(float(low[0])), round(float(low[1])), round(float(high[0] - low[0])), round(float(high[1] - low[1])))
        for low, high in corners
    )


LARGE = [(200, 300 + 100 * row, 2000, 60) for row in range(20)]
SMALL = [(200, 300 + 40 * row, 2000, 24) for row in range(50)]
TINY = [(300, 2400, 400, 14)]


@pytest.mark.parametrize(
    ("name", "size", "lines", "most_looks", "most_pixels"),
    [
        ("large text is looked at once, coarsely", (2480, 3508), LARGE, 1, 400_000),
        ("small text is looked at more closely", (2480, 3508), SMALL, 3, 3_400_000),
        ("a small note on an empty sheet costs little", (4000, 3000), TINY, 2, 300_000),
        ("a small note under large text costs little more", (2480, 3508), [*LARGE[:15], *TINY], 3, 1_000_000),
        ("a small picture is not made larger", (400, 190), [(20, 40, 300, 20), (20, 90, 300, 20)], 1, 80_000),
    ],
)
def test_cost_follows_the_text(
    name: str, size: tuple[int, int], lines: list[Line], most_looks: int, most_pixels: int
) -> None:
    looks, found = search(page(*size, lines), lines)
    assert boxes(found) == pytest.approx(np.array(sorted(lines)), abs=3), name
    assert len(looks) <= most_looks
    assert sum(look.num_pixels for look in looks) <= most_pixels


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 500), (640, 480)])
def test_blank_pages_are_not_looked_at(size: tuple[int, int]) -> None:
    assert search(page(*size, []), []) == ([], [])


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (31, 33), (3000, 7)])
def test_detail_of_any_size_is_looked_at(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    looks, _ = search(noise, [])
    assert all(look.num_pixels <= SETTINGS.most_pixels and min(look.size) >= 1 for look in looks)


@pytest.mark.parametrize(
    ("name", "size", "height", "is_too_fine"),
    [
        ("fine text over all of a large page", (6000, 6000), 12, True),
        ("text that the closest look shows", (6000, 6000), 60, False),
        ("fine text on a page that can be seen in full", (1600, 1600), 8, False),
    ],
)
def test_text_too_fine_for_any_look_is_told_of(
    name: str, size: tuple[int, int], height: int, is_too_fine: bool
) -> None:
    lines = [(100, top, size[0] - 200, height) for top in range(100, size[1] - 100, height * 2)]
    looking = TextSearch(page(*size, lines), SETTINGS)
    while (look := looking.next_look()) is not None:
        assert look.num_pixels <= SETTINGS.most_pixels
        looking.found([])
    assert looking.is_too_fine is is_too_fine, name


def test_noise_is_no_text() -> None:
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(200, 20, (2000, 2000, 3)), 0, 255).astype(np.uint8)
    assert len(search(noise, [])[0]) == 1


@given(
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.integers(0, 20),
)
def test_bands_hold_what_is_wanted(rows: list[bool], columns: list[bool], margin: int) -> None:
    wanted = np.outer(rows, columns).astype(np.bool_)
    width, height = 10 * len(columns), 10 * len(rows)
    bands = bands_of(wanted, width=width, height=height, margin=margin)
    if bands is None:
        assert not wanted.any()
        return
    y, x = np.mgrid[:height, :width]
    kept = np.stack([bands.of(axis) for axis in (x, y)], axis=-1)
    assert kept.shape[:2] == (bands.height, bands.width)
    held = np.zeros((height, width), np.bool_)
    held[kept[..., 1], kept[..., 0]] = True
    assert held[np.kron(wanted, np.ones((10, 10), np.bool_))].all()
    # What is kept knows where it came from.
    own = np.stack(np.meshgrid(np.arange(bands.width), np.arange(bands.height)), axis=-1).astype(np.float32)
    np.testing.assert_array_equal(bands.on_page(own), kept[..., :2])


def test_thousands_of_lines_are_searched_in_little_time() -> None:
    lines = [(10 + 60 * column, 10 + 20 * row, 50, 12) for row in range(100) for column in range(30)]
    started_s = time.thread_time()
    _, found = search(page(1820, 2020, lines), lines)
    assert time.thread_time() - started_s < 3.0
    assert len(found) == len(lines)
