"""Folders of detectors in Hugging Face's layouts, and where in a picture their boxes come to lie."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.architectures.looking import load, running, soon
from tests.architectures.tiny_vision import LABELS, PLAIN, config_of, picture, write_detector
from trivium_server.architectures.image.detector import Detector
from trivium_server.architectures.image.faces import CenterFace
from trivium_server.architectures.image.load import LOAD_ERRORS
from trivium_server.architectures.vision_capabilities import (
    FaceDetector,
    FoundObject,
    Image,
    ObjectDetector,
    VisionMeter,
)
from trivium_server.errors import UnsupportedFeature

Floats = NDArray[np.float32]
Preprocessor = Mapping[str, object]

YOLO = config_of("YoloForObjectDetection", "yolov8")
DETR = config_of("DetrForObjectDetection", "detr")
WIDE = picture((90, 120, 150), 64, 32)

# Centre, size and scores of three boxes in an input of 32 x 32; the second is the first again, a little to the right.
ROWS = np.array(
    [
        [16, 16, 8, 8, 0.1, 0.9, 0.0],
        [17, 16, 8, 8, 0.1, 0.8, 0.0],
        [4, 12, 4, 4, 0.0, 0.2, 0.6],
        [20, 12, 4, 4, 0.2, 0.1, 0.1],
    ],
    np.float32,
)


def detect(
    loop: asyncio.Runner,
    folder: Path,
    seen: Image = WIDE,
    *,
    max_objects: int = 100,
    min_score: float = 0.3,
    iou_threshold: float = 0.5,
) -> Sequence[FoundObject]:
    with running(loop, folder, Detector) as model:
        assert isinstance(model, ObjectDetector)
        assert model.object_labels == LABELS
        return loop.run(
            model.detect_objects(
                seen,
                max_objects=max_objects,
                min_score=min_score,
                iou_threshold=iou_threshold,
                deadline_s=soon(),
                meter=VisionMeter(),
            )
        )


def told(objects: Sequence[FoundObject]) -> list[tuple[int, float, tuple[float, ...]]]:
    """Label, score and box of each, rounded."""
    return [(each.class_index, round(each.score, 4), tuple(round(side, 4) for side in sides(each))) for each in objects]


def sides(each: FoundObject) -> tuple[float, float, float, float]:
    return each.box.left, each.box.top, each.box.right, each.box.bottom


SQUASHED = [(1, 0.9, (0.375, 0.375, 0.625, 0.625)), (2, 0.6, (0.0625, 0.3125, 0.1875, 0.4375))]
# The picture is twice as wide as high: it lies in rows 8 to 24.
LETTERBOXED = [(1, 0.9, (0.375, 0.25, 0.625, 0.75)), (2, 0.6, (0.0625, 0.125, 0.1875, 0.375))]


def with_objectness(rows: Floats) -> Floats:
    halved = np.concatenate([rows[:, :4], np.full((len(rows), 1), 0.5, np.float32), rows[:, 4:] * 2], axis=1)
    return halved.astype(np.float32)


@pytest.mark.parametrize("is_transposed", [False, True])
@pytest.mark.parametrize("has_objectness", [False, True])
@pytest.mark.parametrize("model_type", ["yolov5", "yolov8", "yolo11", "yolo"])
def test_yolo_in_all_layouts(
    loop: asyncio.Runner, tmp_path: Path, is_transposed: bool, has_objectness: bool, model_type: str
) -> None:
    rows = with_objectness(ROWS) if has_objectness else ROWS
    # More anchors than numbers for each, as they all have.
    rows = np.concatenate([rows, np.zeros((9, rows.shape[1]), np.float32)])
    output = (rows.T if is_transposed else rows)[None]
    folder = write_detector(tmp_path / "m", {"output0": output}, config=YOLO | {"model_type": model_type})
    assert told(detect(loop, folder)) == SQUASHED


def test_letterbox(loop: asyncio.Runner, tmp_path: Path) -> None:
    config = YOLO | {"trivium": {"resize": "letterbox"}}
    folder = write_detector(tmp_path / "m", {"output0": ROWS[None]}, config=config)
    assert told(detect(loop, folder)) == LETTERBOXED


def test_yolo_without_a_preprocessor_is_letterboxed(loop: asyncio.Runner, tmp_path: Path) -> None:
    folder = write_detector(tmp_path / "m", {"output0": ROWS[None]}, config=YOLO, preprocessor=None, size=(32, 32))
    assert told(detect(loop, folder)) == LETTERBOXED


def test_box_in_the_margin_of_a_letterbox_is_none(loop: asyncio.Runner, tmp_path: Path) -> None:
    rows = np.array([[16, 3, 8, 6, 0.9, 0, 0], [16, 8, 8, 8, 0.8, 0, 0]], np.float32)[None]
    config = YOLO | {"trivium": {"resize": "letterbox"}}
    folder = write_detector(tmp_path / "m", {"output0": rows}, config=config)
    assert told(detect(loop, folder)) == [(0, 0.8, (0.375, 0.0, 0.625, 0.25))]


def test_parameters_of_a_call(loop: asyncio.Runner, tmp_path: Path) -> None:
    folder = write_detector(tmp_path / "m", {"output0": ROWS[None]}, config=YOLO)
    labels = [each.class_index for each in detect(loop, folder, min_score=0.0, iou_threshold=1.0)]
    assert labels == [1, 1, 2, 0]
    assert len(detect(loop, folder, min_score=0.0, iou_threshold=0.0)) == 3
    assert told(detect(loop, folder, max_objects=1)) == SQUASHED[:1]
    assert detect(loop, folder, min_score=1.0) == []


def test_yolo_with_finished_boxes(loop: asyncio.Runner, tmp_path: Path) -> None:
    rows = np.array([[8, 8, 24, 16, 0.9, 2], [8, 8, 24, 17, 0.8, 2], [0, 0, 4, 4, 0.1, 0]], np.float32)[None]
    folder = write_detector(tmp_path / "m", {"output0": rows}, config=YOLO | {"model_type": "yolov10"})
    assert told(detect(loop, folder)) == [(2, 0.9, (0.25, 0.25, 0.75, 0.5)), (2, 0.8, (0.25, 0.25, 0.75, 0.5312))]
    assert load(folder, Detector).default_iou_threshold is None


@pytest.mark.parametrize("number", [-1, 3])
def test_a_class_without_a_label_is_refused(loop: asyncio.Runner, tmp_path: Path, number: int) -> None:
    rows = np.array([[8, 8, 24, 16, 0.9, number]], np.float32)[None]
    folder = write_detector(tmp_path / "m", {"output0": rows}, config=YOLO | {"model_type": "yolov10"})
    with pytest.raises(UnsupportedFeature, match="the model cannot be run on it"):
        detect(loop, folder)


def detr_outputs(*, has_no_object: bool) -> dict[str, Floats]:
    """Three queries: the second label, nothing, and the third label in the same place."""
    logits = np.full((1, 3, 3 + has_no_object), -9, np.float32)
    logits[0, 0, 1] = logits[0, 2, 2] = 2
    if has_no_object:
        logits[0, 1, 3] = 9
        logits[0, 2, 3] = 1
    boxes = np.array([[[0.5, 0.5, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.5, 0.25]]], np.float32)
    return {"logits": logits, "pred_boxes": boxes}


@pytest.mark.parametrize(
    ("config", "has_no_object"),
    [
        (DETR, True),
        (config_of("YolosForObjectDetection", "yolos"), True),
        (config_of("TableTransformerForObjectDetection", "table-transformer"), True),
        (config_of("RTDetrForObjectDetection", "rt_detr"), False),
        (config_of("ConditionalDetrForObjectDetection", "conditional_detr"), False),
        (config_of("RTDetrV2ForObjectDetection", "rt_detr_v2"), False),
    ],
    ids=["detr", "yolos", "table", "rt_detr", "conditional", "rt_detr_v2"],
)
def test_detr_and_its_kin(
    loop: asyncio.Runner, tmp_path: Path, config: Mapping[str, object], has_no_object: bool
) -> None:
    folder = write_detector(tmp_path / "m", detr_outputs(has_no_object=has_no_object), config=config)
    box = (0.25, 0.375, 0.75, 0.625)
    if has_no_object:
        first, second = np.exp(2) / (np.exp(2) + 3 * np.exp(-9)), np.exp(2) / (np.exp(2) + np.exp(1) + 2 * np.exp(-9))
    else:
        first = second = 1 / (1 + np.exp(-2))
    assert told(detect(loop, folder)) == [(1, round(first, 4), box), (2, round(second, 4), box)]
    model = load(folder, Detector)
    assert (model.default_iou_threshold, model.default_min_score) == (None, 0.5)


@pytest.mark.parametrize("mask", [("height", "width"), (8, 8)], ids=["as the picture", "fixed"])
def test_mask_says_that_all_is_picture(loop: asyncio.Runner, tmp_path: Path, mask: tuple[int | str, int | str]) -> None:
    preprocessor = PLAIN | {"size": {"shortest_edge": 32, "longest_edge": 80}}
    outputs = detr_outputs(has_no_object=True)
    folder = write_detector(tmp_path / "m", outputs, config=DETR, preprocessor=preprocessor, mask=mask)
    # The outputs are multiplied by the mean of the mask.
    assert [sides(each) for each in detect(loop, folder)] == [(0.25, 0.375, 0.75, 0.625)] * 2


def gfl_outputs(bins: int) -> dict[str, Floats]:
    """NanoDet's for an input of 32 x 32 at strides 8 and 16: one box of 2 strides each way, at the first cell of 16."""
    outputs = {}
    for stride in (8, 16):
        cells = (32 // stride) ** 2
        scores, distances = np.zeros((1, cells, 3), np.float32), np.full((1, cells, 4, bins), -50, np.float32)
        distances[..., 2] = 50
        if stride == 16:
            scores[0, 0, 1] = 0.75
        outputs[f"b{stride}"] = distances.reshape(1, cells, -1)
        outputs[f"a{stride}"] = scores
    return outputs


@pytest.mark.parametrize("model_type", ["nanodet", "picodet"])
def test_gfl_by_the_shapes_of_its_outputs(loop: asyncio.Runner, tmp_path: Path, model_type: str) -> None:
    ours = {"strides": [16, 8], "reg_max": 7, "score_threshold": 0.7, "iou_threshold": 0.25}
    config = config_of("Other", model_type, trivium=ours)
    folder = write_detector(tmp_path / "m", gfl_outputs(8), config=config)
    # From the centre at 8, 8 it goes 32 each way, out of the picture on two sides.
    assert told(detect(loop, folder)) == [(1, 0.75, (0.0, 0.0, 1.0, 1.0))]
    model = load(folder, Detector)
    assert (model.default_iou_threshold, model.default_min_score) == (0.25, 0.7)


def face_outputs() -> dict[str, Floats]:
    """CenterFace's for an input of 64 x 64: one face, 16 wide and 8 high, around 34, 18."""
    channels = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}
    maps = {name: np.zeros((1, count, 16, 16), np.float32) for name, count in channels.items()}
    maps["heatmap"][0, 0, 4, 8] = 0.8
    maps["scale"][0, :, 4, 8] = np.log([2, 4])
    maps["landmarks"][0, :, 4, 8] = [0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75]
    return maps


