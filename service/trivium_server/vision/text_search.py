"""Plans how closely a page is looked at for text: as coarsely as its text allows, and closer only where it must be.

A detector costs as much as it sees pixels, and needs little more than eight of them for the height of a line (measured
with PP-OCRv6; with six it begins to miss words). How large the text is, the first, coarse look tells. Another look
follows where it found lines that are too small to be trusted, and where the page has detail that a coarse look cannot
see and that is on no line found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trivium_server.vision.fine_text import FAITHFUL, has_finer_text
from trivium_server.vision.page_bands import Bands, Mask, Pixels, bands_of
from trivium_server.vision.text_regions import line_size

Floats = NDArray[np.float32]

# The longest side of the map of detail.
_MAP_SIDE = 2000
# Pixels of the map per side of a tile, and of a block.
_TILE, _BLOCK = 16, 4
# A smaller difference between neighbours, of 255, is no stroke of a letter.
_LEAST_CONTRAST = 12
# Pixels of what is looked at, around what is wanted.
_MARGIN = 16.0
_MOST_LOOKS = 3
# How much closer to look at detail that nothing is known of.
_CLOSER = 3.0
# A line so many times as high as small ones may be two of them, run together.
_RUN_TOGETHER = 2.6


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How closely pages are looked at, in pixels as the detector sees them.

    first_pixels and most_pixels: of the first look, and of any other. trusted_height: of a line's quad; a smaller one
    is looked at again. wanted_height: what that aims at. max_scale: of all looks, to the page's own pixels.
    """

    first_pixels: int = 250_000
    most_pixels: int = 3_000_000
    trusted_height: float = 9.5
    wanted_height: float = 12.0
    max_scale: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the detector is to see: bands of the page, scaled."""

    bands: Bands
    scale: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what it sees, in whole pixels."""
        return max(1, round(self.bands.width * self.scale)), max(1, round(self.bands.height * self.scale))

    @property
    def num_pixels(self) -> int:
        width, height = self.size
        return width * height


class TextSearch:
    """The looks at one page: `next_look`, then `found`, until there is none."""

    def __init__(self, pixels: Pixels, settings: SearchSettings) -> None:
        """pixels: the page, shape (height, width, 3)."""
        self._settings = settings
        self._height, self._width = pixels.shape[:2]
        self._pixels = pixels
        self._detail = _DetailMap(pixels)
        self._lines: list[Floats] = []
        self._num_looks = 0
        self._is_too_fine = False
        self._next = self._look_at(self._detail.strokes, None)

    @property
    def lines(self) -> list[Floats]:
        """The quads found so far, in pixels of the page."""
        return self._lines

    @property
    def is_too_fine(self) -> bool:
        """Whether the page has detail like that of text which no look was close enough to show, once it is over."""
        return self._is_too_fine

    def next_look(self) -> Look | None:
        """Returns what is to be looked at; None when the search is over."""
        return self._next

    def found(self, quads: Sequence[Floats]) -> None:
        """Takes the quads of the lines that the last look showed, in pixels of what the detector saw."""
        look = self._next
        assert look is not None
        self._num_looks += 1
        seen = [look.bands.on_page(quad / np.float32(look.scale)) for quad in quads]
        self._lines = _merged(self._lines, seen)
        self._next = self._closer(look) if self._num_looks < _MOST_LOOKS else None
        if self._next is None:
            # So closely the search may look wherever there is something to see.
            whole = float(np.sqrt(self._settings.most_pixels / (self._width * self._height)))
            self._is_too_fine = has_finer_text(self._pixels, max(look.scale, whole), self._lines)

    def _closer(self, look: Look) -> Look | None:
        settings = self._settings
        heights = np.array([min(line_size(quad)) for quad in self._lines]) * look.scale
        small = heights[heights < settings.trusted_height]
        wanted = self._detail.unseen(look.scale, self._lines)
        ratio = _CLOSER if wanted.any() else 1.0
        if len(small):
            ratio = max(ratio, settings.wanted_height / float(np.percentile(small, 10)), 1.4)
            doubtful = heights < _RUN_TOGETHER * np.median(small)
            self._detail.mark(wanted, [quad for quad, is_in in zip(self._lines, doubtful, strict=True) if is_in])
        if ratio == 1.0:
            return None
        closer = self._look_at(wanted, look.scale * ratio)
        # A look that hardly shows more is not worth its price.
        return closer if closer is not None and closer.scale > look.scale * 1.2 else None

    def _look_at(self, wanted: Mask, scale: float | None) -> Look | None:
        settings = self._settings
        first = self._bands(wanted, scale or 1.0)
        if first is None:
            return None
        most = settings.first_pixels if scale is None else settings.most_pixels
        affordable = float(np.sqrt(most / (first.width * first.height)))
        chosen = min(affordable, 1.0) if scale is None else min(scale, affordable, settings.max_scale)
        bands = self._bands(wanted, chosen)
        assert bands is not None
        return Look(bands=bands, scale=chosen)

    def _bands(self, wanted: Mask, scale: float) -> Bands | None:
        return bands_of(wanted, width=self._width, height=self._height, margin=_MARGIN / scale)


