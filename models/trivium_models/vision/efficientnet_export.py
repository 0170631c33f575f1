"""Writes EfficientNet-Lite0 as an image classification folder of Hugging Face's layout.

The labels are pinned in the catalogue and fetched, as the weights are: a list in this program would be a copy of
somebody's file without its licence. They are ImageNet's own names, by class index, so two classes are called "crane".
"""

from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import read_json
from trivium_models.vision.efficientnet_graph import FEATURES_LEN, IMAGE_LEN, NUM_CLASSES, build_graph
from trivium_models.vision.image_layout import BICUBIC, GRAPH_NAME, write_config, write_preprocessor
from trivium_models.vision.pth_source import TorchState

# The middle 224 of 256: as it was trained, a frame of 32 is cut off.
_SHORTEST_EDGE = 256


def export_efficientnet(weights: Path, labels: Path, folder: Path) -> None:
    """Writes model.onnx and both configurations into a folder.

    weights: the .pth file. labels: a JSON object of names by class index. Raises InvalidModelError.
    """
    graph = build_graph(TorchState.read(weights))
    (folder / GRAPH_NAME).write_bytes(graph.SerializeToString(deterministic=True))
    write_config(
        folder,
        model_type="efficientnet",
        architecture="EfficientNetForImageClassification",
        labels=_read_labels(labels),
        hidden_dim=FEATURES_LEN,
        image_size=IMAGE_LEN,
    )
    write_preprocessor(
        folder,
        do_resize=True,
        size={"shortest_edge": _SHORTEST_EDGE},
        resample=BICUBIC,
        do_center_crop=True,
        crop_size={"height": IMAGE_LEN, "width": IMAGE_LEN},
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
    )


def _read_labels(path: Path) -> list[str]:
    names = read_json(path)
    if not isinstance(names, dict) or list(names) != [str(index) for index in range(NUM_CLASSES)]:
        raise InvalidModelError(f"{path.name} does not name {NUM_CLASSES} classes in their order")
    return [str(name) for name in names.values()]
