"""Leaves out of a page what is blank from edge to edge, before a detector looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

Span = tuple[int, int]

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """The rows and columns of a page that are kept: spans of pixels, ascending, apart from each other, none empty."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def height(self) -> int:
        return sum(end - start for start, end in self.rows)

    @property
    def width(self) -> int:
        return sum(end - start for start, end in self.columns)

    def of(self, pixels: NDArray[_Number]) -> NDArray[_Number]:
        """Returns what is kept of an array of the page, shape (height, width, …); may be a view."""
        kept = _joined([pixels[start:end] for start, end in self.rows], axis=0)
        return _joined([kept[:, start:end] for start, end in self.columns], axis=1)

    def on_page(self, points: Floats) -> Floats:
        """Returns where points of what is kept, shape (…, 2) of x and y, lie on the page."""
        x, y = _unsqueezed(points[..., 0], self.columns), _unsqueezed(points[..., 1], self.rows)
        return np.stack([x, y], axis=-1).astype(np.float32)


def bands_of(wanted: Mask, *, width: int, height: int, margin: float) -> Bands | None:
    """Returns the bands of a page that hold all that is wanted and a margin around it; None where nothing is.

    wanted: a map of the page, of any size. width and height of the page, and margin, in pixels of the page.
    """
    rows, columns = (np.asarray(wanted.any(axis=axis), np.bool_) for axis in (1, 0))
    if not rows.any():
        return None
    return Bands(rows=_spans(rows, height, margin), columns=_spans(columns, width, margin))


def _spans(wanted: Mask, length: int, margin: float) -> tuple[Span, ...]:
    scale = length / len(wanted)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    spans: list[Span] = []
    for first, last in edges.reshape(-1, 2):
        start, end = max(0, int(first * scale - margin)), min(length, int(np.ceil(last * scale + margin)))
        if spans and start <= spans[-1][1]:
            start = spans.pop()[0]
        spans.append((start, end))
    return tuple(spans)


def _joined(parts: Sequence[NDArray[_Number]], *, axis: int) -> NDArray[_Number]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)


def _unsqueezed(values: Floats, spans: Sequence[Span]) -> Floats:
    """Moves each value by what was left out before the span in which it lies."""
    starts = np.array([start for start, _ in spans])
    lengths = np.array([end - start for start, end in spans])
    kept_starts = np.cumsum(lengths) - lengths
    span = np.clip(np.searchsorted(kept_starts, values, side="right") - 1, 0, len(spans) - 1)
    moved: Floats = (values + (starts - kept_starts)[span]).astype(np.float32)
    return moved
