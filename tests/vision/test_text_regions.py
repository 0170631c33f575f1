"""Regions of maps that were drawn, and what is cut out of pictures."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.vision.text_regions import (
    RegionSettings,
    cut_out,
    find_regions,
    line_size,
    turned,
    turned_round,
    upward,
)

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SETTINGS = RegionSettings()


def rectangle(x: float, y: float, width: float, height: float, degrees: float = 0.0) -> Floats:
    """A quad around a center."""
    right, low = width / 2, height / 2
    corners = np.array([[-right, -low], [right, -low], [right, low], [-right, low]], np.float32)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cos, sin], [-sin, cos]], np.float32)
    return np.asarray(corners @ turn + np.array([x, y], np.float32), np.float32)


def drawn(*quads: Floats, chance: float = 0.9) -> Floats:
    canvas = np.zeros((200, 300), np.float32)
    for quad in quads:
        cv2.fillPoly(canvas, [np.round(quad).astype(np.int32)], (chance,))
    return canvas


@pytest.mark.parametrize("degrees", [0, 5, -20, 40])
def test_region_is_found_and_grown(degrees: float) -> None:
    (found,) = find_regions(drawn(rectangle(150, 100, 120, 12, degrees)), SETTINGS)
    width, height = line_size(found)
    # By its area times 1.6 over its perimeter, on each side; drawing and joining what touches add some pixels.
    grown = 2 * 120 * 12 * 1.6 / (2 * (120 + 12))
    assert width == pytest.approx(120 + grown, abs=6)
    assert height == pytest.approx(12 + grown, abs=6)
    np.testing.assert_allclose(found, rectangle(150, 100, width, height, degrees), atol=3)


@pytest.mark.parametrize(
    ("probabilities", "count"),
    [
        (np.zeros((32, 32), np.float32), 0),
        (np.zeros((1, 1), np.float32), 0),
        (np.ones((1, 1), np.float32), 0),
        (drawn(rectangle(20, 20, 1, 1)), 0),
        (drawn(rectangle(90, 50, 60, 10), chance=0.29), 0),
        (drawn(rectangle(90, 50, 60, 10), chance=0.49), 0),
        (drawn(rectangle(90, 50, 60, 10), chance=0.62), 1),
        (drawn(rectangle(60, 50, 60, 10), rectangle(200, 50, 60, 10), rectangle(60, 100, 60, 10)), 3),
    ],
)
def test_thresholds_and_specks(probabilities: Floats, count: int) -> None:
    assert len(find_regions(probabilities, SETTINGS)) == count


def test_of_too_many_the_largest_are_kept() -> None:
    quads = [rectangle(60 + 70 * column, 20 + 20 * row, 50, 8) for row in range(6) for column in range(3)]
    large = rectangle(150, 170, 240, 20)
    found = find_regions(drawn(*quads, large), RegionSettings(max_regions=2))
    assert len(found) == 2
    assert max(line_size(quad)[0] for quad in found) > 230


@given(st.integers(0, 3), st.integers(2, 30), st.integers(2, 30), st.integers(0, 40), st.integers(0, 20))
def test_whole_pixels_are_cut_out_as_they_are(turns: int, width: int, height: int, left: int, top: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    quad = rectangle(left + width / 2, top + height / 2, width, height)
    seen = cut_out(picture, np.roll(quad, -turns, axis=0))
    np.testing.assert_array_equal(seen, np.rot90(picture[top : top + height, left : left + width], turns))


@pytest.mark.parametrize("degrees", [3, -12, 45, 100])
def test_tilted_line_is_seen_straight(degrees: float) -> None:
    quad = rectangle(150, 100, 100, 20, degrees)
    left_half = np.stack([quad[0], (quad[0] + quad[1]) / 2, (quad[2] + quad[3]) / 2, quad[3]])
    picture = np.repeat((drawn(left_half, chance=1.0) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    seen = cut_out(picture, quad)
    assert seen.shape == (20, 100, 3)
    assert seen[4:-4, 4:46].mean() > 250
    assert seen[:, 54:].mean() < 5


@pytest.mark.parametrize("quad", [rectangle(0, 0, 10, 6), rectangle(79, 59, 10, 6), rectangle(-50, 30, 10, 6, 10)])
def test_what_lies_beyond_the_picture_repeats_its_edge(quad: Floats) -> None:
    picture = np.full((60, 80, 3), 77, np.uint8)
    assert (cut_out(picture, quad) == 77).all()


def test_one_pixel_can_be_cut_out() -> None:
    assert cut_out(np.full((1, 1, 3), 9, np.uint8), rectangle(0.5, 0.5, 1, 1)).tolist() == [[[9, 9, 9]]]


def test_square_lines_run_as_most_do() -> None:
    tall, wide, square = rectangle(9, 9, 10, 90), rectangle(9, 9, 90, 10), rectangle(9, 9, 10, 11)
    assert turned([tall, tall, wide, square]) == [True, True, False, True]
    assert turned([tall, wide, wide, square]) == [True, False, False, False]
    assert turned([square]) == [False]
    assert turned([]) == []


def test_turns_are_of_the_corners() -> None:
    quad = np.array([[0, 0], [9, 0], [9, 3], [0, 3]], np.float32)
    assert upward(quad)[0].tolist() == [0, 3]
    assert turned_round(quad)[0].tolist() == [9, 3]
    np.testing.assert_array_equal(turned_round(turned_round(quad)), quad)
