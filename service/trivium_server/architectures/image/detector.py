"""Models that find things and say what they are."""

from collections.abc import Sequence

import numpy as np

from trivium_server.architectures.folder_files import Table, read_labels
from trivium_server.architectures.image.base import ImageModel, ImageParts, Outputs
from trivium_server.architectures.image.graph import ImageGraph
from trivium_server.architectures.image.heads import Head, find_detr_head, find_gfl_head, find_yolo_head, is_detr
from trivium_server.architectures.image.preprocessor import Prepared, Preprocessor, fill_of, is_bgr
from trivium_server.architectures.vision_capabilities import Box, FoundObject, Image, VisionMeter
from trivium_server.runtime.session import SessionError
from trivium_server.vision.fitting import Letterbox
from trivium_server.vision.resizing import Resample

GFL_TYPES = ("nanodet", "picodet")
# These leave nothing to suppress.
_FINAL_TYPES = ("yolov10",)
_YOLO_SIDE = 640
_MIN_SCORES = {"nanodet": 0.4, "picodet": 0.4, "yolo": 0.25, "detr": 0.5}
_IOU_THRESHOLDS = {"nanodet": 0.6, "picodet": 0.5, "yolo": 0.7}
_MAX_STRIDE = 1024


class Detector(ImageModel):
    """Implements vision_capabilities.ObjectDetector."""

    def __init__(
        self,
        parts: ImageParts,
        head: Head,
        labels: tuple[str, ...],
        *,
        min_score: float,
        iou_threshold: float | None,
    ) -> None:
        super().__init__(parts, head.outputs)
        self.object_labels = labels
        self.default_min_score = min_score
        self.default_iou_threshold = iou_threshold
        self._head = head

    async def detect_objects(
        self,
        image: Image,
        *,
        max_objects: int,
        min_score: float,
        iou_threshold: float,
        deadline_s: float,
        meter: VisionMeter,
    ) -> Sequence[FoundObject]:
        def read(outputs: Outputs, prepared: Prepared) -> list[FoundObject]:
            height, width = prepared.pixels.shape[2:]
            found = self._head.candidates(outputs, input_size=(height, width), min_score=min_score)
            if self._head.gives_each_once:
                found = found.best(max_objects)
            else:
                found = found.without_repeats(iou_threshold=iou_threshold, max_kept=max_objects)
            # A head of finished boxes names classes itself.
            if not np.isin(found.classes, np.arange(len(self.object_labels))).all():
                raise SessionError(f"it finds a class that is not among the {len(self.object_labels)} of id2label")
            boxes = prepared.placement.fractions(found.boxes)
            return [
                FoundObject(class_index=int(index), score=float(score), box=Box(*map(float, box)))
                for index, score, box in zip(found.classes, found.scores, boxes, strict=True)
                # One in the margin around the picture is none.
                if box[0] < box[2] and box[1] < box[3]
            ]

        return await self._look(image, self._head.outputs, read, deadline_s=deadline_s, meter=meter)


def is_detector(config: Table) -> bool:
    """Says whether config.json is that of a detector."""
    model_type = config.text("model_type", "")
    is_stated = any(name.endswith("ForObjectDetection") for name in config.texts("architectures"))
    return is_stated or model_type in GFL_TYPES or is_yolo(model_type)


def is_yolo(model_type: str) -> bool:
    """Says whether a model is a YOLO; YOLOS is a DETR."""
    return model_type.startswith("yolo") and model_type != "yolos"


def yolo_preprocessor(ours: Table, graph: ImageGraph) -> Preprocessor:
    """Says how images are made for a YOLO whose folder does not. Raises ModelFolderError."""
    width, height = graph.size
    fit = Letterbox(width or _YOLO_SIDE, height or _YOLO_SIDE)
    return Preprocessor(
        fit=fit,
        resample=Resample.BILINEAR,
        scale=(1 / 255, 1 / 255, 1 / 255),
        offset=(0.0, 0.0, 0.0),
        is_bgr=is_bgr(ours),
        fill=fill_of(ours, fit),
    )


def make_detector(parts: ImageParts, config: Table, ours: Table, trial: Outputs, size: tuple[int, int]) -> Detector:
    """Makes a detector of the kind that config.json and the outputs say.

    ours: `trivium` of config.json. trial: what the outputs are like for an input of size, width and height. Raises
    ModelFolderError.
    """
    model_type, file = config.text("model_type", ""), parts.graph.file
    labels = read_labels(config)
    head: Head
    if is_detr(trial):
        kind, head = "detr", find_detr_head(trial, num_labels=len(labels), file=file)
    elif model_type in GFL_TYPES:
        kind, head = model_type, _gfl_head(model_type, ours, trial, size, num_labels=len(labels), file=file)
    else:
        is_final = model_type in _FINAL_TYPES
        kind, head = "yolo", find_yolo_head(trial, num_labels=len(labels), is_final=is_final, file=file)
    min_score = ours.share("score_threshold", _MIN_SCORES[kind])
    threshold = None if head.gives_each_once else ours.share("iou_threshold", _IOU_THRESHOLDS[kind])
    return Detector(parts, head, labels, min_score=min_score, iou_threshold=threshold)


def _gfl_head(
    model_type: str, ours: Table, trial: Outputs, size: tuple[int, int], *, num_labels: int, file: str
) -> Head:
    strides, reg_max = ours.integers("strides", low=1, high=_MAX_STRIDE), ours.integer("reg_max", low=1, high=64)
    if not strides or reg_max is None:
        raise ours.error("strides" if not strides else "reg_max", f"is missing, which {model_type} needs")
    width, height = size
    return find_gfl_head(
        trial, num_labels=num_labels, strides=strides, reg_max=reg_max, input_size=(height, width), file=file
    )
