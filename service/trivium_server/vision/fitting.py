"""Says how a picture of any size is brought to the size that a graph takes. Numbers only; `resizing` does it.

A fit answers for every size of at least 1x1 pixels, with plans whose cost is bounded whatever the picture's shape: a
sliver of 1 by 100 000 pixels too.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from trivium_server.vision.boxes import Placement

# What a resized pixel is made of, beyond its own area, in resized pixels: three lobes of the widest filter (Lanczos).
_FILTER_PIXELS = 3
# Below this, the edge of a region that is cut out first would show: it has whole pixels only.
_CUT_FIRST_SCALE = 2.0
_CUT_FIRST_ASPECT = 4.0
_CHOICES = 16
# A picture with twice the pixels, both ways, leaves the choice of the filter to the last resizing.
_ENOUGH = 2
# As the shorter side has at least so much of what the longer one gets, most pictures, of 4 by 3, have twice as much of
# it; one as wide as high is made somewhat softer.
_ENOUGH_OF_LONGER = 1.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in this order. Sizes are in pixels.

    left, top, right, bottom: the region of the picture that is used. resized: the width and height that it gets.
    canvas: the width and height of the input. at: x and y at which the region comes into it; below 0 it is cut, above
    there is a margin. placement: where the whole picture then lies in the input.
    """

    left: int
    top: int
    right: int
    bottom: int
    resized: tuple[int, int]
    canvas: tuple[int, int]
    at: tuple[int, int]
    placement: Placement


class Fit(Protocol):
    """A way to bring pictures to size."""

    @property
    def largest(self) -> tuple[int, int]:
        """The width and height of an input as large as a common picture makes it, for a first run."""
        ...

    @property
    def enough_side(self) -> int:
        """How long the shorter side of a picture must be for more pixels to make next to no difference."""
        ...

    def plan(self, width: int, height: int) -> Plan:
        """Says how a picture is brought to size."""
        ...


@dataclass(frozen=True, slots=True)
class Squash:
    """All of the picture, at a fixed size, whatever that does to its shape."""

    width: int
    height: int

    @property
    def largest(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def enough_side(self) -> int:
        return _ENOUGH * max(self.width, self.height)

    def plan(self, width: int, height: int) -> Plan:
        return _whole(width, height, (self.width, self.height))


@dataclass(frozen=True, slots=True)
class Letterbox:
    """All of the picture in its shape, as large as fits a fixed size, in its middle."""

    width: int
    height: int

    @property
    def largest(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def enough_side(self) -> int:
        return _ENOUGH * max(self.width, self.height)

    def plan(self, width: int, height: int) -> Plan:
        scale = min(self.width / width, self.height / height)
        resized = _at_least_one(round(width * scale)), _at_least_one(round(height * scale))
        at = (self.width - resized[0]) // 2, (self.height - resized[1]) // 2
        return Plan(
            left=0,
            top=0,
            right=width,
            bottom=height,
            resized=resized,
            canvas=(self.width, self.height),
            at=at,
            placement=Placement(*at, *resized),
        )


@dataclass(frozen=True, slots=True)
class CenterCrop:
    """The middle of the picture, after its shorter side got a size. Where that is smaller, with a margin around it.

    Source: transformers, `image_transforms.py`: get_resize_output_image_size and center_crop.
    """

    shortest_edge: int
    width: int
    height: int

    @property
    def largest(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def enough_side(self) -> int:
        return _ENOUGH * self.shortest_edge

    def plan(self, width: int, height: int) -> Plan:
        short, long = sorted((width, height))
        other = int(self.shortest_edge * long / short)
        resized = (self.shortest_edge, other) if width <= height else (other, self.shortest_edge)
        left, right, new_width = _middle(width, resized[0], self.width)
        top, bottom, new_height = _middle(height, resized[1], self.height)
        return Plan(
            left=left,
            top=top,
            right=right,
            bottom=bottom,
            resized=(new_width, new_height),
            canvas=(self.width, self.height),
            at=(_start(new_width, self.width), _start(new_height, self.height)),
            placement=Placement(_start(resized[0], self.width), _start(resized[1], self.height), *resized),
        )


@dataclass(frozen=True, slots=True)
class ShortestEdge:
    """All of the picture in its shape: its shorter side gets a size, or a smaller one that keeps the longer to its own.

    Source: transformers, `image_transforms.py`: get_size_with_aspect_ratio.
    """

    shortest_edge: int
    longest_edge: int

    @property
    def largest(self) -> tuple[int, int]:
        return self.longest_edge, self.shortest_edge

    @property
    def enough_side(self) -> int:
        return _ENOUGH * self.shortest_edge

    def plan(self, width: int, height: int) -> Plan:
        short, long = sorted((width, height))
        edge = float(self.shortest_edge)
        if long / short * edge > self.longest_edge:
            edge = self.longest_edge * short / long
        new_short, new_long = _at_least_one(round(edge)), _at_least_one(int(edge * long / short))
        if short == new_short:
            new_short, new_long = short, long
        return _whole(width, height, (new_short, new_long) if width <= height else (new_long, new_short))


@dataclass(frozen=True, slots=True)
class Multiple:
    """All of the picture at its own size, its longer side max_side at most; then sides are rounded up to a multiple."""

    multiple: int
    max_side: int

    @property
    def largest(self) -> tuple[int, int]:
        return self._rounded(self.max_side), self._rounded(self.max_side * 3 / 4)

    @property
    def enough_side(self) -> int:
        return round(_ENOUGH_OF_LONGER * self.max_side)

    def plan(self, width: int, height: int) -> Plan:
        scale = min(1.0, self.max_side / max(width, height))
        return _whole(width, height, (self._rounded(width * scale), self._rounded(height * scale)))

    def _rounded(self, side: float) -> int:
        return self.multiple * _at_least_one(math.ceil(round(side, 6) / self.multiple))


def _whole(width: int, height: int, resized: tuple[int, int]) -> Plan:
    return Plan(
        left=0,
        top=0,
        right=width,
        bottom=height,
        resized=resized,
        canvas=resized,
        at=(0, 0),
        placement=Placement(0, 0, *resized),
    )


def _start(side: int, wanted: int) -> int:
    """Returns where a side begins in an input, so that its middle comes in the middle."""
    return -((side - wanted) // 2)


def _middle(side: int, resized: int, wanted: int) -> tuple[int, int, int]:
    """Returns where the region begins and ends that the middle of a side needs, and its size after resizing.

    What is left over on both sides is the same, before and after, so that the middle stays where it is.
    """
    scale = side / resized
    needed = math.ceil((wanted + 2 * _FILTER_PIXELS) * scale)
    needed += (side - needed) % 2
    if needed + _CHOICES > side or (scale < _CUT_FIRST_SCALE and resized < _CUT_FIRST_ASPECT * wanted):
        return 0, side, resized
    # Of these, the one that has nearly whole pixels afterwards.
    sizes = [(needed + more, _of_parity(resized, (needed + more) / scale)) for more in range(0, _CHOICES, 2)]
    before, after = min(sizes, key=lambda size: abs(size[0] / scale - size[1]))
    margin = (side - before) // 2
    return margin, side - margin, after


def _of_parity(like: int, number: float) -> int:
    """Returns the nearest whole number that is even or odd as another is."""
    return 2 * round((number - like % 2) / 2) + like % 2


def _at_least_one(side: int) -> int:
    return max(1, side)
