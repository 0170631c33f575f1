"""The heads of detectors: which outputs of a graph mean what, found out once by a trial run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.image.base import Outputs
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.vision.boxes import Candidates
from trivium_server.vision.detection_heads import detr_candidates, final_candidates, gfl_candidates, yolo_candidates

Floats: TypeAlias = NDArray[np.float32]

_BOX = 4
# left, top, right, bottom, score, class
_FINAL = 6
_DETR_OUTPUTS = ("logits", "pred_boxes")


class Head(Protocol):
    """Reads the outputs of one kind of detector. gives_each_once: there is nothing to suppress."""

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def gives_each_once(self) -> bool: ...

    def candidates(self, outputs: Outputs, *, input_size: tuple[int, int], min_score: float) -> Candidates:
        """Returns candidates in pixels of the input. input_size: height and width. Raises NotFiniteError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GflHead:
    """NanoDet's and PicoDet's: for each stride an output of scores and one of distances."""

    scores: tuple[str, ...]
    distances: tuple[str, ...]
    strides: tuple[int, ...]
    gives_each_once = False

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.scores + self.distances

    def candidates(self, outputs: Outputs, *, input_size: tuple[int, int], min_score: float) -> Candidates:
        return gfl_candidates(
            [outputs[name][0] for name in self.scores],
            [outputs[name][0] for name in self.distances],
            self.strides,
            input_size=input_size,
            min_score=min_score,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloHead:
    """One output of boxes and scores. is_transposed: anchors are the last axis."""

    output: str
    is_transposed: bool
    has_objectness: bool
    gives_each_once = False

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def candidates(
        self,
        outputs: Outputs,
        *,
        input_size: tuple[int, int],  # noqa: ARG002  boxes are in pixels already
        min_score: float,
    ) -> Candidates:
        array = outputs[self.output][0]
        rows = array.T if self.is_transposed else array
        return yolo_candidates(rows, has_objectness=self.has_objectness, min_score=min_score)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalHead:
    """One output of finished boxes, as YOLOv10 has it."""

    output: str
    gives_each_once = True

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def candidates(
        self,
        outputs: Outputs,
        *,
        input_size: tuple[int, int],  # noqa: ARG002  as above
        min_score: float,
    ) -> Candidates:
        return final_candidates(outputs[self.output][0], min_score=min_score)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetrHead:
    """DETR's and its kin's: an output of logits and one of boxes, with a row for each query."""

    has_no_object: bool
    gives_each_once = True
    outputs = _DETR_OUTPUTS

    def candidates(self, outputs: Outputs, *, input_size: tuple[int, int], min_score: float) -> Candidates:
        return detr_candidates(
            *(outputs[name][0] for name in self.outputs),
            has_no_object=self.has_no_object,
            input_size=input_size,
            min_score=min_score,
        )


def find_gfl_head(
    trial: Outputs, *, num_labels: int, strides: Sequence[int], reg_max: int, input_size: tuple[int, int], file: str
) -> GflHead:
    """Tells the outputs apart by their shapes, whatever their names and order. Raises ModelFolderError."""
    height, width = input_size
    scores, distances = [], []
    for stride in sorted(strides):
        cells = -(-height // stride) * -(-width // stride)
        scores.append(_named(trial, (1, cells, num_labels), f"the scores at stride {stride}", file))
        distances.append(_named(trial, (1, cells, _BOX * (reg_max + 1)), f"the boxes at stride {stride}", file))
    return GflHead(scores=tuple(scores), distances=tuple(distances), strides=tuple(sorted(strides)))


def find_yolo_head(trial: Outputs, *, num_labels: int, is_final: bool, file: str) -> YoloHead | FinalHead:
    """Finds the layout of the only output. is_final: its boxes are finished. Raises ModelFolderError."""
    found = [(name, array.shape) for name, array in trial.items() if array.ndim == len("bnc") and len(array) == 1]
    if len(found) != 1:
        raise ModelFolderError(f"{file}: must have one output of boxes, of three axes; it has {_shapes(trial)}")
    ((name, (_, rows, columns)),) = found
    if is_final:
        if columns != _FINAL:
            raise ModelFolderError(f"{file}: output {name} must have {_FINAL} numbers for each box; it has {columns}")
        return FinalHead(output=name)
    for has_objectness in (False, True):
        wanted = _BOX + has_objectness + num_labels
        # There are more anchors than classes, should both axes fit.
        if wanted in {rows, columns}:
            is_transposed = rows == wanted and (columns != wanted or columns > rows)
            return YoloHead(output=name, is_transposed=is_transposed, has_objectness=has_objectness)
    raise ModelFolderError(
        f"{file}: id2label has {num_labels} labels, so output {name} must have {_BOX + num_labels} or "
        f"{_BOX + 1 + num_labels} numbers for each box; it has {rows} by {columns}"
    )


def find_detr_head(trial: Outputs, *, num_labels: int, file: str) -> DetrHead:
    """Tells by the number of classes whether one stands for no object. Raises ModelFolderError."""
    logits, boxes = trial[_DETR_OUTPUTS[0]].shape, trial[_DETR_OUTPUTS[1]].shape
    fits = len(logits) == len("bqc") and logits[0] == 1 and boxes == (*logits[:2], _BOX)
    if not fits or logits[2] not in {num_labels, num_labels + 1}:
        raise ModelFolderError(
            f"{file}: id2label has {num_labels} labels, so the outputs must be logits (1, n, {num_labels}), or "
            f"{num_labels + 1} with one for no object, and pred_boxes (1, n, {_BOX}); they are {logits} and {boxes}"
        )
    return DetrHead(has_no_object=logits[2] > num_labels)


def is_detr(trial: Outputs) -> bool:
    """Says whether the outputs are those of DETR or its kin."""
    return all(name in trial for name in _DETR_OUTPUTS)


def _named(trial: Outputs, shape: tuple[int, ...], what: str, file: str) -> str:
    found = [name for name, array in trial.items() if array.shape == shape]
    if len(found) != 1:
        raise ModelFolderError(
            f"{file}: must have one output of the shape {shape}, {what}; it has {len(found)}, of {_shapes(trial)}"
        )
    return found[0]


def _shapes(trial: Outputs) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in trial.items()) or "none"
