"""Boxes of candidates for things in an image: how much they overlap, and which of them stand for the same thing.

Boxes are arrays of shape (n, 4), float32: left, top, right, bottom.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Candidates that are compared with each other at once (measured: 64 is faster than 32 and 128).
_BLOCK = 64

MAX_SUPPRESSED = 4096
"""Candidates that suppression looks at, the best ones: its time grows with their number times that of the kept.

A photo has fewer above any threshold that is of use. Where there are more, as in a blank image with a threshold of 0,
what is kept is the beginning of what would be kept of all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What a detector takes for things: boxes (n, 4), scores (n,), and classes (n,), the places of their labels."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Returns those at these places, in their order."""
        return type(self)(boxes=self.boxes[places], scores=self.scores[places], classes=self.classes[places])

    def best(self, max_kept: int) -> Self:
        """Returns at most max_kept, best first; of equals the earlier first."""
        return self.take(np.argsort(-self.scores, kind="stable")[:max_kept])

    def without_repeats(self, *, iou_threshold: float, max_kept: int) -> Self:
        """Returns at most max_kept, best first, without those that overlap a better one of their class by more."""
        return self.take(
            suppressed(self.boxes, self.scores, self.classes, iou_threshold=iou_threshold, max_kept=max_kept)
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in the input of a graph, in pixels of the input."""

    left: float
    top: float
    width: float
    height: float

    def fractions(self, boxes: Floats) -> Floats:
        """Returns boxes of the input as fractions of the picture, cut off at its edges, shape (n, 4)."""
        return np.clip(self.unclipped(boxes), 0, 1)

    def unclipped(self, points: Floats) -> Floats:
        """Returns points of the input, shape (…, 2 k) of x and y in turn, as fractions of the picture."""
        pairs = points.reshape(*points.shape[:-1], points.shape[-1] // 2, 2)
        origin = np.array([self.left, self.top], np.float32)
        size = np.array([self.width, self.height], np.float32)
        return ((pairs - origin) / size).reshape(points.shape).astype(np.float32)


def overlap(some: Floats, others: Floats) -> Floats:
    """Returns the area of the intersection divided by that of the union, shape (some, others); 0 where both are 0."""
    left_top = np.maximum(some[:, None, :2], others[None, :, :2])
    right_bottom = np.minimum(some[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(right_bottom - left_top, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(some)[:, None] + areas(others)[None, :] - shared
    result: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def areas(boxes: Floats) -> Floats:
    """Returns the area of each box, shape (n,); 0 for one that ends before it begins."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    result: Floats = sides[:, 0] * sides[:, 1]
    return result


def suppressed(
    boxes: Floats, scores: Floats, classes: NDArray[np.intp], *, iou_threshold: float, max_kept: int
) -> NDArray[np.intp]:
    """Returns the places of at most max_kept boxes, best first: greedy non-maximum suppression within each class.

    A box is left out when it overlaps one of its class that was kept, and so has no smaller score, by more than
    iou_threshold, and when it is not among the MAX_SUPPRESSED best. Of equal scores the earlier is first.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_SUPPRESSED]
    kept: list[int] = []
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        if kept:
            block = block[~_clashes(block, np.array(kept), boxes, classes, iou_threshold).any(axis=1)]
        clashes = _clashes(block, block, boxes, classes, iou_threshold)
        free = np.ones(len(block), np.bool_)
        for row, place in enumerate(block.tolist()):
            if free[row]:
                kept.append(place)
                if len(kept) == max_kept:
                    return np.array(kept, np.intp)
                free &= ~clashes[row]
    return np.array(kept, np.intp)


def _clashes(
    some: NDArray[np.intp],
    others: NDArray[np.intp],
    boxes: Floats,
    classes: NDArray[np.intp],
    iou_threshold: float,
) -> NDArray[np.bool_]:
    same_class = classes[some][:, None] == classes[others][None, :]
    result: NDArray[np.bool_] = same_class & (overlap(boxes[some], boxes[others]) > iou_threshold)
    return result
