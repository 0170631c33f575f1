"""Reads what CenterFace puts out: faces with five points each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import finite
from trivium_server.vision.boxes import Floats, suppressed

STRIDE = 4
"""Pixels of the input for each cell of the outputs, both ways."""

LANDMARKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Faces, best first, in pixels of the input: boxes (n, 4), scores (n,), landmarks (n, 5, 2) as x and y."""

    boxes: Floats
    scores: Floats
    landmarks: Floats


def centerface(
    heatmap: Floats,
    scale: Floats,
    offset: Floats,
    landmarks: Floats,
    *,
    min_score: float,
    iou_threshold: float,
    max_faces: int,
) -> Faces:
    """Decodes the outputs for one image, without faces that overlap a better one by more. Raises NotFiniteError.

    heatmap: (rows, columns), how likely a face has its centre there. scale: (2, rows, columns), the logarithm of height
    and width in strides. offset: (2, rows, columns), where in the cell the centre is, y and x, from its middle, in
    strides. landmarks: (10, rows, columns), y and x in turn, as fractions of the box. Source: Xu et al. 2019,
    CenterFace; Star-Clouds/CenterFace, `centerface.py`.
    """
    rows, columns = np.nonzero(finite(heatmap) >= min_score)
    scores = heatmap[rows, columns]
    height, width = np.exp(finite(scale[:, rows, columns])) * STRIDE
    shift_y, shift_x = offset[:, rows, columns]
    center_x, center_y = (columns + shift_x + 0.5) * STRIDE, (rows + shift_y + 0.5) * STRIDE
    left, top = center_x - width / 2, center_y - height / 2
    boxes = finite(np.stack([left, top, left + width, top + height], axis=1).astype(np.float32))
    one_class = np.zeros(len(scores), np.intp)
    kept = suppressed(boxes, scores, one_class, iou_threshold=iou_threshold, max_kept=max_faces)
    return Faces(
        boxes=boxes[kept], scores=scores[kept], landmarks=_points(landmarks[:, rows[kept], columns[kept]], boxes[kept])
    )


def _points(fractions: Floats, boxes: Floats) -> Floats:
    """Returns landmarks (n, 5, 2) in pixels; fractions: (10, n)."""
    y_x: NDArray[np.float32] = finite(fractions).T.reshape(-1, LANDMARKS, 2)
    sizes = boxes[:, None, 2:] - boxes[:, None, :2]
    result: Floats = boxes[:, None, :2] + y_x[..., ::-1] * sizes
    return result
