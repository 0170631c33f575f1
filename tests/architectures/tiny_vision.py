"""Models that look at images, of a few numbers, in the folder layouts of Hugging Face."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trivium_server.architectures.vision_capabilities import Image

LABELS = ("red", "green", "blue")
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
VIT = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
PLAIN = {"size": {"height": 32, "width": 32}, "do_normalize": False}

Side = int | str
Arrays = Mapping[str, NDArray[np.float32]]


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def config_of(architecture: str, model_type: str, labels: Sequence[str] = LABELS, **more: object) -> dict[str, object]:
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "id2label": {str(index): label for index, label in enumerate(labels)},
        **more,
    }


def write_classifier(
    folder: Path,
    *,
    config: Mapping[str, object] | None = None,
    preprocessor: Mapping[str, object] = VIT,
    outputs: Sequence[str] = ("logits", "pooler_output"),
    size: tuple[Side, Side] = ("height", "width"),
    **graph: bool,
) -> Path:
    """A classifier whose logits are 4 * the mean of each channel, and whose vector is these means."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config or config_of("ViTForImageClassification", "vit"))
    write_json(folder / "preprocessor_config.json", preprocessor)
    onnx.save(classifier_graph(outputs, size, **graph), folder / "model.onnx")
    return folder


def classifier_graph(
    outputs: Sequence[str],
    size: tuple[Side, Side],
    *,
    is_half: bool = False,
    dims_stay: bool = False,
    breaks_when_bright: bool = False,
) -> onnx.ModelProto:
    """dims_stay: the vector has the shape (batch, 3, 1, 1). breaks_when_bright: means above 0.9 give no numbers."""
    dtype, floats = (TensorProto.FLOAT16, np.float16) if is_half else (TensorProto.FLOAT, np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixel_values"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("Mul", ["means", "four"], ["plain"]),
        helper.make_node("Identity", ["pooled" if dims_stay else "means"], ["vector"]),
    ]
    if breaks_when_bright:
        nodes += [
            helper.make_node("Sub", ["limit", "means"], ["room"]),
            helper.make_node("Sqrt", ["room"], ["root"]),
            helper.make_node("Mul", ["root", "zero"], ["nothing"]),
            helper.make_node("Add", ["plain", "nothing"], ["broken"]),
        ]
    source = {"logits": "broken" if breaks_when_bright else "plain"}
    nodes += [helper.make_node("Identity", [source.get(name, "vector")], [name]) for name in outputs]
    shapes: dict[str, list[Side]] = {"logits": ["batch", 3]}
    vector: list[Side] = ["batch", 3, 1, 1] if dims_stay else ["batch", 3]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("pixel_values", dtype, ["batch", 3, *size])],
        [helper.make_tensor_value_info(name, dtype, shapes.get(name, vector)) for name in outputs],
        [
            numpy_helper.from_array(np.array(value, floats), name)
            for name, value in (("four", 4), ("limit", 0.9), ("zero", 0))
        ],
    )
    return _model(graph)


def write_detector(
    folder: Path,
    outputs: Arrays,
    *,
    config: Mapping[str, object],
    preprocessor: Mapping[str, object] | None = PLAIN,
    size: tuple[Side, Side] = ("height", "width"),
    mask: Sequence[Side] | None = None,
) -> Path:
    """A detector that puts out these arrays, whatever it sees; with a mask, multiplied by the mask's mean."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    if preprocessor is not None:
        write_json(folder / "preprocessor_config.json", preprocessor)
    inputs = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, *size])]
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    factor = "one"
    if mask is not None:
        inputs.append(helper.make_tensor_value_info("pixel_mask", TensorProto.INT64, ["batch", *mask]))
        nodes += [
            helper.make_node("Cast", ["pixel_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["mask"], ["covered"], keepdims=0),
        ]
        factor = "covered"
    for name in outputs:
        nodes += [
            helper.make_node("Mul", [f"{name} value", factor], [f"{name} seen"]),
            helper.make_node("Add", [f"{name} seen", "nothing"], [name]),
        ]
    constants = {
        "zero": np.float32(0),
        "one": np.float32(1),
        **{f"{name} value": each for name, each in outputs.items()},
    }
    graph = helper.make_graph(
        nodes,
        "detector",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(each.shape)) for name, each in outputs.items()],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    onnx.save(_model(graph), folder / "model.onnx")
    return folder


def picture(color: tuple[int, int, int], width: int = 40, height: int = 30) -> Image:
    """An image of one colour."""
    return image(np.full((height, width, 3), color, np.uint8))


def image(pixels: NDArray[np.uint8]) -> Image:
    height, width, _ = pixels.shape
    return Image(pixels=pixels, width=width, height=height, orientation_applied=False, mime_type="image/png")


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model
