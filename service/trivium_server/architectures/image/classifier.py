"""Models that say what an image shows as a whole, or make a vector of it, or both."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.folder_files import Table, read_labels
from trivium_server.architectures.image.base import ImageModel, ImageParts, Outputs
from trivium_server.architectures.image.preprocessor import Prepared
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.text_capabilities import EmbeddingInfo, ScoreScale, VectorKind
from trivium_server.architectures.vision_capabilities import Image, VisionMeter
from trivium_server.numerics import finite, sigmoid, softmax

Floats: TypeAlias = NDArray[np.float32]

LOGITS_OUTPUT = "logits"
EMBEDDING_OUTPUTS = ("image_embeds", "pooler_output")


@dataclass(frozen=True, slots=True)
class Logits:
    """What a classifier's logits stand for. is_multi_label: labels do not exclude one another."""

    labels: tuple[str, ...]
    is_multi_label: bool

    def scores(self, outputs: Outputs, _: Prepared) -> Floats:
        """Returns the score of each label, shape (labels,). Raises NotFiniteError."""
        logits = outputs[LOGITS_OUTPUT][0]
        return sigmoid(logits) if self.is_multi_label else softmax(logits)


@dataclass(frozen=True, slots=True)
class Vector:
    """The output that is an image's vector."""

    output: str
    dimensions: int

    @property
    def info(self) -> EmbeddingInfo:
        return EmbeddingInfo(
            dimensions=self.dimensions,
            supported_dimensions=(self.dimensions,),
            kinds=(VectorKind.DENSE,),
            prompts=(),
        )

    def read(self, outputs: Outputs, _: Prepared) -> Floats:
        """Returns the vector, shape (dimensions,), which keeps nothing else alive. Raises NotFiniteError."""
        return finite(outputs[self.output].reshape(-1).copy())


class Classifier(ImageModel):
    """Implements vision_capabilities.ImageClassifier."""

    image_label_scale = ScoreScale.PROBABILITY

    def __init__(self, parts: ImageParts, logits: Logits, *more_outputs: str) -> None:
        super().__init__(parts, (LOGITS_OUTPUT, *more_outputs))
        self.image_labels = logits.labels
        self._logits = logits

    async def classify_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> Floats:
        return await self._look(image, [LOGITS_OUTPUT], self._logits.scores, deadline_s=deadline_s, meter=meter)


class Embedder(ImageModel):
    """Implements vision_capabilities.ImageEmbedder."""

    def __init__(self, parts: ImageParts, vector: Vector) -> None:
        super().__init__(parts, [vector.output])
        self.image_embedding_info = vector.info
        self._vector = vector

    async def embed_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> Floats:
        return await self._look(image, [self._vector.output], self._vector.read, deadline_s=deadline_s, meter=meter)


class EmbeddingClassifier(Classifier):
    """Implements vision_capabilities.ImageClassifier and ImageEmbedder."""

    def __init__(self, parts: ImageParts, logits: Logits, vector: Vector) -> None:
        super().__init__(parts, logits, vector.output)
        self.image_embedding_info = vector.info
        self._vector = vector

    async def embed_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> Floats:
        return await self._look(image, [self._vector.output], self._vector.read, deadline_s=deadline_s, meter=meter)


def make_classifier(parts: ImageParts, config: Table, trial: Outputs) -> Classifier | Embedder | EmbeddingClassifier:
    """Makes what a graph's outputs allow. config: config.json. trial: what they are like. Raises ModelFolderError."""
    file = parts.graph.file
    vector = _vector(trial, file)
    if LOGITS_OUTPUT not in trial:
        if vector is None:
            wanted = " or ".join((LOGITS_OUTPUT, *EMBEDDING_OUTPUTS))
            raise ModelFolderError(f"{file}: must have an output {wanted}; it has {', '.join(sorted(trial))}")
        return Embedder(parts, vector)
    labels = read_labels(config)
    shape = trial[LOGITS_OUTPUT].shape
    if shape != (1, len(labels)):
        raise ModelFolderError(
            f"{config.file}: id2label has {len(labels)} labels, so output {LOGITS_OUTPUT} of {file} must have the "
            f"shape (1, {len(labels)}); it has {shape}"
        )
    logits = Logits(labels, config.text("problem_type", "") == "multi_label_classification")
    return Classifier(parts, logits) if vector is None else EmbeddingClassifier(parts, logits, vector)


def _vector(trial: Outputs, file: str) -> Vector | None:
    name = next((name for name in EMBEDDING_OUTPUTS if name in trial), None)
    if name is None:
        return None
    array = trial[name]
    # Convolutional networks of transformers leave the two axes of the picture, with one place each.
    if array.shape[0] != 1 or array.ndim not in {2, 4} or array.size != array.shape[1]:
        raise ModelFolderError(f"{file}: output {name} must have the shape (batch, n); it has {array.shape}")
    return Vector(name, array.size)
