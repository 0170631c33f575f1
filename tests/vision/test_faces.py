"""CenterFace's outputs against the decoding of its own demo, cell by cell."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.numerics import NotFiniteError
from trivium_server.vision.faces import centerface

Floats = NDArray[np.float32]


def maps(seed: int, rows: int, columns: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Heat map, scale, offset and landmarks, of faces small enough to lie apart."""
    rng = np.random.default_rng(seed)
    heatmap = rng.uniform(size=(rows, columns)) ** 8
    scale = rng.uniform(-1, 0.5, size=(2, rows, columns))
    offset = rng.uniform(-0.5, 0.5, size=(2, rows, columns))
    landmarks = rng.uniform(size=(10, rows, columns))
    made = tuple(each.astype(np.float32) for each in (heatmap, scale, offset, landmarks))
    return made[0], made[1], made[2], made[3]


@given(st.integers(0, 500), st.sampled_from([(1, 1), (5, 9), (24, 16)]), st.sampled_from([0.0, 0.3, 0.7]))
@settings(max_examples=50, deadline=None)
def test_decoding_is_the_demo(seed: int, shape: tuple[int, int], min_score: float) -> None:
    heatmap, scale, offset, landmarks = maps(seed, *shape)
    faces = []
    for row in range(shape[0]):
        for column in range(shape[1]):
            if heatmap[row, column] < min_score:
                continue
            height, width = (math.exp(value) * 4 for value in scale[:, row, column])
            left = (column + float(offset[1, row, column]) + 0.5) * 4 - width / 2
            top = (row + float(offset[0, row, column]) + 0.5) * 4 - height / 2
            points = [
                (
                    float(landmarks[2 * index + 1, row, column]) * width + left,
                    float(landmarks[2 * index, row, column]) * height + top,
                )
                for index in range(5)
            ]
            faces.append((float(heatmap[row, column]), (left, top, left + width, top + height), points))
    faces.sort(key=lambda face: -face[0])
    kept: list[tuple[float, tuple[float, float, float, float], list[tuple[float, float]]]] = []
    for face in faces:
        if all(_overlap(face[1], other[1]) <= 0.3 for other in kept):
            kept.append(face)
    found = centerface(heatmap, scale, offset, landmarks, min_score=min_score, iou_threshold=0.3, max_faces=1000)
    np.testing.assert_allclose(found.scores, [face[0] for face in kept], atol=1e-6)
    np.testing.assert_allclose(found.boxes, np.array([face[1] for face in kept]).reshape(-1, 4), atol=1e-4)
    np.testing.assert_allclose(found.landmarks, np.array([face[2] for face in kept]).reshape(-1, 5, 2), atol=1e-4)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union


def test_at_most_so_many_faces_best_first() -> None:
    heatmap, scale, offset, landmarks = maps(3, 24, 16)
    every = centerface(heatmap, scale, offset, landmarks, min_score=0.2, iou_threshold=0.3, max_faces=1000)
    some = centerface(heatmap, scale, offset, landmarks, min_score=0.2, iou_threshold=0.3, max_faces=3)
    assert len(every.scores) > 3
    assert (np.diff(every.scores) <= 0).all()
    np.testing.assert_array_equal(some.boxes, every.boxes[:3])
    np.testing.assert_array_equal(some.landmarks, every.landmarks[:3])


def test_no_face_gives_empty_arrays() -> None:
    found = centerface(*maps(0, 4, 4), min_score=1.1, iou_threshold=0.3, max_faces=10)
    assert (found.boxes.shape, found.scores.shape, found.landmarks.shape) == ((0, 4), (0,), (0, 5, 2))


# A scale is an exponent, and so may be too large without being infinite.
@pytest.mark.parametrize(
    ("spoiled", "bad"), [*((place, bad) for place in range(4) for bad in (math.nan, math.inf)), (1, 1e9)]
)
def test_numbers_that_are_none_are_refused(spoiled: int, bad: float) -> None:
    made = maps(1, 4, 4)
    row, column = np.unravel_index(made[0].argmax(), made[0].shape)
    made[spoiled][..., row, column] = bad
    with np.errstate(all="ignore"), pytest.raises(NotFiniteError):
        centerface(*made, min_score=0.0, iou_threshold=0.3, max_faces=10)