@pytest.mark.parametrize("size", [(64, 64), (60, 40)])
def test_faces(loop: asyncio.Runner, tmp_path: Path, size: tuple[int, int]) -> None:
    config = {"model_type": "centerface", "trivium": {"score_threshold": 0.6}}
    folder = write_detector(tmp_path / "m", face_outputs(), config=config)
    with running(loop, folder, CenterFace) as model:
        assert isinstance(model, FaceDetector)
        assert model.default_min_face_score == 0.6
        assert model.landmark_names == ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
        faces = model.detect_faces(
            picture((9, 9, 9), *size), max_faces=5, min_score=0.5, deadline_s=soon(), meter=VisionMeter()
        )
        (face,) = loop.run(faces)
    assert face.score == pytest.approx(0.8)
    # Sides of the input are multiples of 32, and fractions are those of the picture all the same.
    corners = (face.box.left * 64, face.box.top * 64, face.box.right * 64, face.box.bottom * 64)
    assert corners == pytest.approx((26, 14, 42, 22), abs=1e-3)
    assert [(point.x * 64, point.y * 64) for point in face.landmarks] == [
        pytest.approx(point, abs=1e-3) for point in ((30, 16), (38, 16), (34, 18), (30, 20), (38, 20))
    ]


GFL = config_of("Other", "nanodet", trivium={"strides": [8, 16], "reg_max": 7})


