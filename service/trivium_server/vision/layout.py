"""Puts what was read on a page in order: lines, blocks and words.

The page is seen upright first, by the direction in which most of its text runs. Columns are told from tables: a gap
that runs down a page parts columns where the lines on both of its sides are long, as lines of prose are; the cells of a
table are read row by row. Source of the division: recursive X-Y cut (Nagy & Seth 1984).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.vision.ctc import Reading
from trivium_server.vision.text_regions import line_size

Floats = NDArray[np.float32]

# In heights of a line: a gap between pieces of one line, one between columns, the length from which a line is prose,
# one between lines of a block.
_WORD_GAP = 0.9
_COLUMN_GAP = 0.5
_PROSE_LENGTH = 6.0
_BLOCK_GAP = 0.8
# How much of the lower one's height two pieces of one line share, and how unlike in height lines of a block are.
_SAME_ROW = 0.6
_LIKE_HEIGHT = 1.7


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """A line: its quad, shape (4, 2), in pixels of the page, from where its text begins, and what it says."""

    quad: Floats
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLine:
    """A line in its place; block counts the blocks of the page from 0."""

    line: ReadLine
    block: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A line with its upright rectangle on the upright page."""

    left: float
    top: float
    right: float
    bottom: float
    line: ReadLine

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top


def arranged(lines: Sequence[ReadLine]) -> list[PlacedLine]:
    """Returns lines in reading order, the pieces of a line joined, each with its block."""
    placed: list[PlacedLine] = []
    block = -1
    for column in _columns(_upright(lines)):
        previous: list[_Place] = []
        for row in _rows(column):
            joined = _with_pieces_joined(row)
            block += not _continues(previous, joined)
            placed += [PlacedLine(line=place.line, block=block) for place in joined]
            previous = joined
    return placed


def reading_order(quads: Sequence[Floats]) -> list[int]:
    """Returns the places of lines that are yet to be read, in reading order. quads: from where their text begins."""
    unread = Reading(text="", probabilities=np.zeros(0, np.float32), centers=np.zeros(0, np.float32))
    lines = [ReadLine(quad=quad, reading=unread) for quad in quads]
    places = {id(line): place for place, line in enumerate(lines)}
    return [places[id(each.line)] for column in _columns(_upright(lines)) for row in _rows(column) for each in row]


def _upright(lines: Sequence[ReadLine]) -> list[_Place]:
    if not lines:
        return []
    along = [line.quad[1] - line.quad[0] + line.quad[2] - line.quad[3] for line in lines]
    # The quarter turn in which most text runs, by length; then the mean of the lines that run so.
    quarters = [round(float(np.arctan2(y, x)) / (np.pi / 2)) % 4 for x, y in along]
    lengths = [float(np.hypot(*direction)) for direction in along]
    main = max(range(4), key=lambda quarter: sum(n for q, n in zip(quarters, lengths, strict=True) if q == quarter))
    x, y = np.sum([direction for direction, quarter in zip(along, quarters, strict=True) if quarter == main], axis=0)
    norm = max(float(np.hypot(x, y)), 1e-6)
    turn = np.array([[x, -y], [y, x]], np.float32) / norm
    return [_place(line, turn) for line in lines]


def _place(line: ReadLine, turn: Floats) -> _Place:
    corners = line.quad @ turn
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return _Place(float(left), float(top), float(right), float(bottom), line)


def _columns(places: Sequence[_Place]) -> list[list[_Place]]:
    """Divides a page into columns, in reading order; what spans them is a column by itself."""
    columns: list[list[_Place]] = []
    for part in _parts(places):
        gutters = _gutters(part)
        if not gutters:
            columns.append(part)
            continue
        for left, right in zip([-np.inf, *gutters], [*gutters, np.inf], strict=True):
            columns += _columns([place for place in part if left <= place.left < right])
    return columns


def _parts(places: Sequence[_Place]) -> list[list[_Place]]:
    """Divides what is on a page from top to bottom, where a gap between columns begins or ends."""
    parts: list[list[_Place]] = []
    free: list[tuple[float, float]] = []
    for group in _groups(places, lambda place: (place.top, place.bottom)):
        both = _common(free, _free(group)) if parts else []
        # Lines of one column alone do not part what is around them.
        if parts and (_inner(both) or not (_inner(free) or _inner(_free(group)))):
            parts[-1] += group
            free = both
        else:
            parts.append(list(group))
            free = _free(group)
    return parts


def _inner(gaps: Sequence[tuple[float, float]]) -> bool:
    return any(start > -np.inf and end < np.inf for start, end in gaps)


def _free(places: Sequence[_Place]) -> list[tuple[float, float]]:
    """Returns the spans of x that no place covers, the two outer ones included."""
    groups = _groups(places, lambda place: (place.left, place.right))
    ends = [max(place.right for place in group) for group in groups]
    starts = [min(place.left for place in group) for group in groups]
    return list(zip([-np.inf, *ends], [*starts, np.inf], strict=True))


