"""Models that look at images and whose answers can be computed by hand, for the laws of the transport.

What they see is the colour of the first pixel; so a test knows which image an answer is of.
"""

import asyncio
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.rpc.toy_encoders import Toy, Toys
from trivium_server.architectures.text_capabilities import EmbeddingInfo, ScoreScale, VectorKind
from trivium_server.architectures.vision_capabilities import (
    Box,
    FoundFace,
    FoundLine,
    FoundObject,
    FoundText,
    FoundWord,
    Image,
    Point,
    Quad,
    VisionMeter,
)
from trivium_server.errors import QueueFull, UnsupportedFeature

LABELS = ("red", "green", "blue")
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
DIMENSIONS = 8
RUN_S = 0.001
QUAD: Quad = (Point(0.125, 0.25), Point(0.5, 0.25), Point(0.5, 0.375), Point(0.125, 0.375))


def png(
    red: int = 0, green: int = 0, blue: int = 0, *, width: int = 4, height: int = 2, rows: int = 0, noise: int = 0
) -> bytes:
    """An image of one colour, written by hand. rows: how many it has, where its head lies.

    noise: bytes of a chunk that decoders skip.
    """
    row = b"\0" + bytes((red, green, blue)) * width
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        *([(b"juNk", bytes(noise))] if noise else []),
        (b"IDAT", zlib.compress(row * (rows or height))),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class ToyEye(Toy):
    """What all of them have. A run takes `run_s`, or as long as the gate is closed."""

    enough_side: int | None = None

    def __init__(self, run_s: float = 0.0) -> None:
        super().__init__()
        self.run_s = run_s

    async def look(self, image: Image, deadline_s: float, meter: VisionMeter) -> tuple[int, int, int]:
        """The colour of the first pixel."""
        await asyncio.sleep(self.run_s)
        await self.pass_gate(1, deadline_s)
        meter.preprocess_s += RUN_S
        meter.queue_s += 2 * RUN_S
        meter.inference_s += 3 * RUN_S
        meter.compute_s += 3 * RUN_S
        red, green, blue = image.pixels[0, 0].tolist()
        return red, green, blue


class ToyColours(ToyEye):
    """Classifies by the share of each colour, and embeds as powers of two, in no normal length."""

    image_labels = LABELS
    image_label_scale = ScoreScale.PROBABILITY
    image_embedding_info = EmbeddingInfo(
        dimensions=DIMENSIONS, supported_dimensions=(8, 4), kinds=(VectorKind.DENSE,), prompts=()
    )

    async def classify_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> NDArray[np.float32]:
        colour = np.array(await self.look(image, deadline_s, meter), np.float32)
        scores: NDArray[np.float32] = colour / max(np.float32(1), colour.sum())
        return scores

    async def embed_image(self, image: Image, *, deadline_s: float, meter: VisionMeter) -> NDArray[np.float32]:
        red, _, blue = await self.look(image, deadline_s, meter)
        vector: NDArray[np.float32] = np.float32(2) ** np.arange(DIMENSIONS, dtype=np.float32) * np.float32(red)
        if blue == 255:  # beyond float16
            vector[0] = 1e6
        if blue == 254:
            vector[0] = np.nan
        return vector


class ToyThings(ToyEye):
    """Sees 1200 objects in every image; the box of each says how it was asked."""

    object_labels = LABELS
    default_min_score = 0.5
    default_iou_threshold: float | None = 0.25

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
        red, _, _ = await self.look(image, deadline_s, meter)
        box = Box(0.0, iou_threshold / 2, red / 255, 1.0)
        scores = (1 - place / 1200 for place in range(max_objects))
        return [
            FoundObject(class_index=place % 3, score=score, box=box)
            for place, score in enumerate(scores)
            if score >= min_score
        ]


class ToyThingsOnce(ToyThings):
    """Gives each thing once by itself."""

    default_iou_threshold = None


class ToyFaces(ToyEye):
    """Sees 1200 faces in every image."""

    landmark_names = LANDMARKS
    default_min_face_score = 0.5

    async def detect_faces(
        self, image: Image, *, max_faces: int, min_score: float, deadline_s: float, meter: VisionMeter
    ) -> Sequence[FoundFace]:
        red, _, _ = await self.look(image, deadline_s, meter)
        landmarks = tuple(Point(place / 8, red / 255) for place in range(len(LANDMARKS)))
        scores = (1 - place / 1200 for place in range(max_faces))
        box = Box(0.0, 0.0, red / 255, 1.0)
        return [FoundFace(score=score, box=box, landmarks=landmarks) for score in scores if score >= min_score]


class ToyReader(ToyEye):
    """Reads the colour in three lines of two blocks; as many characters in each word as were asked for."""

    default_min_line_score = 0.5

    def __init__(self, word_len: int = 1, num_left_out: int = 0) -> None:
        super().__init__()
        self.word_len = word_len
        self.num_left_out = num_left_out

    async def read_text(
        self, image: Image, *, min_score: float, with_words: bool, deadline_s: float, meter: VisionMeter
    ) -> FoundText:
        red, green, blue = await self.look(image, deadline_s, meter)
        lines = []
        for value, score, block in ((red, 1.0, 0), (green, 0.75, 0), (blue, 0.25, 1)):
            text = str(value) * self.word_len
            words = (FoundWord(text=text, score=score, quad=QUAD),) if with_words else ()
            if score >= min_score:
                lines.append(FoundLine(text=text, score=score, quad=QUAD, block=block, words=words))
        return FoundText(lines=lines, num_left_out=self.num_left_out, is_too_fine=self.num_left_out > 0)


class ToyFailure(ToyEye):
    """Fails on every image, with an error made anew."""

    object_labels = LABELS
    default_min_score = 0.5
    default_iou_threshold = 0.5

    def __init__(self, make_error: Callable[[], Exception]) -> None:
        super().__init__()
        self.make_error = make_error

    async def detect_objects(
        self, image: Image, *, deadline_s: float, meter: VisionMeter, **_: float
    ) -> list[FoundObject]:
        await self.look(image, deadline_s, meter)
        raise self.make_error()


MODELS: Toys = {
    "toy-colours": ToyColours,
    "toy-things": ToyThings,
    "toy-things-once": ToyThingsOnce,
    "toy-faces": ToyFaces,
    "toy-reader": ToyReader,
    "toy-novel": lambda: ToyReader(word_len=2 * 1024 * 1024),
    "toy-crowded": lambda: ToyReader(num_left_out=12),
    "toy-slow": lambda: ToyColours(run_s=0.1),
    "toy-fussy": lambda: ToyFailure(lambda: UnsupportedFeature("image", "is not to its taste")),
    "toy-full": lambda: ToyFailure(lambda: QueueFull(7, 1.5)),
    "toy-broken": lambda: ToyFailure(lambda: ArithmeticError("a defect")),
}