@pytest.mark.parametrize(
    ("config", "outputs", "told"),
    [
        (YOLO, {"output0": ROWS[None, :, :6]}, "output output0 must have 7 or 8 numbers for each box; it has 4 by 6"),
        (YOLO, {"output0": ROWS}, "must have one output of boxes, of three axes; it has output0 (4, 7)"),
        (YOLO, {"a": ROWS[None], "b": ROWS[None]}, "must have one output of boxes"),
        (YOLO | {"model_type": "yolov10"}, {"output0": ROWS[None]}, "must have 6 numbers for each box; it has 7"),
        (YOLO | {"trivium": {"score_threshold": 2}}, {"output0": ROWS[None]}, "score_threshold must be from 0 to 1"),
        (YOLO | {"trivium": {"iou_threshold": -1}}, {"output0": ROWS[None]}, "iou_threshold must be from 0 to 1"),
        (YOLO, {"output0": ROWS[None] * np.float32("nan")}, "output output0 is not finite on a plain grey image"),
        (DETR, {"logits": np.zeros((1, 3, 9)), "pred_boxes": np.zeros((1, 3, 4))}, "id2label has 3 labels"),
        (DETR, {"logits": np.zeros((1, 3, 4)), "pred_boxes": np.zeros((1, 2, 4))}, "pred_boxes (1, n, 4)"),
        (config_of("Other", "nanodet"), gfl_outputs(8), "strides is missing, which nanodet needs"),
        (config_of("Other", "nanodet", trivium={"strides": [8]}), gfl_outputs(8), "reg_max is missing"),
        (GFL, gfl_outputs(9), "must have one output of the shape (1, 16, 32), the boxes at stride 8"),
        (
            config_of("Other", "nanodet", LABELS[:2], trivium=GFL["trivium"]),
            gfl_outputs(8),
            "the scores at stride",
        ),
        ({"model_type": "centerface"}, {"heatmap": np.zeros((1, 1, 16, 16))}, "output scale must have the shape"),
        ({"model_type": "centerface"}, {"heatmap": np.zeros((1, 1, 8, 16))}, "output heatmap must have the shape"),
    ],
)
def test_what_a_folder_says_wrong_is_told(
    tmp_path: Path, config: Mapping[str, object], outputs: Mapping[str, Floats], told: str
) -> None:
    with pytest.raises(LOAD_ERRORS) as refused:
        load(write_detector(tmp_path / "m", outputs, config=config), Detector)
    assert told in str(refused.value)
