"""Writes CenterFace for images of any size.

Source: Xu, Yan, Yang et al. 2019 (CenterFace). The published graph was traced with ten images of 32 by 32 pixels;
nothing in it depends on that. Outputs are a quarter of the image's size: heatmap (1 channel), scale (height, width;
logarithms of a quarter), offset (vertical, horizontal) and landmarks (five times vertical, horizontal).
"""

from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.vision.graph_names import drop_constant_inputs, read_onnx, rename_values, set_dims
from trivium_models.vision.image_layout import BILINEAR, GRAPH_NAME, INPUT_NAME, write_config, write_preprocessor

_NAMES = {"input.1": INPUT_NAME, "537": "heatmap", "538": "scale", "539": "offset", "540": "landmarks"}
_CHANNELS = {"heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}
# As seen by who looks at the image.
LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
# Five times halved and put together again on the way up.
_MULTIPLE = 32
# Larger images are made smaller first: faces of a twentieth of the image are still fifty pixels long.
_MAX_SIDE = 1024


def export_centerface(weights: Path, folder: Path) -> None:
    """Writes model.onnx and both configurations into a folder. weights: centerface.onnx. Raises InvalidModelError."""
    model = read_onnx(weights)
    drop_constant_inputs(model.graph)
    if {value.name for value in (*model.graph.input, *model.graph.output)} != set(_NAMES):
        raise InvalidModelError(f"{weights.name} is not CenterFace: it has other inputs and outputs")
    rename_values(model, _NAMES)
    set_dims(model.graph.input[0], ["batch", 3, "height", "width"])
    for value in model.graph.output:
        set_dims(value, ["batch", _CHANNELS[value.name], "rows", "columns"])
    del model.graph.value_info[:]  # sizes of the images that it was traced with
    (folder / GRAPH_NAME).write_bytes(model.SerializeToString(deterministic=True))
    write_config(
        folder,
        model_type="centerface",
        architecture="CenterFace",
        trivium={
            "landmark_names": LANDMARK_NAMES,
            "multiple": _MULTIPLE,
            "max_side": _MAX_SIDE,
            "score_threshold": 0.5,
            "iou_threshold": 0.3,
        },
    )
    write_preprocessor(folder, do_resize=True, resample=BILINEAR, do_rescale=False, do_normalize=False)
