"""Says whether a page has text, by its looks, that is too small to be seen at a smaller scale."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

FAITHFUL = 0.8
"""Above this scale a picture shows what there is."""

# Pixels of the page: the sides of a tile and of a block, and how many rows are compared at a time.
_TILE, _BLOCK = 16, 4
_ROWS = 16 * _TILE
# What is lost of a tile, as a mean difference of 255: more than this, and than so many times what is lost all over.
_LEAST_LOST, _ABOVE_NOISE = 8.0, 3.0
# How much of a tile's variance is lost with strokes that run into each other; of an edge or a ruled line less is.
_SHARE_LOST = 0.5
# Tiles in a row that make a line of text.
_LINE_TILES = 6


def has_finer_text(pixels: Pixels, scale: float, lines: Sequence[Floats]) -> bool:
    """Says whether strokes run into each other at a scale of the page, in the form of lines, beside the known lines.

    pixels: the page, shape (height, width, 3). lines: quads on the page. The page is compared in strips.
    """
    height, width = (side // _TILE * _TILE for side in pixels.shape[:2])
    if scale >= FAITHFUL or not height or not width:
        return False
    strips = [
        _lost(
            np.asarray(cv2.cvtColor(pixels[top : min(top + _ROWS, height), :width], cv2.COLOR_RGB2GRAY), np.uint8),
            scale,
        )
        for top in range(0, height, _ROWS)
    ]
    per_block, per_tile, share = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    # Between letters, and between lines, there are blocks so small that hold only what is all over the page.
    noise = float(np.percentile(per_block, 10))
    fine = ((per_tile > _LEAST_LOST + _ABOVE_NOISE * noise) & (share > _SHARE_LOST)).astype(np.uint8)
    for quad in lines:
        cv2.fillPoly(fine, [np.round(quad / _TILE - 0.5).astype(np.int32)], (0,))
    # Beyond the page there is none.
    return any(
        cv2.erode(fine, np.ones(shape, np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(0,)).any()
        for shape in ((1, _LINE_TILES), (_LINE_TILES, 1))
    )


def _lost(grey: Pixels, scale: float) -> tuple[Floats, Floats, Floats]:
    """Returns what is lost at a scale: mean differences of blocks and of tiles, and its share of a tile's variance."""
    height, width = grey.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    coarse = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    own: Floats = grey.astype(np.float32)
    seen = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    difference: Floats = np.abs(own - np.asarray(seen, np.float32))
    variance = _means(own * own, _TILE) - _means(own, _TILE) ** 2
    share: Floats = _means(difference * difference, _TILE) / np.maximum(variance, np.float32(1))
    return _means(difference, _BLOCK), _means(difference, _TILE), share


def _means(values: Floats, side: int) -> Floats:
    height, width = values.shape
    return np.asarray(cv2.resize(values, (width // side, height // side), interpolation=cv2.INTER_AREA), np.float32)
