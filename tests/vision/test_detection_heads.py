"""Heads of detectors against plain decoding, cell by cell and query by query."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.numerics import NotFiniteError
from trivium_server.vision.boxes import Candidates
from trivium_server.vision.detection_heads import (
    detr_candidates,
    final_candidates,
    gfl_candidates,
    grid_centers,
    yolo_candidates,
)

Floats = NDArray[np.float32]
Row = tuple[float, float, float, float, float, int]

SEEDS = st.integers(0, 1000)
THRESHOLDS = st.sampled_from([0.0, 0.05, 0.5, 0.9, 0.999, 1.0])
LAW = settings(max_examples=50, deadline=None)


def random(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def assert_found(found: Candidates, wanted: list[Row], tolerance: float = 1e-3) -> None:
    """tolerance: in pixels."""
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.classes.dtype == np.intp
    np.testing.assert_allclose(found.boxes, np.array([row[:4] for row in wanted]).reshape(-1, 4), atol=tolerance)
    np.testing.assert_allclose(found.scores, [row[4] for row in wanted], atol=1e-6)
    assert found.classes.tolist() == [row[5] for row in wanted]


def softmax(values: list[float]) -> list[float]:
    exponentials = [math.exp(value - max(values)) for value in values]
    return [each / math.fsum(exponentials) for each in exponentials]


@pytest.mark.parametrize(
    ("size", "stride", "first", "last"),
    [
        ((16, 32), 8, (4, 4), (28, 12)),
        ((800, 608), 64, (32, 32), (608, 800)),
        ((1, 1), 8, (4, 4), (4, 4)),
        ((9, 8), 8, (4, 4), (4, 12)),
    ],
)
def test_centers_of_a_grid(
    size: tuple[int, int], stride: int, first: tuple[float, float], last: tuple[float, float]
) -> None:
    centers = grid_centers(*size, stride)
    assert len(centers) == math.ceil(size[0] / stride) * math.ceil(size[1] / stride)
    assert (tuple(centers[0]), tuple(centers[-1])) == (first, last)


@given(SEEDS, st.sampled_from([(32, 48), (33, 17), (8, 8)]), THRESHOLDS)
@LAW
def test_gfl_is_its_definition(seed: int, size: tuple[int, int], min_score: float) -> None:
    strides, num_classes, bins = (8, 16), 3, 5
    grids = [(math.ceil(size[0] / stride), math.ceil(size[1] / stride)) for stride in strides]
    scores = [random(seed + index, rows * columns, num_classes) for index, (rows, columns) in enumerate(grids)]
    logits = [6 * random(seed + 7, rows * columns, 4 * bins) - 3 for rows, columns in grids]
    wanted: list[Row] = []
    for level, stride in enumerate(strides):
        for cell, row in enumerate(scores[level].tolist()):
            if max(row) < np.float32(min_score):
                continue
            x = (cell % grids[level][1] + 0.5) * stride
            y = (cell // grids[level][1] + 0.5) * stride
            left, top, right, bottom = (
                stride * math.fsum(place * share for place, share in enumerate(softmax(side.tolist())))
                for side in logits[level][cell].reshape(4, bins)
            )
            wanted.append((x - left, y - top, x + right, y + bottom, max(row), row.index(max(row))))
    assert_found(gfl_candidates(scores, logits, strides, input_size=size, min_score=min_score), wanted)


@given(SEEDS, st.booleans(), THRESHOLDS)
@LAW
def test_yolo_is_its_definition(seed: int, has_objectness: bool, min_score: float) -> None:
    rows = random(seed, 60, 4 + has_objectness + 5)
    rows[:, :4] *= 640
    wanted: list[Row] = []
    for x, y, width, height, *rest in rows:
        scores = [rest[0] * score for score in rest[1:]] if has_objectness else rest
        best = max(scores)
        if best >= np.float32(min_score):
            left, right = float(x - width / 2), float(x + width / 2)
            top, bottom = float(y - height / 2), float(y + height / 2)
            wanted.append((left, top, right, bottom, float(best), scores.index(best)))
    assert_found(yolo_candidates(rows, has_objectness=has_objectness, min_score=min_score), wanted)


def test_yolo_reads_a_transposed_output_alike() -> None:
    rows = random(0, 84, 40).T
    found = yolo_candidates(rows, has_objectness=False, min_score=0.98)
    again = yolo_candidates(np.ascontiguousarray(rows), has_objectness=False, min_score=0.98)
    assert len(found) > 0
    np.testing.assert_array_equal(found.boxes, again.boxes)
    np.testing.assert_array_equal(found.classes, again.classes)


@given(SEEDS, THRESHOLDS)
@LAW
def test_detr_with_no_object_has_one_class_a_query(seed: int, min_score: float) -> None:
    logits, boxes = 8 * random(seed, 20, 6) - 4, random(seed + 1, 20, 4)
    wanted: list[Row] = []
    for row, (x, y, width, height) in zip(logits.tolist(), boxes.tolist(), strict=True):
        scores = softmax(row)[:-1]
        if max(scores) >= min_score:
            left, right = (x - width / 2) * 640, (x + width / 2) * 640
            top, bottom = (y - height / 2) * 480, (y + height / 2) * 480
            wanted.append((left, top, right, bottom, max(scores), scores.index(max(scores))))
    found = detr_candidates(logits, boxes, has_no_object=True, input_size=(480, 640), min_score=min_score)
    assert_found(found, wanted)


@given(SEEDS, THRESHOLDS)
@LAW
def test_detr_with_sigmoid_takes_the_best_of_all_classes_and_queries(seed: int, min_score: float) -> None:
    logits, boxes = 8 * random(seed, 20, 6) - 4, random(seed + 1, 20, 4)
    pairs = [
        (1 / (1 + math.exp(-logit)), query, label)
        for query, row in enumerate(logits.tolist())
        for label, logit in enumerate(row)
    ]
    wanted: list[Row] = []
    for score, query, label in sorted(pairs, key=lambda pair: -pair[0])[:20]:
        if score >= min_score:
            x, y, width, height = boxes[query].tolist()
            left, right = (x - width / 2) * 640, (x + width / 2) * 640
            wanted.append((left, (y - height / 2) * 480, right, (y + height / 2) * 480, score, label))
    found = detr_candidates(logits, boxes, has_no_object=False, input_size=(480, 640), min_score=min_score)
    assert_found(found, wanted)


def test_final_boxes_are_taken_as_they_are() -> None:
    rows = np.array([[1, 2, 3, 4, 0.9, 7], [5, 6, 7, 8, 0.2, 1], [0, 0, 1, 1, 0.5, 0]], np.float32)
    assert_found(final_candidates(rows, min_score=0.5), [(1.0, 2.0, 3.0, 4.0, 0.9, 7), (0.0, 0.0, 1.0, 1.0, 0.5, 0)])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    with np.errstate(all="ignore"):
        for column in (0, 4, 5):
            rows = random(0, 10, 8)
            rows[3, column] = bad
            rows[3, 4:] = np.maximum(rows[3, 4:], 0.5)
            with pytest.raises(NotFiniteError):
                yolo_candidates(rows, has_objectness=True, min_score=0.0)
            with pytest.raises(NotFiniteError):
                yolo_candidates(rows, has_objectness=False, min_score=0.1)
            with pytest.raises(NotFiniteError):
                final_candidates(rows[:, :6], min_score=0.0)
        logits, boxes = random(0, 5, 4), random(1, 5, 4)
        for spoiled in (logits, boxes):
            before = spoiled[2, 1]
            spoiled[2, 1] = bad
            for has_no_object in (True, False):
                with pytest.raises(NotFiniteError):
                    detr_candidates(logits, boxes, has_no_object=has_no_object, input_size=(8, 8), min_score=0.0)
            spoiled[2, 1] = before
        scores, distances = random(0, 4, 3), random(1, 4, 8)
        for spoiled in (scores, distances):
            before = spoiled[2, 1]
            spoiled[2, 1] = bad
            with pytest.raises(NotFiniteError):
                gfl_candidates([scores], [distances], [8], input_size=(16, 16), min_score=0.0)
            spoiled[2, 1] = before
