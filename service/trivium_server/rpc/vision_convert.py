"""Features of an image into frozen requests. Every field is checked, and all that is wrong with one told together.

Each function takes the model, or None where none is named: then only what holds for every model is checked. Paths are
those inside the feature. `unused` names fields that the model does not honour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium_server.architectures.vision_capabilities import (
    FaceDetector,
    ImageClassifier,
    ImageEmbedder,
    ObjectDetector,
    TextReader,
)
from trivium_server.errors import TriviumError
from trivium_server.rpc.embedding_convert import ENCODINGS, check_dimensions
from trivium_server.rpc.vectors import Encoding
from trivium_server.rpc.violations import Violations

_DEFAULT_TOP_K = 5
_DEFAULT_MAX_FOUND = 100
_POLICIES: dict[int, bool] = {
    pb.FRAME_POLICY_UNSPECIFIED: False,
    pb.FRAME_POLICY_EVERY_FRAME: False,
    pb.FRAME_POLICY_LATEST_ONLY: True,
}
# Messages with an optional min_score.
_Scored: TypeAlias = (
    pb.ImageClassificationFeature | pb.ObjectDetectionFeature | pb.TextRecognitionFeature | pb.FaceDetectionFeature
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySpec:
    """Which labels to return."""

    top_k: int
    min_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectSpec:
    """Which objects to return."""

    max_objects: int
    min_score: float
    iou_threshold: float
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpec:
    """Which text to return."""

    min_score: float
    with_words: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FacesSpec:
    """Which faces to return, and with what."""

    max_faces: int
    min_score: float
    with_landmarks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedImageSpec:
    """What to make of the vector. dimensions: None for all."""

    dimensions: int | None
    normalize: bool
    encoding: Encoding


def check_media(owner: pb.AnalyzeImageRequest | pb.VideoFrame, found: Violations) -> None:
    """Checks that a message has an image with content; whether it can be read is the decoder's business."""
    if not owner.HasField("image"):
        found.add("image", "is required")
    elif owner.image.WhichOneof("source") is None:
        found.add("image.content", "is required")
    elif not owner.image.content:
        found.add("image.content", "is empty")


def check_features(features: Sequence[pb.VisionFeature], path: str, found: Violations) -> None:
    """Checks how many features a request has; each is checked by itself."""
    found.count("vision.features", len(features), path, at_least=1)


def is_latest_only(setup: pb.StreamAnalyzeImageSetup, found: Violations) -> bool:
    """Returns whether frames that wait give way to newer ones."""
    return bool(found.choice("setup.frame_policy", setup.frame_policy, _POLICIES, "FramePolicy"))


def frame_error(frame: pb.VideoFrame) -> TriviumError | None:
    """Returns what is wrong with a frame, but for its number; paths are those inside the frame."""
    found = Violations()
    check_media(frame, found)
    if frame.HasField("media_time"):
        found.duration(frame.media_time, "media_time")
    return found.error()


def classify_spec(
    feature: pb.ImageClassificationFeature, _model: ImageClassifier | None, found: Violations
) -> ClassifySpec:
    """Returns how to classify. Raises what `found` holds already and what is found here, all together; so do all."""
    top_k = _at_most(feature.top_k, _DEFAULT_TOP_K, "classification.top_k", found, given=feature.HasField("top_k"))
    min_score = _min_score(feature, 0.0, "classification", found)
    found.raise_if_any()
    return ClassifySpec(top_k=top_k, min_score=min_score)


def detect_spec(feature: pb.ObjectDetectionFeature, model: ObjectDetector | None, found: Violations) -> DetectSpec:
    """Returns how to detect objects."""
    max_objects = _at_most(
        feature.max_objects,
        _DEFAULT_MAX_FOUND,
        "detection.max_objects",
        found,
        given=feature.HasField("max_objects"),
    )
    min_score = _min_score(feature, model.default_min_score if model else 0.0, "detection", found)
    default_iou = model.default_iou_threshold if model else None
    # A model that gives each thing once by itself leaves out none.
    iou_threshold = 1.0 if default_iou is None else default_iou
    unused: tuple[str, ...] = ()
    if feature.HasField("iou_threshold"):
        found.number("vision.share", feature.iou_threshold, "detection.iou_threshold")
        if default_iou is None:
            unused = ("detection.iou_threshold",)
        else:
            iou_threshold = feature.iou_threshold
    found.raise_if_any()
    return DetectSpec(max_objects=max_objects, min_score=min_score, iou_threshold=iou_threshold, unused=unused)


def read_spec(feature: pb.TextRecognitionFeature, model: TextReader | None, found: Violations) -> ReadSpec:
    """Returns how to read text."""
    min_score = _min_score(feature, model.default_min_line_score if model else 0.0, "text_recognition", found)
    found.raise_if_any()
    return ReadSpec(min_score=min_score, with_words=feature.include_word_boxes)


def faces_spec(feature: pb.FaceDetectionFeature, model: FaceDetector | None, found: Violations) -> FacesSpec:
    """Returns how to find faces."""
    max_faces = _at_most(
        feature.max_faces, _DEFAULT_MAX_FOUND, "faces.max_faces", found, given=feature.HasField("max_faces")
    )
    min_score = _min_score(feature, model.default_min_face_score if model else 0.0, "faces", found)
    found.raise_if_any()
    return FacesSpec(max_faces=max_faces, min_score=min_score, with_landmarks=feature.include_landmarks)


def embed_image_spec(
    feature: pb.ImageEmbeddingFeature, model: ImageEmbedder | None, found: Violations
) -> EmbedImageSpec:
    """Returns what to make of the vector."""
    if feature.HasField("dimensions"):
        info = model.image_embedding_info if model else None
        check_dimensions(feature.dimensions, info, found, "embedding.dimensions")
    encoding = found.choice("embedding.encoding", feature.encoding, ENCODINGS, "VectorEncoding")
    found.raise_if_any()
    assert encoding is not None, "an unknown encoding was found"
    return EmbedImageSpec(
        dimensions=feature.dimensions if feature.HasField("dimensions") else None,
        normalize=feature.normalize if feature.HasField("normalize") else True,
        encoding=encoding,
    )


def ignored(path: str) -> common_pb2.Warning:
    """Warns of a field of the request that a model does not honour."""
    return common_pb2.Warning(
        code=common_pb2.WARNING_CODE_PARAMETER_IGNORED,
        message="the model gives each object once by itself, and does not use this",
        field_path=path,
    )


def _at_most(value: int, default: int, path: str, found: Violations, *, given: bool) -> int:
    if not given:
        return default
    found.number("vision.max_results", value, path)
    return value


def _min_score(feature: _Scored, default: float, path: str, found: Violations) -> float:
    if not feature.HasField("min_score"):
        return default
    found.number("vision.share", feature.min_score, f"{path}.min_score")
    return feature.min_score
