"""What models see in an image, as messages of trivium.v1."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium_server.architectures.text_capabilities import ScoreScale
from trivium_server.architectures.vision_capabilities import (
    Box,
    FoundFace,
    FoundLine,
    FoundObject,
    FoundText,
    FoundWord,
    Image,
    Point,
)
from trivium_server.numerics import top_indices
from trivium_server.rpc.pacing import Pacer


def image_info(image: Image) -> pb.ImageInfo:
    """Says what an image is."""
    return pb.ImageInfo(
        width_pixels=image.width,
        height_pixels=image.height,
        orientation_applied=image.orientation_applied,
        mime_type=image.mime_type,
    )


def image_labels(
    scores: NDArray[np.float32], labels: Sequence[str], scale: ScoreScale, *, top_k: int, min_score: float
) -> pb.ImageLabels:
    """Returns the best labels, best first, and those of equal score by place. scores: one for each label."""
    message = pb.ImageLabels(score_scale=common_pb2.ScoreScale.Value(f"SCORE_SCALE_{scale.value}"))
    for place in top_indices(scores, top_k).tolist():
        score = float(scores[place])
        if score < min_score:
            break
        message.labels.add(label=labels[place], score=score, class_index=place)
    return message


async def detected_objects(objects: Sequence[FoundObject], labels: Sequence[str], pacer: Pacer) -> pb.DetectedObjects:
    """Returns objects in their order."""
    message = pb.DetectedObjects()
    for found in objects:
        label = common_pb2.LabelScore(label=labels[found.class_index], score=found.score, class_index=found.class_index)
        message.objects.add(label=label, box=_box(found.box))
        await pacer.pause()
    return message


async def detected_faces(faces: Sequence[FoundFace], landmark_names: Sequence[str], pacer: Pacer) -> pb.DetectedFaces:
    """Returns faces in their order. landmark_names: empty where no landmarks are wanted."""
    message = pb.DetectedFaces()
    for found in faces:
        face = message.faces.add(box=_box(found.box), score=found.score)
        # zip, not strict: without names there are none to write.
        for name, point in zip(landmark_names, found.landmarks, strict=False):
            face.landmarks.add(name=name, point=_point(point))
        await pacer.pause()
    return message


async def recognized_text(lines: Sequence[FoundLine], pacer: Pacer) -> pb.RecognizedText:
    """Returns lines in their order, and their texts in a row with an empty one between blocks."""
    message = pb.RecognizedText(text=_whole_text(lines))
    for found in lines:
        line = message.lines.add(
            text=found.text, score=found.score, polygon=map(_point, found.quad), block_index=found.block
        )
        line.words.extend(map(_word, found.words))
        await pacer.pause()
    return message


def text_warnings(found: FoundText) -> list[common_pb2.Warning]:
    """Returns what a caller should know of text that was not read; the path is that inside the feature."""
    warnings = []
    if found.num_left_out:
        problem = f"{found.num_left_out} lines of an image were not read, the last ones: it has more than may be read"
        warnings.append((common_pb2.WARNING_CODE_RESULTS_LEFT_OUT, problem))
    if found.is_too_fine:
        problem = "small text of an image may be missing: it has finer detail than the model can look at, at its size"
        warnings.append((common_pb2.WARNING_CODE_DETAIL_TOO_FINE, problem))
    return [
        common_pb2.Warning(code=code, message=f"{problem}; send it in parts", field_path="text_recognition")
        for code, problem in warnings
    ]


def _whole_text(lines: Sequence[FoundLine]) -> str:
    parts: list[str] = []
    for index, line in enumerate(lines):
        if index:
            parts.append("\n" if line.block == lines[index - 1].block else "\n\n")
        parts.append(line.text)
    return "".join(parts)


def _word(found: FoundWord) -> pb.TextWord:
    return pb.TextWord(text=found.text, score=found.score, polygon=map(_point, found.quad))


def _box(box: Box) -> pb.BoundingBox:
    return pb.BoundingBox(left=box.left, top=box.top, right=box.right, bottom=box.bottom)


def _point(point: Point) -> pb.NormalizedPoint:
    return pb.NormalizedPoint(x=point.x, y=point.y)
