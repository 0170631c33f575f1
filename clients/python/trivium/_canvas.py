"""A picture to draw outlines and labels on, so that they can be read whatever lies below. Needs Pillow."""

import colorsys
import math
from collections.abc import Sequence
from typing import TypeAlias

from PIL import Image, ImageDraw

from trivium._fonts import font_for

Pixel: TypeAlias = tuple[float, float]
_Colour: TypeAlias = tuple[int, int, int]
_Area: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom

_GOLDEN = (math.sqrt(5) - 1) / 2
_TINT = 48  # of 255
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def letter_height(size: tuple[int, int]) -> int:
    """Returns how high letters are in a picture of that width and height, in pixels."""
    return min(64, max(13, round(max(size) / 48)))


class Canvas:
    """Draws on an RGB picture, in place. Widths and letters grow with the picture. Call finish() at the end.

    Things of one kind have one colour; kinds have colours that differ, by the order of their first use.
    """

    def __init__(self, picture: Image.Image) -> None:
        self.size = picture.size
        self._draw = ImageDraw.Draw(picture, "RGBA")  # mixes colours that are not opaque with what is there
        self._line = max(2, round(max(self.size) / 350))
        self._letters = letter_height(self.size)
        self._colours: dict[str, _Colour] = {}
        self._tags: list[tuple[str, _Colour, _Area]] = []
        self._taken: list[_Area] = []

    def colour(self, kind: str) -> _Colour:
        """Returns the colour of a kind of things."""
        if kind not in self._colours:
            hue = (0.33 + len(self._colours) * _GOLDEN) % 1
            red, green, blue = colorsys.hsv_to_rgb(hue, 0.9, 0.95)
            self._colours[kind] = round(255 * red), round(255 * green), round(255 * blue)
        return self._colours[kind]

    def outline(self, corners: Sequence[Pixel], kind: str, label: str) -> None:
        """Draws a closed line, with a dark edge so that it shows on every ground, and keeps its label for finish()."""
        closed = [*corners, corners[0], corners[1]]
        self._draw.line(closed, _BLACK, self._line + 2, joint="curve")
        self._draw.line(closed, self.colour(kind), self._line, joint="curve")
        self._tags.append((label, self.colour(kind), _bounds(corners)))

    def tint(self, corners: Sequence[Pixel], kind: str) -> None:
        """Colours an area, with a thin line around it, so that what is there can still be read."""
        self._draw.polygon(corners, (*self.colour(kind), _TINT))
        self._draw.line([*corners, corners[0]], self.colour(kind), max(1, self._line // 2))

    def dot(self, place: Pixel, kind: str) -> None:
        """Draws a filled circle."""
        self._draw.circle(place, 1.5 * self._line, self.colour(kind), _BLACK)

    def finish(self) -> None:
        """Writes the labels above all lines, each at its outline and, if that can be, beside the others."""
        for label, colour, outline in self._tags:
            self._put(label, colour, self._place(self._measure(label), outline))

    def _measure(self, text: str) -> tuple[float, float]:
        font = font_for(text, self._letters)
        return font.getbbox(text)[2] + 0.5 * self._letters, 1.35 * self._letters

    def _place(self, size: tuple[float, float], outline: _Area) -> _Area:
        """Above the outline, inside it at the top, inside at the bottom, below it; else down the left side."""
        (width, height), (left, top, _, bottom) = size, outline
        rows = [top - height, top, bottom - height, bottom]
        rows += [top + step * height for step in range(1, 12)]
        areas = [self._inside((left, row, left + width, row + height)) for row in rows]
        return next((area for area in areas if not self._is_taken(area)), areas[0])

    def _inside(self, area: _Area) -> _Area:
        left, top, right, bottom = area
        x = max(0.0, min(left, self.size[0] - (right - left)))
        y = max(0.0, min(top, self.size[1] - (bottom - top)))
        return x, y, x + right - left, y + bottom - top

    def _is_taken(self, area: _Area) -> bool:
        return any(
            area[0] < there[2] and there[0] < area[2] and area[1] < there[3] and there[1] < area[3]
            for there in self._taken
        )

    def _put(self, text: str, ground: _Colour, area: _Area) -> None:
        self._taken.append(area)
        self._draw.rectangle(area, ground)
        ink = _BLACK if _brightness(ground) > 0.55 else _WHITE
        middle = (area[1] + area[3]) / 2
        self._draw.text((area[0] + 0.25 * self._letters, middle), text, ink, font_for(text, self._letters), anchor="lm")


def _bounds(corners: Sequence[Pixel]) -> _Area:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _brightness(colour: _Colour) -> float:
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255
