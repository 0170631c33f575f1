"""Reads what detectors put out: each head's own arrays in, candidates in pixels of the graph's input out.

Every function leaves out candidates with a score under min_score before it works out their boxes, as there may be
thousands and few that count. All raise NotFiniteError where a score, or a box that counts, is no number.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import finite, sigmoid, softmax
from trivium_server.vision.boxes import Candidates, Floats


def grid_centers(height: int, width: int, stride: int) -> Floats:
    """Returns the centre (x, y) of each cell of a grid over an input, row by row, shape (cells, 2), in pixels.

    Cells that the input cuts are there, with the centre of a whole one.
    """
    rows, columns = -(-height // stride), -(-width // stride)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    result: Floats = (np.stack([x, y], axis=-1).reshape(-1, 2) + np.float32(0.5)) * np.float32(stride)
    return result


def gfl_candidates(
    scores: Sequence[Floats],
    distances: Sequence[Floats],
    strides: Sequence[int],
    *,
    input_size: tuple[int, int],
    min_score: float,
) -> Candidates:
    """Reads NanoDet and PicoDet, which have for each cell a distribution of the distance to each side of the box.

    scores, distances: for each stride (cells, classes), probabilities, and (cells, 4 * bins), logits: left, top, right,
    bottom. input_size: height and width. The distance is the mean of the distribution over 0, 1, …, bins - 1 strides.
    Source: Li et al. 2020, Generalized Focal Loss; RangiLyu/nanodet, `nanodet_plus_head.py`.
    """
    found = []
    for level_scores, level_distances, stride in zip(scores, distances, strides, strict=True):
        places, classes, best = _best_classes(level_scores, min_score)
        num_bins = level_distances.shape[1] // 4
        logits = level_distances[places].reshape(-1, 4, num_bins)
        sides = softmax(logits) @ np.arange(num_bins, dtype=np.float32) * np.float32(stride)
        centers = grid_centers(*input_size, stride)[places]
        boxes = np.concatenate([centers - sides[:, :2], centers + sides[:, 2:]], axis=1)
        found.append(Candidates(boxes=boxes, scores=best, classes=classes))
    return _joined(found)


def yolo_candidates(rows: Floats, *, has_objectness: bool, min_score: float) -> Candidates:
    """Reads a YOLO head, shape (anchors, 4 + has_objectness + classes): centre x and y, width, height, scores.

    Scores are probabilities. With objectness (YOLOv5), a class' score is multiplied by it; YOLOv8 and later have none.
    """
    first = 4 + has_objectness
    scores = rows[:, first:]
    if has_objectness:
        # No class' score is above the objectness, so few rows need the product.
        likely = np.flatnonzero(~(rows[:, 4] < min_score))
        rows = rows[likely]
        scores = rows[:, first:] * rows[:, 4:5]
    places, classes, best = _best_classes(scores, min_score)
    return Candidates(boxes=_corners(finite(rows[places, :4])), scores=best, classes=classes)


def final_candidates(rows: Floats, *, min_score: float) -> Candidates:
    """Reads a head that leaves nothing to do (YOLOv10), shape (n, 6): left, top, right, bottom, score, class."""
    kept = rows[finite(rows[:, 4]) >= min_score]
    return Candidates(
        boxes=np.ascontiguousarray(finite(kept[:, :4])),
        scores=kept[:, 4].copy(),
        classes=finite(kept[:, 5]).astype(np.intp),
    )


def detr_candidates(
    logits: Floats, boxes: Floats, *, has_no_object: bool, input_size: tuple[int, int], min_score: float
) -> Candidates:
    """Reads DETR and its kin: logits (queries, classes), boxes (queries, 4), centre and size as fractions of the input.

    has_no_object: the last class stands for nothing, and classes exclude each other (DETR, YOLOS), so that a query has
    one at most. Otherwise a query may be things of several classes, each with a sigmoid of its own (RT-DETR,
    Conditional and Deformable DETR). Then as many candidates are returned as there are queries at most, best first.
    Source: transformers, `post_process_object_detection` of each.
    """
    height, width = input_size
    if has_no_object:
        queries, classes, best = _best_classes(softmax(logits)[:, :-1], min_score)
    else:
        scores = sigmoid(logits).reshape(-1)
        flat = np.flatnonzero(scores >= min_score)
        flat = flat[np.argsort(-scores[flat], kind="stable")[: len(logits)]]
        queries, classes = np.divmod(flat, logits.shape[1])
        best = scores[flat]
    scale = np.array([width, height, width, height], np.float32)
    return Candidates(boxes=_corners(finite(boxes[queries])) * scale, scores=best, classes=classes)


def _best_classes(scores: Floats, min_score: float) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Returns the rows whose best class has at least min_score, that class, and its score."""
    best = finite(scores.max(axis=1))
    rows = np.flatnonzero(best >= min_score)
    return rows, scores[rows].argmax(axis=1), best[rows].astype(np.float32, copy=False)


def _corners(boxes: Floats) -> Floats:
    """Turns centre and size into corners."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        boxes=np.concatenate([part.boxes for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
    )
