"""What comes of a feature of an image: labels, things, text, faces, a vector; and where they are."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from trivium._pictures import require_pillow
from trivium.analysis import LabelScore
from trivium.call_info import CallInfo, ServedModel
from trivium.embeddings import ScoreScale
from trivium.v1 import vision_pb2

if TYPE_CHECKING:  # neither is needed by who does not draw or embed
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What an image is, after it was decoded.

    width, height: in pixels, of the upright image, which is the one that places refer to. orientation_applied: the file
    stated another orientation. mime_type: what the file is by its content; arrays and PIL images are sent as PNG.
    """

    width: int
    height: int
    orientation_applied: bool
    mime_type: str
    raw: vision_pb2.ImageInfo = field(repr=False, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


ImageSize: TypeAlias = ImageInfo | tuple[int, int]
"""An image, or its width and height in pixels."""


def _size(given: ImageSize) -> tuple[int, int]:
    return given.size if isinstance(given, ImageInfo) else given


@dataclass(frozen=True, slots=True)
class ImagePoint:
    """A place, as fractions of width and height, from the top left corner."""

    x: float
    y: float

    def pixels(self, image: ImageSize) -> tuple[float, float]:
        """Returns x and y in pixels of the image, or of one of that width and height."""
        width, height = _size(image)
        return self.x * width, self.y * height


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundingBox:
    """A rectangle, as fractions of width and height, from the top left corner; left <= right and top <= bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, image: ImageSize) -> tuple[int, int, int, int]:
        """Returns left, top, right and bottom in pixels of the image, or of one of that width and height.

        To the nearest pixel, as Image.crop() of PIL and array[top:bottom, left:right] take them.
        """
        width, height = _size(image)
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outcome:
    """What all outcomes of a feature have.

    image: what the image is. model: the model that answered. info: what the call did, with its other features where it
    had several; None for a frame of a stream. sent: the image as it was sent, an encoded file; empty for a frame of a
    stream that was not kept.
    """

    image: ImageInfo
    model: ServedModel
    info: CallInfo | None
    sent: bytes = field(repr=False)


class _Drawn(_Outcome):
    """An outcome that can be shown in the image."""

    __slots__ = ()

    def draw(self) -> "Image":
        """Returns a new picture: the upright image with what was found. See ImageAnalysis.draw."""
        require_pillow()
        from trivium._drawing import draw

        return draw(self.sent, [self])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageLabels(_Drawn):
    """Labels of the whole image, best first."""

    labels: tuple[LabelScore, ...]
    score_scale: ScoreScale
    raw: vision_pb2.ImageLabels = field(repr=False)

    @property
    def best(self) -> LabelScore | None:
        """The label that fits best, None where no label reaches min_score."""
        return self.labels[0] if self.labels else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedObject:
    """A thing: what it is, how likely, 0 to 1, where, and the place of the label in Model.labels."""

    label: str
    score: float
    box: BoundingBox
    class_index: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectedObjects(_Drawn):
    """Things in an image, best first."""

    objects: tuple[DetectedObject, ...]
    raw: vision_pb2.DetectedObjects = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceLandmark:
    """A point of a face: `left_eye`, `right_eye`, `nose`, `mouth_left` or `mouth_right`, as the viewer sees it."""

    name: str
    point: ImagePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedFace:
    """A face: where, how likely, 0 to 1, and its landmarks where they were asked for."""

    box: BoundingBox
    score: float
    landmarks: tuple[FaceLandmark, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectedFaces(_Drawn):
    """Faces in an image, best first."""

    faces: tuple[DetectedFace, ...]
    raw: vision_pb2.DetectedFaces = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWord:
    """A word, the mean probability of its characters, and its corners as in TextLine, to about half a character."""

    text: str
    score: float
    polygon: tuple[ImagePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """A line of text.

    score: the mean probability of its characters, 0 to 1. polygon: its four corners, clockwise as the text is read,
    from the top left one. words: where they were asked for. block_index: which block of the page it is in, from 0.
    """

    text: str
    score: float
    polygon: tuple[ImagePoint, ...]
    words: tuple[TextWord, ...]
    block_index: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecognizedText(_Drawn):
    """What is written in an image: its lines in reading order, and their text with an empty row between blocks."""

    text: str
    lines: tuple[TextLine, ...]
    raw: vision_pb2.RecognizedText = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageEmbedding(_Outcome):
    """The vector of an image: float32, shape (dimensions,), not writable."""

    vector: "NDArray[np.float32]"
    raw: vision_pb2.ImageEmbedding = field(repr=False)


Outcome: TypeAlias = ImageLabels | DetectedObjects | RecognizedText | DetectedFaces | ImageEmbedding
"""What comes of a feature that did not fail."""
