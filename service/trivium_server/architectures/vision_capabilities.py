"""What models that look at images can do, as rpc/ sees it: one Protocol per capability, with its result types.

Like `text_capabilities`. An image is decoded once, by `ImageDecoder`, and given to any number of models. Boxes and
points are fractions of the upright image, from its top left corner. No protobuf, no onnxruntime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.text_capabilities import EmbeddingInfo, ScoreScale


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A decoded image, upright.

    pixels: RGB, shape (height, width, 3), uint8, C-contiguous, read-only: models share it. It may be smaller than the
    file's own size, where no feature needs more; width and height are the file's own, upright. mime_type: what it is by
    its content.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    orientation_applied: bool
    mime_type: str


@dataclass(frozen=True, slots=True)
class Point:
    """A place in an image."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, left <= right and top <= bottom."""

    left: float
    top: float
    right: float
    bottom: float


# Clockwise as the text is read, from its top left corner.
Quad = tuple[Point, Point, Point, Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """A thing, its label by its place in `labels`, and how likely it is one."""

    class_index: int
    score: float
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFace:
    """A face. landmarks: one for each of `landmark_names`; empty unless asked for."""

    score: float
    box: Box
    landmarks: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundWord:
    """A word of a line."""

    text: str
    score: float
    quad: Quad


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLine:
    """A line of text. block: which block of the page it belongs to, from 0 in reading order."""

    text: str
    score: float
    quad: Quad
    block: int
    words: tuple[FoundWord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundText:
    """What is written in an image: lines in reading order, and what was not read.

    num_left_out: lines that were found but not read, as there are more than one image may have. is_too_fine: the image
    has detail that could be text, too fine for how closely it was looked at.
    """

    lines: Sequence[FoundLine]
    num_left_out: int = 0
    is_too_fine: bool = False


@dataclass(slots=True)
class VisionMeter:
    """What a feature has used so far, filled in by the model as it goes. For the event loop alone. In seconds.

    queue_s: until its first run began. inference_s: from then to the end of its last. compute_s: its share of the
    runners' time.
    """

    preprocess_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0
    compute_s: float = 0.0


class VisionModel(Protocol):
    """What all models that look at images have. Methods may be called concurrently from the event loop.

    All calls raise QueueFull, QueueTimeout, DeadlineExceeded and CallAborted; deadline_s is absolute, on the clock of
    time.monotonic(). Cancelling a call drops what still waits of it.
    """

    @property
    def execution_provider(self) -> str: ...

    @property
    def enough_side(self) -> int | None:
        """How long the shorter side of an image must be for it to be seen as well as in full; None for in full."""
        ...


@runtime_checkable
class ImageClassifier(VisionModel, Protocol):
    """Says what an image shows as a whole."""

    @property
    def image_labels(self) -> tuple[str, ...]: ...

    @property
    def image_label_scale(self) -> ScoreScale: ...

    async def classify_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> NDArray[np.float32]:
        """Returns the score of each label, shape (labels,)."""
        ...


@runtime_checkable
class ImageEmbedder(VisionModel, Protocol):
    """Turns an image into a vector."""

    @property
    def image_embedding_info(self) -> EmbeddingInfo: ...

    async def embed_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> NDArray[np.float32]:
        """Returns the vector as the model gives it, neither cut nor normalized, shape (dimensions,)."""
        ...


@runtime_checkable
class ObjectDetector(VisionModel, Protocol):
    """Finds things and says what they are."""

    @property
    def object_labels(self) -> tuple[str, ...]: ...

    @property
    def default_min_score(self) -> float: ...

    @property
    def default_iou_threshold(self) -> float | None:
        """None for a model that gives each thing once by itself."""
        ...

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
        """Returns at most max_objects things with at least min_score, best first."""
        ...


@runtime_checkable
class FaceDetector(VisionModel, Protocol):
    """Finds faces."""

    @property
    def landmark_names(self) -> tuple[str, ...]: ...

    @property
    def default_min_face_score(self) -> float: ...

    async def detect_faces(
        self, image: Image, *, max_faces: int, min_score: float, deadline_s: float, meter: VisionMeter
    ) -> Sequence[FoundFace]:
        """Returns at most max_faces faces with at least min_score, best first, with their landmarks."""
        ...


@runtime_checkable
class TextReader(VisionModel, Protocol):
    """Reads what is written in an image."""

    @property
    def default_min_line_score(self) -> float: ...

    async def read_text(
        self, image: Image, *, min_score: float, with_words: bool, deadline_s: float, meter: VisionMeter
    ) -> FoundText:
        """Returns the lines with at least min_score; their words where with_words."""
        ...
