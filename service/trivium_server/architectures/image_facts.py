"""What is known of a loaded model that looks at images without asking it again."""

from dataclasses import dataclass

from trivium_server.architectures.capabilities import Capability
from trivium_server.architectures.text_capabilities import EmbeddingInfo
from trivium_server.architectures.vision_capabilities import (
    FaceDetector,
    ImageClassifier,
    ImageEmbedder,
    ObjectDetector,
    TextReader,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What a model can do with images, and with what.

    max_image_pixels: of the server's decoder. default_iou_threshold: 0 for a model that does not use it.
    """

    capabilities: frozenset[Capability]
    max_image_pixels: int
    labels: tuple[str, ...] = ()
    embedding: EmbeddingInfo | None = None
    default_min_score: float = 0.0
    default_iou_threshold: float = 0.0
    landmark_names: tuple[str, ...] = ()


def image_facts(model: object, max_image_pixels: int) -> ImageFacts | None:
    """Returns what a model tells of itself; None for one that does not look at images."""
    capabilities: set[Capability] = set()
    labels: tuple[str, ...] = ()
    min_score, iou_threshold = 0.0, 0.0
    if isinstance(model, ImageClassifier):
        capabilities.add(Capability.CLASSIFY_IMAGE)
        labels = model.image_labels
    if isinstance(model, ImageEmbedder):
        capabilities.add(Capability.EMBED_IMAGE)
    if isinstance(model, ObjectDetector):
        capabilities.add(Capability.DETECT_OBJECTS)
        labels = model.object_labels
        min_score, iou_threshold = model.default_min_score, model.default_iou_threshold or 0.0
    if isinstance(model, FaceDetector):
        capabilities.add(Capability.DETECT_FACES)
        min_score = model.default_min_face_score
    if isinstance(model, TextReader):
        capabilities.add(Capability.RECOGNIZE_TEXT)
        min_score = model.default_min_line_score
    if not capabilities:
        return None
    return ImageFacts(
        capabilities=frozenset(capabilities),
        max_image_pixels=max_image_pixels,
        labels=labels,
        embedding=model.image_embedding_info if isinstance(model, ImageEmbedder) else None,
        default_min_score=min_score,
        default_iou_threshold=iou_threshold,
        landmark_names=model.landmark_names if isinstance(model, FaceDetector) else (),
    )
