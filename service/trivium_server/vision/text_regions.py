"""Finds lines of text in a map of probabilities, and cuts them out of the picture.

The map is that of a detector with differentiable binarization: for each pixel, how likely it is within the shrunk
region of a line. Source: Liao et al. 2020, "Real-time Scene Text Detection with Differentiable Binarization"; box score
and growing as in PaddleOCR:ppocr/postprocess/db_postprocess.py.

A quad is four corners (x, y), clockwise from the one that is the top left one where the line is upright, float32, shape
(4, 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# Regions thinner than this, in pixels of the map, are specks.
_MIN_SIDE = 3.0
# A line that is this much longer one way than the other runs that way.
_TALL = 1.5
# Corners that are off the grid by no more are cut out without resampling.
_STRAIGHT_PX = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSettings:
    """How a map is read.

    threshold: the probability from which a pixel counts. box_threshold: the least mean probability of a region. unclip:
    how far a region is grown, in its area divided by its perimeter, because the detector shrinks lines. max_regions: of
    more, the largest are kept.
    """

    threshold: float = 0.3
    box_threshold: float = 0.5
    unclip: float = 1.6
    max_regions: int = 3000


def find_regions(probabilities: Floats, settings: RegionSettings) -> list[Floats]:
    """Returns the quads of the lines in a map, shape (height, width), in pixels of the map, in no order."""
    marked = (probabilities > settings.threshold).astype(np.uint8)
    # Joins parts that touch at corners only, and lines that are one pixel thick.
    dilated = cv2.dilate(marked, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(dilated, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) > settings.max_regions:
        contours = sorted(contours, key=cv2.contourArea, reverse=True)[: settings.max_regions]
    quads = []
    for contour in contours:
        center, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < _MIN_SIDE:
            continue
        if _mean_within(probabilities, _corners(center, (width, height), angle)) < settings.box_threshold:
            continue
        grown = 2 * width * height * settings.unclip / (2 * (width + height))
        quads.append(_upright(_corners(center, (width + grown, height + grown), angle)))
    return quads


def line_size(quad: Floats) -> tuple[float, float]:
    """Returns a quad's width and height: the longer one each of its opposite sides."""
    top, right, bottom, left = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return float(max(top, bottom)), float(max(left, right))


def upward(quad: Floats) -> Floats:
    """Returns the quad of a line whose text runs upwards: from the corner where it begins, the lower left one."""
    return np.roll(quad, 1, axis=0)


def turned(quads: Sequence[Floats]) -> list[bool]:
    """Says of each line whether it runs upwards or downwards: where it is much taller than wide.

    Lines that are about as tall as wide run as most of the others do.
    """
    sizes = [line_size(quad) for quad in quads]
    tall, wide = ([low * _TALL <= high for low, high in pairs] for pairs in (sizes, [size[::-1] for size in sizes]))
    most_are_tall = _total(sizes, tall) > _total(sizes, wide)
    return [is_tall or (most_are_tall and not is_wide) for is_tall, is_wide in zip(tall, wide, strict=True)]


def turned_round(quad: Floats) -> Floats:
    """Returns the quad of a line that is upside down."""
    return np.roll(quad, 2, axis=0)


def cut_out(pixels: Pixels, quad: Floats) -> Pixels:
    """Returns what is within a quad, seen straight on, its first corner at the top left, at the picture's own scale.

    pixels: shape (height, width, 3). What lies beyond the picture repeats its edge. The result may be a view.
    """
    width, height = (max(1, round(side)) for side in line_size(quad))
    straight = _straight(pixels, quad)
    if straight is not None:
        return straight
    # The centres of the corner pixels, as cv2 counts them, go to the centres of the corner pixels.
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
    transform = cv2.getPerspectiveTransform(np.ascontiguousarray(quad) - np.float32(0.5), target)
    return np.asarray(
        cv2.warpPerspective(pixels, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _straight(pixels: Pixels, quad: Floats) -> Pixels | None:
    """What is within a quad that lies along the axes, in whole pixels; None for another one."""
    low, high = quad.min(axis=0), quad.max(axis=0)
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float32)
    for quarter_turns in range(4):
        if np.abs(np.roll(corners, -quarter_turns, axis=0) - quad).max() <= _STRAIGHT_PX:
            (left, top), (right, bottom) = np.floor(low).astype(int), np.ceil(high).astype(int)
            part = pixels[max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
            return np.rot90(part, quarter_turns) if part.size else None
    return None


def _mean_within(probabilities: Floats, corners: Floats) -> float:
    height, width = probabilities.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - (left, top)).astype(np.int32)], (1,))
    return float(cv2.mean(probabilities[top : bottom + 1, left : right + 1], mask)[0])


def _corners(center: Sequence[float], size: tuple[float, float], angle: float) -> Floats:
    return np.asarray(cv2.boxPoints((center, size, angle)), np.float32)


def _upright(corners: Floats) -> Floats:
    """Orders the corners of a rectangle clockwise from the top left one."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    (top_left, bottom_left), (top_right, bottom_right) = (side[np.argsort(side[:, 1])] for side in (left, right))
    return np.stack([top_left, top_right, bottom_right, bottom_left]).astype(np.float32)


def _total(sizes: Sequence[tuple[float, float]], chosen: Sequence[bool]) -> float:
    return sum(max(size) for size, is_chosen in zip(sizes, chosen, strict=True) if is_chosen)
