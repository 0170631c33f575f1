"""Names of files in the folders of models that look at images, and the two configurations that exporters write.

It is Hugging Face's layout: model.onnx, config.json with the labels, preprocessor_config.json with what is done to an
image before the graph sees it. What that layout has no word for stands in config.json under "trivium".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trivium_models.json_file import write_json

CONFIG_NAME = "config.json"
PREPROCESSOR_NAME = "preprocessor_config.json"
GRAPH_NAME = "model.onnx"
INPUT_NAME = "pixel_values"
# A reader of text has three graphs, and its alphabet.
RECOGNITION_NAME = "recognition.onnx"
DETECTION_NAME = "detection.onnx"
ORIENTATION_NAME = "orientation.onnx"
CHARACTERS_NAME = "characters.txt"
# PIL's numbers, as preprocessor_config.json has them.
BILINEAR, BICUBIC = 2, 3


def write_config(
    folder: Path,
    *,
    model_type: str,
    architecture: str,
    labels: Sequence[str] = (),
    trivium: Mapping[str, object] | None = None,
    **more: object,
) -> None:
    """Writes config.json. labels: by class index. trivium: settings of ours."""
    config: dict[str, object] = {"architectures": [architecture], "model_type": model_type, **more}
    if labels:
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
    if trivium:
        config["trivium"] = dict(trivium)
    write_json(folder / CONFIG_NAME, config)


def write_preprocessor(folder: Path, **settings: object) -> None:
    """Writes preprocessor_config.json."""
    write_json(folder / PREPROCESSOR_NAME, settings)
