"""Folders of models that look at images: what is found out about them, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.models.zero_graph import Shapes, write_graph
from trivium_models.errors import InvalidModelError
from trivium_models.folder_check import check_folder
from trivium_models.store import Store

PREPROCESSOR = {"size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
VIT = {"architectures": ["ViTForImageClassification"], "model_type": "vit"}
DETR = {"architectures": ["DetrForObjectDetection"], "model_type": "detr"}
YOLO = {"model_type": "yolov8"}
IMAGE: Shapes = {"pixel_values": ["batch", 3, 8, 8]}


def labels(count: int) -> dict[str, object]:
    return {"id2label": {str(index): f"LABEL_{index}" for index in range(count)}}


def write_folder(
    folder: Path,
    config: Mapping[str, object],
    *,
    outputs: Shapes,
    inputs: Shapes = IMAGE,
    preprocessor: object = PREPROCESSOR,
    graph: str = "model.onnx",
) -> Path:
    """A folder as an exporter leaves it."""
    write_graph(folder / graph, inputs, outputs)
    (folder / "config.json").write_text(json.dumps(config))
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def write_text_reader(folder: Path, *, characters: bytes = b"a\nb\nc\n", without: str = "", classes: int = 5) -> Path:
    for name, width in (("detection", 8), ("recognition", classes), ("orientation", 2)):
        if name != without:
            write_graph(folder / f"{name}.onnx", {"x": ["batch", 3, 8, 8]}, {"y": ["batch", 4, width]})
    (folder / "config.json").write_text(json.dumps({"model_type": "pp_ocr"}))
    if without != "characters":
        (folder / "characters.txt").write_bytes(characters)
    return folder


@pytest.mark.parametrize("graph", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize(
    ("config", "outputs", "task"),
    [
        (VIT | labels(3), {"logits": ["batch", 3]}, "classify_image"),
        (VIT | labels(3), {"logits": None, "image_embeds": ["batch", 16]}, "classify_image"),
        (DETR | labels(3), {"logits": ["batch", 9, 4], "pred_boxes": ["batch", 9, 4]}, "detect_objects"),
        (
            {"architectures": ["RTDetrForObjectDetection"], "model_type": "rt_detr"} | labels(3),
            {"logits": ["batch", 9, 3], "pred_boxes": ["batch", 9, 4]},
            "detect_objects",
        ),
        (
            {"architectures": ["YolosForObjectDetection"], "model_type": "yolos"} | labels(3),
            {"logits": ["batch", 9, "classes"], "pred_boxes": None, "last_hidden_state": None},
            "detect_objects",
        ),
        (YOLO | labels(3), {"output0": ["batch", 7, 21]}, "detect_objects"),
        ({"model_type": "yolov5"} | labels(3), {"output0": ["batch", 21, 8]}, "detect_objects"),
        ({"model_type": "yolo11"} | labels(3), {"output0": None}, "detect_objects"),
        (
            {"model_type": "nanodet"} | labels(3),
            {"cls_8": ["batch", 1, 3], "reg_8": ["batch", 1, 44]},
            "detect_objects",
        ),
        (
            {"model_type": "centerface"},
            {"heatmap": None, "scale": None, "offset": None, "landmarks": None},
            "detect_faces",
        ),
    ],
)
def test_task_follows_from_configuration_and_graph(
    tmp_path: Path, config: dict[str, object], outputs: Shapes, task: str, graph: str
) -> None:
    facts = check_folder(write_folder(tmp_path / "theirs", config, outputs=outputs, graph=graph))
    assert (facts.architecture, facts.task, facts.default_graph) == ("image", task, graph)
    assert facts.limits.context_length == 0


@pytest.mark.parametrize(
    "inputs",
    [
        {"images": ["batch", 3, 8, 8]},
        {"pixel_values": None},
        {"pixel_values": ["batch", "channels", "height", "width"]},
        {"pixel_values": ["batch", 3, 8, 8], "pixel_mask": ["batch", 8, 8]},
    ],
)
def test_image_may_have_another_name_and_a_mask(tmp_path: Path, inputs: Shapes) -> None:
    folder = write_folder(tmp_path / "theirs", VIT | labels(3), inputs=inputs, outputs={"logits": ["batch", 3]})
    assert check_folder(folder).task == "classify_image"


@pytest.mark.parametrize(
    ("config", "outputs", "words"),
    [
        (VIT, {"logits": ["batch", 3]}, "has no id2label, so that nobody knows"),
        (VIT | labels(2), {"logits": ["batch", 3]}, "logits has 3 columns; 2 are expected"),
        (VIT | labels(2), {"scores": ["batch", 2]}, "gives scores, but not logits"),
        ({"model_type": "vit"} | labels(2), {"logits": ["batch", 2]}, "architectures nothing"),
        (
            {"architectures": ["ViTModel"], "model_type": "vit"},
            {"last_hidden_state": None},
            "model.onnx gives last_hidden_state and config.json says model_type vit, architectures ViTModel",
        ),
        ({"architectures": ["SegformerForSemanticSegmentation"]}, {"logits": None}, "SegformerForSemanticSegmentation"),
        (DETR | labels(3), {"logits": ["batch", 9, 6], "pred_boxes": None}, "gives logits of 6 classes"),
        (DETR | labels(3), {"logits": ["batch", 9, 4]}, "…ForObjectDetection with logits and pred_boxes"),
        (DETR | labels(3), {"logits": None, "pred_boxes": ["batch", 9, 5]}, "pred_boxes has 5 columns"),
        (YOLO | labels(3), {"output0": ["batch", 9, 21]}, "for 3 labels one of them must be 7 or 8"),
        (YOLO | labels(3), {"output0": ["batch", 7]}, "one output of three dimensions"),
        (YOLO | labels(3), {"output0": ["batch", 7, 21], "output1": None}, "a YOLO graph gives one output"),
        (YOLO, {"output0": ["batch", 7, 21]}, "has no id2label"),
        ({"model_type": "nanodet"} | labels(3), {"cls_8": ["batch", 1, 80]}, "cls_8 has 80 columns; 3 are expected"),
        ({"model_type": "centerface"}, {"heatmap": None, "scale": None}, "but not offset"),
        ({"model_type": 7}, {"logits": None}, "model_type must be a string"),
        ({"model_type": "pp_ocr"}, {"logits": None}, "has no characters.txt"),
    ],
)
def test_folder_of_another_kind_is_refused(
    tmp_path: Path, config: dict[str, object], outputs: Shapes, words: str
) -> None:
    with pytest.raises(InvalidModelError) as caught:
        check_folder(write_folder(tmp_path / "theirs", config, outputs=outputs))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"input_ids": ["batch", 5], "pixel_values": ["batch", 3, 8, 8]}, "and not input_ids"),
        ({"pixel_values": ["batch", 1, 8, 8]}, "must have the shape (batch, 3, height, width)"),
        ({"pixel_values": ["batch", 8, 8, 3]}, "must have the shape (batch, 3, height, width)"),
        ({"pixel_values": [3, 8, 8]}, "must have the shape (batch, 3, height, width)"),
        ({"pixel_mask": ["batch", 8, 8]}, "takes pixel_mask; a model that looks at images takes pixel_values"),
        ({}, "takes nothing; a model that looks at images takes pixel_values"),
    ],
)
def test_graph_that_takes_something_else_is_refused(tmp_path: Path, inputs: Shapes, words: str) -> None:
    folder = write_folder(tmp_path / "theirs", VIT | labels(3), inputs=inputs, outputs={"logits": ["batch", 3]})
    with pytest.raises(InvalidModelError) as caught:
        check_folder(folder)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": 224, "image_mean": 0.5, "rescale_factor": None},
        {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}},
        {"size": {"shortest_edge": 800, "longest_edge": 1333}},
    ],
)
def test_preprocessing_as_hubs_have_it(tmp_path: Path, settings: dict[str, object]) -> None:
    outputs: Shapes = {"logits": ["batch", 3]}
    folder = write_folder(tmp_path / "theirs", VIT | labels(3), outputs=outputs, preprocessor=settings)
    assert check_folder(folder).task == "classify_image"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([], "is not a JSON object"),
        ({"size": 0}, "size is 0, which is not supported"),
        ({"size": True}, "size is True"),
        ({"size": {"height": 8}}, "size is {'height': 8}"),
        ({"size": {"height": 8, "width": -8}}, "'width': -8"),
        ({"crop_size": {"side": 8}}, "crop_size is {'side': 8}"),
        ({"image_mean": [0.5, 0.5]}, "image_mean is [0.5, 0.5]"),
        ({"image_std": [0.5, 0, 0.5]}, "image_std is [0.5, 0, 0.5]"),
        ({"image_std": "wide"}, "image_std is 'wide'"),
        ({"rescale_factor": "1/255"}, "rescale_factor is '1/255'"),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(tmp_path: Path, settings: object, words: str) -> None:
    outputs: Shapes = {"logits": ["batch", 3]}
    folder = write_folder(tmp_path / "theirs", VIT | labels(3), outputs=outputs, preprocessor=settings)
    with pytest.raises(InvalidModelError) as caught:
        check_folder(folder)
    assert words in str(caught.value)


def test_classifier_without_its_preprocessing_is_told_what_is_missing(tmp_path: Path) -> None:
    outputs: Shapes = {"logits": ["batch", 3]}
    folder = write_folder(tmp_path / "theirs", VIT | labels(3), outputs=outputs, preprocessor=None)
    with pytest.raises(InvalidModelError, match=r"has no preprocessor_config\.json"):
        check_folder(folder)


def test_text_reader_is_known(tmp_path: Path) -> None:
    facts = check_folder(write_text_reader(tmp_path / "theirs"))
    assert (facts.architecture, facts.task, facts.default_graph) == ("image", "recognize_text", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"without": "detection"}, "theirs has no detection.onnx"),
        ({"without": "recognition"}, "theirs has no recognition.onnx"),
        ({"without": "orientation"}, "theirs has no orientation.onnx"),
        ({"without": "characters"}, "it has no characters.txt"),
        ({"characters": b"a\nb\n"}, "y has 5 columns; 4 are expected"),
        ({"characters": b"\xff\n"}, "characters.txt is not UTF-8"),
    ],
)
def test_text_reader_that_lacks_something_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    folder = write_text_reader(tmp_path / "theirs", **changes)  # type: ignore[arg-type]  # a table of cases
    with pytest.raises(InvalidModelError) as caught:
        check_folder(folder)
    assert words in str(caught.value)


def test_classifier_is_pulled_from_a_folder(tmp_path: Path) -> None:
    outputs: Shapes = {"logits": ["batch", 3]}
    theirs = write_folder(tmp_path / "their-vit", VIT | labels(3), outputs=outputs, graph="onnx/model.onnx")
    (theirs / "onnx" / "model_fp16.onnx").write_bytes((theirs / "onnx" / "model.onnx").read_bytes())
    store = Store(tmp_path / "store")
    installed = store.pull(str(theirs))
    assert installed.manifest is not None
    card = installed.manifest.card
    assert (card.architecture, card.task) == ("image", "classify_image")
    assert installed.manifest.default_graph == "onnx/model.onnx"
    # Of several precisions side by side one is installed.
    assert {entry.path for entry in installed.manifest.files} == {
        "config.json",
        "onnx/model.onnx",
        "preprocessor_config.json",
    }
    assert store.verify("their-vit").problems == ()


def test_every_graph_of_a_text_reader_is_loaded_once_before_it_is_installed(tmp_path: Path) -> None:
    theirs = write_text_reader(tmp_path / "their-ocr")
    store = Store(tmp_path / "store")
    assert store.pull(str(theirs)).manifest is not None
    broken = helper.make_node("Conv", ["x", "y/zeros"], ["y"])
    graph = onnx.load(theirs / "orientation.onnx")
    graph.graph.node[0].CopyFrom(broken)
    onnx.save(graph, theirs / "orientation.onnx")
    with pytest.raises(InvalidModelError, match=r"cannot be loaded: .*Conv"):
        store.pull(str(theirs), name="broken")
