"""Overlap and suppression against their plain definitions, box by box."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.vision.boxes import MAX_SUPPRESSED, Candidates, Placement, areas, overlap, suppressed

BoxTuple = tuple[float, float, float, float]

# Small whole numbers make boxes that touch, contain and equal each other, and sums that are exact.
SIDES = st.integers(0, 8)
BOXES = st.builds(lambda x, y, w, h: (float(x), float(y), float(x + w), float(y + h)), SIDES, SIDES, SIDES, SIDES)
FOUND = st.lists(st.tuples(BOXES, st.integers(0, 6), st.integers(0, 2)), max_size=40)


def array(boxes: Sequence[BoxTuple]) -> NDArray[np.float32]:
    return np.array(boxes, np.float32).reshape(-1, 4)


def plain_overlap(one: BoxTuple, other: BoxTuple) -> float:
    def area(box: BoxTuple) -> float:
        return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])

    shared = area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    union = area(one) + area(other) - shared
    return shared / union if union else 0.0


def plainly_suppressed(found: Sequence[tuple[BoxTuple, float, int]], iou_threshold: float, max_kept: int) -> list[int]:
    kept: list[int] = []
    for place in sorted(range(len(found)), key=lambda each: (-found[each][1], each)):
        box, _, label = found[place]
        if len(kept) < max_kept and all(
            found[other][2] != label or plain_overlap(box, found[other][0]) <= iou_threshold for other in kept
        ):
            kept.append(place)
    return kept


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7),
        ((0, 0, 4, 4), (1, 1, 3, 3), 0.25),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
        ((0, 0, 2, 2), (5, 5, 6, 6), 0.0),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0.0),
        ((2, 0, 0, 2), (0, 0, 2, 2), 0.0),
    ],
    ids=["same", "corner", "inside", "touching", "apart", "points", "inverted"],
)
def test_overlap_of_two(one: BoxTuple, other: BoxTuple, wanted: float) -> None:
    np.testing.assert_allclose(overlap(array([one]), array([other])), [[wanted]], atol=1e-7)


@given(st.lists(BOXES, max_size=8), st.lists(BOXES, max_size=8))
def test_overlap_is_its_definition(some: list[BoxTuple], others: list[BoxTuple]) -> None:
    found = overlap(array(some), array(others))
    assert found.dtype == np.float32
    assert found.shape == (len(some), len(others))
    wanted = np.array([[plain_overlap(one, other) for other in others] for one in some], np.float32)
    np.testing.assert_allclose(found, wanted.reshape(found.shape), atol=1e-6)


def test_areas_of_boxes_that_end_before_they_begin_are_0() -> None:
    assert areas(array([(0, 0, 2, 3), (2, 3, 0, 0), (1, 1, 1, 5)])).tolist() == [6, 0, 0]


@given(FOUND, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.sampled_from([1, 2, 5, 1000]))
def test_suppression_is_its_definition(
    found: list[tuple[BoxTuple, float, int]], iou_threshold: float, max_kept: int
) -> None:
    boxes, scores, classes = array([each[0] for each in found]), [each[1] for each in found], [e[2] for e in found]
    kept = suppressed(
        boxes,
        np.array(scores, np.float32),
        np.array(classes, np.intp),
        iou_threshold=iou_threshold,
        max_kept=max_kept,
    )
    # The threshold lies on values that overlaps of these boxes take exactly, so compare with float32's.
    assert kept.tolist() == plainly_suppressed(found, float(np.float32(iou_threshold)) + 1e-7, max_kept)


@pytest.mark.parametrize("num", [63, 64, 65, 1500])
def test_suppression_of_many_is_its_definition(num: int) -> None:
    rng = np.random.default_rng(num)
    corners = rng.uniform(0, 100, size=(num, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 30, size=(num, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(size=num).astype(np.float32)
    classes = rng.integers(0, 3, size=num)
    kept = suppressed(boxes, scores, classes, iou_threshold=0.5, max_kept=1000)
    sides = [(float(a), float(b), float(c), float(d)) for a, b, c, d in boxes]
    rows = list(zip(sides, scores.tolist(), classes.tolist(), strict=True))
    assert kept.tolist() == plainly_suppressed(rows, 0.5, 1000)


def test_suppression_of_very_many_takes_little_time_and_is_the_beginning_of_that_of_all() -> None:
    num = 16 * MAX_SUPPRESSED
    y, x = np.mgrid[:256, : num // 256].reshape(2, -1).astype(np.float32) * 4
    boxes = np.stack([x, y, x + 64, y + 64], axis=1)
    scores = np.random.default_rng(0).uniform(0, 1e-3, num).astype(np.float32)
    one_class = np.zeros(num, np.intp)
    started_s = time.thread_time()
    kept = suppressed(boxes, scores, one_class, iou_threshold=0.3, max_kept=1000)
    assert time.thread_time() - started_s < 0.5
    assert (np.diff(scores[kept]) <= 0).all()
    clashes = overlap(boxes[kept], boxes[kept]) > 0.3
    assert clashes.sum() == len(kept)
    best = np.argsort(-scores, kind="stable")[:MAX_SUPPRESSED]
    left_out = np.setdiff1d(best, kept)
    assert (overlap(boxes[left_out], boxes[kept]) > 0.3).any(axis=1).all()
    assert np.isin(kept, best).all()


def test_best_keeps_the_earlier_of_equals() -> None:
    found = Candidates(
        boxes=np.zeros((4, 4), np.float32),
        scores=np.array([0.5, 0.9, 0.5, 0.9], np.float32),
        classes=np.arange(4),
    )
    assert found.best(3).classes.tolist() == [1, 3, 0]
    assert len(found.best(0)) == 0


def test_placement_gives_fractions_of_the_picture() -> None:
    placement = Placement(left=20, top=0, width=60, height=100)
    boxes = array([(20, 0, 80, 100), (35, 25, 65, 50), (0, -10, 100, 110), (0, 0, 10, 10)])
    wanted = [(0, 0, 1, 1), (0.25, 0.25, 0.75, 0.5), (0, 0, 1, 1), (0, 0, 0, 0.1)]
    np.testing.assert_allclose(placement.fractions(boxes), wanted, atol=1e-6)
    points = np.array([[[20.0, 50.0], [80.0, 100.0]]], np.float32)
    np.testing.assert_allclose(placement.fractions(points), np.array([[[0.0, 0.5], [1.0, 1.0]]]), atol=1e-6)
