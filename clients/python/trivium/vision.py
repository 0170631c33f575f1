"""What to ask about images, and what VisionService answers with. All immutable; `raw` is the Protobuf message.

    from trivium import vision

    analysis = client.vision.analyze("photo.jpg", ["classify", vision.DetectObjects(min_score=0.5)])
    analysis.classification.best, analysis.detection.objects
    analysis.draw().save("drawn.png")

Places are fractions of the upright image, from its top left corner; `pixels()` of each gives pixels. Every result
keeps the image as it was sent, as `sent`, so that `draw()` can show where things are; where memory matters, keep what
you need of a result, and not the result.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from trivium._error_base import TriviumError
from trivium._failed_items import raise_for_failed
from trivium._image_input import ImageInput, jpeg
from trivium._pictures import require_pillow
from trivium._vision_features import (
    ClassifyImage,
    DetectFaces,
    DetectObjects,
    EmbedImage,
    Feature,
    FeatureName,
    ReadText,
)
from trivium._vision_outcomes import (
    BoundingBox,
    DetectedFace,
    DetectedFaces,
    DetectedObject,
    DetectedObjects,
    FaceLandmark,
    ImageEmbedding,
    ImageInfo,
    ImageLabels,
    ImagePoint,
    Outcome,
    RecognizedText,
    TextLine,
    TextWord,
)
from trivium.analysis import LabelScore
from trivium.call_info import CallInfo, ServedModel
from trivium.v1 import vision_pb2

if TYPE_CHECKING:  # only who draws needs it
    from PIL.Image import Image

__all__ = [
    "BoundingBox",
    "ClassifyImage",
    "DetectFaces",
    "DetectObjects",
    "DetectedFace",
    "DetectedFaces",
    "DetectedObject",
    "DetectedObjects",
    "EmbedImage",
    "FaceLandmark",
    "Feature",
    "FeatureName",
    "FrameAnalysis",
    "FramePolicy",
    "ImageAnalysis",
    "ImageEmbedding",
    "ImageInfo",
    "ImageInput",
    "ImageLabels",
    "ImagePoint",
    "LabelScore",
    "Outcome",
    "ReadText",
    "RecognizedText",
    "TextLine",
    "TextWord",
    "VideoFrame",
    "VisionResult",
    "jpeg",
]


class FramePolicy(StrEnum):
    """What a stream does with frames that come faster than they are analysed.

    EVERY_FRAME analyses all, and holds the caller back. LATEST_ONLY analyses the newest one and drops older ones that
    still wait, so that results are never late by more than about one analysis.
    """

    EVERY_FRAME = "EVERY_FRAME"
    LATEST_ONLY = "LATEST_ONLY"


_OutcomeT = TypeVar("_OutcomeT", bound=Outcome)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VisionResult:
    """What became of one feature: an outcome, or the error it failed with.

    index: its place among those of the call, from 0. feature: what was asked. model: what answered, None where the
    feature failed before a model was found.
    """

    index: int
    feature: Feature
    model: ServedModel | None
    outcome: Outcome | None
    error: TriviumError | None
    raw: vision_pb2.VisionResult = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answered:
    """What became of the features of one image.

    results: one for each feature, in their order. The properties that are named for a feature give its outcome without
    asking for its place: the first one where it was asked for twice. They raise what the feature failed with, and
    LookupError where it was not asked for.
    """

    results: tuple[VisionResult, ...]
    sent: bytes = field(repr=False)

    @property
    def classification(self) -> ImageLabels:
        """What the image shows as a whole."""
        return _first(self.results, ClassifyImage, ImageLabels)

    @property
    def detection(self) -> DetectedObjects:
        """Which things are where."""
        return _first(self.results, DetectObjects, DetectedObjects)

    @property
    def text_recognition(self) -> RecognizedText:
        """What is written where."""
        return _first(self.results, ReadText, RecognizedText)

    @property
    def faces(self) -> DetectedFaces:
        """Where faces are."""
        return _first(self.results, DetectFaces, DetectedFaces)

    @property
    def embedding(self) -> ImageEmbedding:
        """The vector of the image."""
        return _first(self.results, EmbedImage, ImageEmbedding)

    @property
    def failed(self) -> tuple[VisionResult, ...]:
        """The results that carry an error."""
        return tuple(result for result in self.results if result.error is not None)

    def raise_for_failed(self) -> None:
        """Raises ItemsFailed where a feature failed."""
        raise_for_failed(self.results)

    def draw(self) -> "Image":
        """Returns a new picture, RGB: the upright image with everything that was found.

        Objects, faces and single texts have an outline in the colour of their label, and the label with its score
        beside it. Of a page, lines or words are tinted, and a panel to the right shows what was read, in the same
        places. Labels of the whole image stand in a band below. An image whose sides are all below 640 pixels is
        enlarged, so that labels can be read. Needs Pillow: `pip install trivium[images]`; ModuleNotFoundError without.
        LookupError where a stream did not keep the frame.
        """
        require_pillow()
        from trivium._drawing import draw

        return draw(self.sent, [result.outcome for result in self.results if result.outcome is not None])


def _first(results: Iterable[VisionResult], asked: type[Feature], kind: type[_OutcomeT]) -> _OutcomeT:
    for result in results:
        if isinstance(result.feature, asked):
            if result.error is not None:
                raise result.error
            assert isinstance(result.outcome, kind), "a result has an outcome of its feature or an error"
            return result.outcome
    raise LookupError(f"{asked.__name__} is not among the features of this call")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageAnalysis(_Answered):
    """What became of the features of one image. `results` has one for each, in their order; failures are in there."""

    image: ImageInfo
    info: CallInfo
    raw: vision_pb2.AnalyzeImageResponse = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrame:
    """An image of a stream, with what its result repeats.

    frame_number: must be greater than that of the frame before; None is the next one, and 0 for the first.
    media_time_s: when it was taken, in seconds on a clock of your own.
    """

    image: ImageInput
    frame_number: int | None = None
    media_time_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameAnalysis(_Answered):
    """What became of one frame of a stream.

    frame_number, media_time_s: as VideoFrame had them. dropped_before: how many frames were dropped since the result
    before. image: None where the frame failed as a whole: `error` says why, and there are no results.
    """

    frame_number: int
    media_time_s: float | None
    dropped_before: int
    image: ImageInfo | None
    error: TriviumError | None
    raw: vision_pb2.FrameResult = field(repr=False)


# Tracebacks and documentation show the place where callers import them from.
for _name in __all__:
    if isinstance(_value := globals()[_name], type) and _value.__module__.startswith("trivium._"):
        _value.__module__ = __name__
