"""Writes NanoDet-g, as published for TensorFlow.js, as a detector's folder.

Outputs for each stride s of 8, 16 and 32, one row for each cell of the grid of 416 / s by 416 / s, row by row:
cls_s, probabilities of the 80 labels, and reg_s, four times 11 logits of the distance from the cell's centre to the
box's left, top, right and bottom side, 0 to 10 strides. Source: Li et al. 2020 (Generalized Focal Loss); NanoDet.
"""

from collections.abc import Mapping
from pathlib import Path

from onnx import TensorProto, helper

from trivium_models.errors import InvalidModelError
from trivium_models.graph_writer import GraphWriter
from trivium_models.vision.coco_labels import COCO_LABELS
from trivium_models.vision.image_layout import BILINEAR, GRAPH_NAME, INPUT_NAME, write_config, write_preprocessor
from trivium_models.vision.tfjs_graph import TfjsConverter
from trivium_models.vision.tfjs_source import TfjsModel, read_tfjs

_IMAGE_LEN = 416
_STRIDES = (8, 16, 32)
_REG_MAX = 10


def export_nanodet(graph: Path, parts: Mapping[str, Path], folder: Path) -> None:
    """Writes model.onnx and both configurations into a folder.

    graph: nanodet.json. parts: the weights, by the name that it calls them. Raises InvalidModelError.
    """
    model = read_tfjs(graph, parts)
    writer = GraphWriter()
    converter = TfjsConverter(model, writer, INPUT_NAME)
    gives = []
    for node, (name, *shape) in _outputs(model).items():
        writer.node("Identity", [converter.convert(node)], str(name))
        gives.append(helper.make_tensor_value_info(str(name), TensorProto.FLOAT, ["batch", *shape]))
    takes = [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", 3, _IMAGE_LEN, _IMAGE_LEN])]
    made = helper.make_graph(writer.nodes, "nanodet_g", takes, gives, list(writer.initializers.values()))
    opsets = [helper.make_opsetid("", 21)]
    onnx_model = helper.make_model(made, opset_imports=opsets, ir_version=10, producer_name="trivium-models")
    (folder / GRAPH_NAME).write_bytes(onnx_model.SerializeToString(deterministic=True))
    write_config(
        folder,
        model_type="nanodet",
        architecture="NanoDet",
        labels=COCO_LABELS,
        trivium={
            "channel_order": "bgr",
            "resize": "squash",
            "strides": _STRIDES,
            "reg_max": _REG_MAX,
            "score_threshold": 0.4,
            "iou_threshold": 0.6,
        },
    )
    write_preprocessor(
        folder,
        do_resize=True,
        size={"height": _IMAGE_LEN, "width": _IMAGE_LEN},
        resample=BILINEAR,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        # ImageNet's, in the order of the channels that the graph sees: blue, green, red.
        image_mean=[value / 255 for value in (103.53, 116.28, 123.675)],
        image_std=[value / 255 for value in (57.375, 57.12, 58.395)],
    )


def _outputs(model: TfjsModel) -> dict[str, tuple[str, int, int]]:
    """Name, cells and numbers per cell of each output, by its node; InvalidModelError unless it is this network."""
    widths = {len(COCO_LABELS): "cls", 4 * (_REG_MAX + 1): "reg"}
    cells = {(_IMAGE_LEN // stride) ** 2: stride for stride in _STRIDES}
    known = {
        (1, count, width): (f"{kind}_{stride}", count, width)
        for count, stride in cells.items()
        for width, kind in widths.items()
    }
    if sorted(model.outputs.values()) != sorted(known):
        raise InvalidModelError(f"{model.name} is not NanoDet for {_IMAGE_LEN} pixels and {len(COCO_LABELS)} labels")
    return {node: known[shape[0], shape[1], shape[2]] for node, shape in model.outputs.items()}