def _common(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    shared: list[tuple[float, float]] = []
    first, second = 0, 0
    while first < len(one) and second < len(other):
        start, end = max(one[first][0], other[second][0]), min(one[first][1], other[second][1])
        if start < end:
            shared.append((start, end))
        if one[first][1] <= other[second][1]:
            first += 1
        else:
            second += 1
    return shared


def _gutters(places: Sequence[_Place]) -> list[float]:
    """Returns the x of the gaps that part columns of prose, from left to right."""
    height = float(np.median([place.height for place in places]))
    groups = _groups(places, lambda place: (place.left, place.right))
    gutters: list[float] = []
    for left, right in itertools.pairwise(groups):
        start, end = max(place.right for place in left), min(place.left for place in right)
        if end - start >= _COLUMN_GAP * height and _is_prose(left, height) and _is_prose(right, height):
            gutters.append((start + end) / 2)
    return gutters


def _is_prose(places: Sequence[_Place], height: float) -> bool:
    return len(places) > 1 and float(np.median([place.width for place in places])) >= _PROSE_LENGTH * height


def _rows(places: Sequence[_Place]) -> list[list[_Place]]:
    """Returns the rows of a column from top to bottom, each from left to right."""
    rows: list[list[_Place]] = []
    for place in sorted(places, key=lambda place: place.top + place.bottom):
        if rows and _is_same_row(rows[-1][-1], place):
            rows[-1].append(place)
        else:
            rows.append([place])
    return [sorted(row, key=lambda place: place.left) for row in rows]


def _is_same_row(one: _Place, other: _Place) -> bool:
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return shared >= _SAME_ROW * min(one.height, other.height)


def _with_pieces_joined(row: Sequence[_Place]) -> list[_Place]:
    joined = [row[0]]
    for place in row[1:]:
        last = joined[-1]
        height = min(last.height, place.height)
        is_piece = place.left - last.right <= _WORD_GAP * height and _are_alike(last, place)
        if is_piece and _run_alike(last.line, place.line):
            joined[-1] = _Place(
                last.left,
                min(last.top, place.top),
                max(last.right, place.right),
                max(last.bottom, place.bottom),
                _joined(last.line, place.line),
            )
        else:
            joined.append(place)
    return joined


def _run_alike(one: ReadLine, other: ReadLine) -> bool:
    """Says whether two lines run in one direction, but for some ten degrees."""
    (a, b), (c, d) = one.quad[1] - one.quad[0], other.quad[1] - other.quad[0]
    return bool(a * c + b * d >= 0.98 * np.hypot(a, b) * np.hypot(c, d))


def _joined(one: ReadLine, other: ReadLine) -> ReadLine:
    quad = np.stack([one.quad[0], other.quad[1], other.quad[2], one.quad[3]])
    length = max(line_size(quad)[0], 1e-6)
    ends = line_size(one.quad)[0] / length, 1 - line_size(other.quad)[0] / length
    first, second = one.reading, other.reading
    needs_space = not (is_by_itself(first.text[-1:]) and is_by_itself(second.text[:1]))
    between = Reading(
        text=" " if needs_space else "",
        probabilities=np.ones(int(needs_space), np.float32),
        centers=np.full(int(needs_space), sum(ends) / 2, np.float32),
    )
    readings = (first, between, second)
    centers = (first.centers * ends[0], between.centers, ends[1] + second.centers * (1 - ends[1]))
    return ReadLine(
        quad=quad,
        reading=Reading(
            text="".join(reading.text for reading in readings),
            probabilities=np.concatenate([reading.probabilities for reading in readings]),
            centers=np.concatenate(centers).astype(np.float32),
        ),
    )


def _continues(previous: Sequence[_Place], row: Sequence[_Place]) -> bool:
    """Says whether a row belongs to the block of the one above it."""
    if not previous:
        return False
    above = max(previous, key=lambda place: place.bottom)
    below = min(row, key=lambda place: place.top)
    gap = below.top - above.bottom
    overlap = min(max(p.right for p in previous), max(p.right for p in row)) - max(previous[0].left, row[0].left)
    return gap <= _BLOCK_GAP * min(above.height, below.height) and overlap > 0 and _are_alike(above, below)


def _are_alike(one: _Place, other: _Place) -> bool:
    return max(one.height, other.height) <= _LIKE_HEIGHT * min(one.height, other.height)


def _groups(places: Sequence[_Place], span: Callable[[_Place], tuple[float, float]]) -> list[list[_Place]]:
    """Divides places where their spans along an axis leave a gap, in order of the axis."""
    groups: list[list[_Place]] = []
    end = -np.inf
    for place in sorted(places, key=span):
        if span(place)[0] >= end:
            groups.append([])
        groups[-1].append(place)
        end = max(end, span(place)[1])
    return groups


def is_by_itself(text: str) -> bool:
    """Says whether all characters are of a script that does not separate words."""
    return bool(text) and all(any(low <= character <= high for low, high in _UNSEPARATED) for character in text)


# Kana, Han and their marks, full-width forms.
_UNSEPARATED = (
    ("\u2e80", "\u30ff"),
    ("\u3190", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\uff01", "\uffef"),
    ("\U00020000", "\U0003ffff"),
)