class _DetailMap:
    """Where a page has detail, and what is left of it in a smaller picture."""

    def __init__(self, pixels: Pixels) -> None:
        height, width = pixels.shape[:2]
        self._scale = min(1.0, _MAP_SIDE / max(height, width))
        size = max(1, round(width * self._scale)), max(1, round(height * self._scale))
        small = pixels if self._scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        self._grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        steps = cv2.morphologyEx(self._grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        self.strokes: Mask = steps > _LEAST_CONTRAST

    def unseen(self, scale: float, lines: Sequence[Floats]) -> Mask:
        """Returns where detail is lost at a scale of the page, and no line is; a map of tiles."""
        height, width = self._grey.shape
        tiles = max(1, width // _TILE), max(1, height // _TILE)
        ratio = scale / self._scale
        if ratio >= FAITHFUL:
            return np.zeros(tiles[::-1], np.bool_)
        size = max(1, round(width * ratio)), max(1, round(height * ratio))
        coarse = cv2.resize(self._grey, size, interpolation=cv2.INTER_AREA)
        lost = cv2.absdiff(self._grey, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
        # Between letters, and between lines, there are blocks so small that hold only what is all over the page.
        blocks = max(1, width // _BLOCK), max(1, height // _BLOCK)
        noise = float(np.percentile(cv2.resize(lost, blocks, interpolation=cv2.INTER_AREA), 10))
        covered = np.zeros_like(self._grey)
        for quad in lines:
            cv2.fillPoly(covered, [np.round(quad * self._scale).astype(np.int32)], (255,))
        lost[cv2.dilate(covered, np.ones((9, 9), np.uint8)) > 0] = 0
        per_tile = cv2.resize(lost.astype(np.float32), tiles, interpolation=cv2.INTER_AREA)
        unseen: Mask = per_tile > 5 + 3 * noise
        return unseen

    def mark(self, tiles: Mask, lines: Sequence[Floats]) -> None:
        """Marks the tiles that lines lie on."""
        marked = np.zeros(tiles.shape, np.uint8)
        for quad in lines:
            low, high = (
                np.floor(quad.min(axis=0) * self._scale / _TILE),
                np.ceil(quad.max(axis=0) * self._scale / _TILE),
            )
            left, top = np.clip(low.astype(int), 0, (tiles.shape[1] - 1, tiles.shape[0] - 1))
            right, bottom = np.maximum(high.astype(int), (left + 1, top + 1))
            marked[top:bottom, left:right] = 1
        tiles |= marked > 0


def _merged(earlier: Sequence[Floats], later: Sequence[Floats]) -> list[Floats]:
    """Returns the later quads, and those of the earlier ones whose middle is in none of them."""
    if not earlier or not later:
        return [*earlier, *later]
    middles = np.stack(earlier).mean(axis=1)
    replaced = np.zeros(len(earlier), np.bool_)
    for quad in later:
        replaced |= _within(quad, middles)
    return [*(quad for quad, is_replaced in zip(earlier, replaced, strict=True) if not is_replaced), *later]


def _within(quad: Floats, points: Floats) -> Mask:
    """Says which points, shape (n, 2), are to the right of all sides of a quad, whose corners go clockwise."""
    sides = np.roll(quad, -1, axis=0) - quad
    offsets = points[:, None] - quad
    crossed = sides[:, 0] * offsets[..., 1] - sides[:, 1] * offsets[..., 0]
    return np.asarray((crossed >= 0).all(axis=1), np.bool_)
