"""What a caller can ask about an image, and its messages. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from trivium._embedding_calls import checked_bool, checked_count, checked_number
from trivium._text_input import checked_choice, checked_text
from trivium.embeddings import VectorEncoding
from trivium.models import Capability
from trivium.v1 import embedding_pb2, vision_pb2

FeatureName: TypeAlias = Literal["classify", "detect", "read_text", "faces", "embed"]
"""A feature without anything else to say about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyImage:
    """What the image shows as a whole. None is the default of the server.

    top_k: returns this many of the best labels, 1 to 1000; default 5. min_score: leaves out those below, 0 to 1.
    """

    model: str | None = None
    top_k: int | None = None
    min_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectObjects:
    """Which things are where. None is the default of the server, or of the model, see Model.vision.

    max_objects: returns this many, 1 to 1000; default 100. min_score: leaves out those below, 0 to 1.
    iou_threshold: of two boxes of one label that overlap by more than this, 0 to 1, only the better one is returned.
    """

    model: str | None = None
    max_objects: int | None = None
    min_score: float | None = None
    iou_threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadText:
    """What is written where. min_score: leaves out lines below, 0 to 1; None is the default of the model.

    include_word_boxes: returns the words of each line with their places.
    """

    model: str | None = None
    include_word_boxes: bool = False
    min_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectFaces:
    """Where faces are; it tells nobody apart. min_score: leaves out those below, 0 to 1; None is the model's default.

    include_landmarks: returns the places of eyes, nose and mouth. max_faces: returns this many, 1 to 1000; default 100.
    """

    model: str | None = None
    include_landmarks: bool = False
    min_score: float | None = None
    max_faces: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedImage:
    """A vector, to compare the image with others.

    dimensions: cuts it to its first components, one of Model.embedding.supported_dimensions. normalize: divides it by
    its length, after the cut; default True. encoding: how it is sent; default FLOAT32_BYTES; it is decoded to float32
    all the same.
    """

    model: str | None = None
    dimensions: int | None = None
    normalize: bool | None = None
    encoding: VectorEncoding | str | None = None


Feature: TypeAlias = ClassifyImage | DetectObjects | ReadText | DetectFaces | EmbedImage

BY_NAME: dict[FeatureName, type[Feature]] = {
    "classify": ClassifyImage,
    "detect": DetectObjects,
    "read_text": ReadText,
    "faces": DetectFaces,
    "embed": EmbedImage,
}

CAPABILITIES: dict[type[Feature], Capability] = {
    ClassifyImage: Capability.CLASSIFY_IMAGE,
    DetectObjects: Capability.DETECT_OBJECTS,
    ReadText: Capability.RECOGNIZE_TEXT,
    DetectFaces: Capability.DETECT_FACES,
    EmbedImage: Capability.EMBED_IMAGE,
}
"""What a model must be able to do to answer a feature."""

_KINDS = tuple(BY_NAME.values())


def checked_features(given: object) -> list[Feature]:
    """Returns the features of a call. TypeError or ValueError for what is none, and where there is none."""
    if isinstance(given, (str, *_KINDS)):
        given = [given]
    if not isinstance(given, Iterable):
        raise TypeError(f"features is {type(given).__name__}, not a list of features")
    features = [_checked_feature(entry, place) for place, entry in enumerate(given)]
    if not features:
        raise ValueError("features is empty; give at least one")
    return features


def _checked_feature(given: object, place: int) -> Feature:
    if isinstance(given, _KINDS):
        return given
    if not isinstance(given, str):
        raise TypeError(f"features[{place}] is {type(given).__name__}, not a feature or the name of one")
    for name, kind in BY_NAME.items():
        if given == name:
            return kind()
    raise ValueError(f"features[{place}] is {given!r}, not one of {', '.join(get_args(FeatureName))}")


def feature_message(feature: Feature) -> vision_pb2.VisionFeature:
    """Builds the message of a feature. TypeError or ValueError for what cannot be sent."""
    made = vision_pb2.VisionFeature()
    if feature.model is not None:
        made.model = checked_text(feature.model, "model")
    match feature:
        case ClassifyImage():
            made.classification.SetInParent()
            _fill(made.classification, feature, counts=("top_k",), numbers=("min_score",))
        case DetectObjects():
            made.detection.SetInParent()
            _fill(made.detection, feature, counts=("max_objects",), numbers=("min_score", "iou_threshold"))
        case ReadText():
            made.text_recognition.SetInParent()
            made.text_recognition.include_word_boxes = checked_bool(feature.include_word_boxes, "include_word_boxes")
            _fill(made.text_recognition, feature, numbers=("min_score",))
        case DetectFaces():
            made.faces.SetInParent()
            made.faces.include_landmarks = checked_bool(feature.include_landmarks, "include_landmarks")
            _fill(made.faces, feature, counts=("max_faces",), numbers=("min_score",))
        case EmbedImage():
            made.embedding.CopyFrom(_embedding(feature))
    return made


_Limited: TypeAlias = (
    vision_pb2.ImageClassificationFeature
    | vision_pb2.ObjectDetectionFeature
    | vision_pb2.TextRecognitionFeature
    | vision_pb2.FaceDetectionFeature
)


def _fill(made: _Limited, feature: Feature, *, counts: Iterable[str] = (), numbers: Iterable[str] = ()) -> None:
    for name in counts:
        if (given := getattr(feature, name)) is not None:
            setattr(made, name, checked_count(given, name))
    for name in numbers:
        if (given := getattr(feature, name)) is not None:
            setattr(made, name, checked_number(given, name))


def _embedding(feature: EmbedImage) -> vision_pb2.ImageEmbeddingFeature:
    made = vision_pb2.ImageEmbeddingFeature(encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32_BYTES)
    if feature.dimensions is not None:
        made.dimensions = checked_count(feature.dimensions, "dimensions")
    if feature.normalize is not None:
        made.normalize = checked_bool(feature.normalize, "normalize")
    if feature.encoding is not None:
        encoding = checked_choice(VectorEncoding, feature.encoding, "encoding", suffix="_BYTES")
        made.encoding = embedding_pb2.VectorEncoding.Value(f"VECTOR_ENCODING_{encoding}")
    return made
