"""Writes PicoDet for the layout of documents, as published with its labels inside, as a detector's folder.

Outputs for each stride s of 8, 16, 32 and 64, one row for each cell of the grid of ceil(800 / s) by ceil(608 / s), row
by row: cls_s, the probability of each label, and reg_s, four times 8 logits of the distance from the cell's centre to
the box's left, top, right and bottom side, 0 to 7 strides. Source: Yu et al. 2021 (PP-PicoDet).
"""

from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.vision.graph_names import read_onnx, read_texts, rename_values
from trivium_models.vision.image_layout import BILINEAR, GRAPH_NAME, INPUT_NAME, write_config, write_preprocessor

_HEIGHT, _WIDTH = 800, 608
_STRIDES = (8, 16, 32, 64)
_REG_MAX = 7
# In the order of the published graph's outputs.
_NAMES = [f"{kind}_{stride}" for kind in ("cls", "reg") for stride in _STRIDES]


def export_picodet(weights: Path, folder: Path) -> None:
    """Writes model.onnx and both configurations into a folder. weights: an ONNX file. Raises InvalidModelError."""
    model = read_onnx(weights)
    labels = read_texts(model, "character", weights.name)
    found = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.output]
    cells = [-(-_HEIGHT // stride) * -(-_WIDTH // stride) for stride in _STRIDES]
    widths = (len(labels), 4 * (_REG_MAX + 1))
    if found != [[1, count, width] for width in widths for count in cells] or len(model.graph.input) != 1:
        raise InvalidModelError(f"{weights.name} is not PicoDet for {_WIDTH} by {_HEIGHT} pixels")
    names = [value.name for value in model.graph.output]
    rename_values(model, {model.graph.input[0].name: INPUT_NAME, **dict(zip(names, _NAMES, strict=True))})
    (folder / GRAPH_NAME).write_bytes(model.SerializeToString(deterministic=True))
    write_config(
        folder,
        model_type="picodet",
        architecture="PicoDet",
        labels=labels,
        trivium={
            "channel_order": "bgr",
            "resize": "squash",
            "strides": _STRIDES,
            "reg_max": _REG_MAX,
            "score_threshold": 0.5,
            "iou_threshold": 0.5,
        },
    )
    write_preprocessor(
        folder,
        do_resize=True,
        size={"height": _HEIGHT, "width": _WIDTH},
        resample=BILINEAR,
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        # ImageNet's for red, green and blue, which its authors give to blue, green and red.
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
