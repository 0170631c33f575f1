"""Models that find faces: CenterFace."""

from collections.abc import Sequence

from trivium_server.architectures.folder_files import Table
from trivium_server.architectures.image.base import ImageModel, ImageParts, Outputs
from trivium_server.architectures.image.preprocessor import Prepared, Preprocessor, is_bgr
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.vision_capabilities import Box, FoundFace, Image, Point, VisionMeter
from trivium_server.numerics import finite
from trivium_server.vision.faces import LANDMARKS, STRIDE, centerface
from trivium_server.vision.fitting import Multiple
from trivium_server.vision.resizing import Resample

CENTERFACE = "centerface"

_NAMES = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
# The channels of each output.
_OUTPUTS = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 2 * LANDMARKS}
_MULTIPLE = 32
_MAX_SIDE = 1024
_MIN_SCORE = 0.5
_IOU_THRESHOLD = 0.3


class CenterFace(ImageModel):
    """Implements vision_capabilities.FaceDetector."""

    def __init__(
        self, parts: ImageParts, *, landmark_names: tuple[str, ...], min_score: float, iou_threshold: float
    ) -> None:
        super().__init__(parts, tuple(_OUTPUTS))
        self._iou_threshold = iou_threshold
        self.landmark_names = landmark_names
        self.default_min_face_score = min_score

    async def detect_faces(
        self, image: Image, *, max_faces: int, min_score: float, deadline_s: float, meter: VisionMeter
    ) -> Sequence[FoundFace]:
        def read(outputs: Outputs, prepared: Prepared) -> list[FoundFace]:
            maps = (outputs[name][0] for name in ("scale", "offset", "landmarks"))
            found = centerface(
                outputs["heatmap"][0, 0],
                *maps,
                min_score=min_score,
                iou_threshold=self._iou_threshold,
                max_faces=max_faces,
            )
            boxes = finite(prepared.placement.fractions(found.boxes))
            points = finite(prepared.placement.fractions(found.landmarks))
            return [
                FoundFace(
                    score=float(score),
                    box=Box(*map(float, box)),
                    landmarks=tuple(Point(float(x), float(y)) for x, y in marks),
                )
                for score, box, marks in zip(found.scores, boxes, points, strict=True)
                if box[0] < box[2] and box[1] < box[3]
            ]

        return await self._look(image, self._outputs, read, deadline_s=deadline_s, meter=meter)


def face_preprocessor(ours: Table) -> Preprocessor:
    """Says how images are made for CenterFace: pixels as they are, at their own size up to a bound.

    ours: `trivium` of config.json; `max_side` of it is the bound, `multiple` what sides are rounded up to. Raises
    ModelFolderError.
    """
    multiple = ours.integer("multiple", low=STRIDE, high=_MAX_SIDE) or _MULTIPLE
    max_side = ours.integer("max_side", low=multiple, high=4 * _MAX_SIDE) or _MAX_SIDE
    return Preprocessor(
        fit=Multiple(multiple, max_side),
        resample=Resample.BILINEAR,
        scale=(1.0, 1.0, 1.0),
        offset=(0.0, 0.0, 0.0),
        is_bgr=is_bgr(ours),
    )


def make_face_detector(parts: ImageParts, ours: Table, trial: Outputs, size: tuple[int, int]) -> CenterFace:
    """Makes the model. trial: what the outputs are like for an input of size, width and height.

    Raises ModelFolderError.
    """
    width, height = size
    for name, channels in _OUTPUTS.items():
        wanted = (1, channels, height // STRIDE, width // STRIDE)
        found = trial[name].shape if name in trial else None
        if found != wanted:
            raise ModelFolderError(
                f"{parts.graph.file}: output {name} must have the shape {wanted} for an image of {width}x{height}; "
                + (f"it has {found}" if found else f"there are only {', '.join(sorted(trial))}")
            )
    names = ours.texts("landmark_names") or _NAMES
    if len(names) != LANDMARKS:
        raise ours.error("landmark_names", f"must have {LANDMARKS} names")
    return CenterFace(
        parts,
        landmark_names=names,
        min_score=ours.share("score_threshold", _MIN_SCORE),
        iou_threshold=ours.share("iou_threshold", _IOU_THRESHOLD),
    )
