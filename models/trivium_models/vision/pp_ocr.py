"""Completes the folder of PP-OCR, three graphs that read text together.

detection.onnx gives the probability of text for each pixel, recognition.onnx the characters of a line, orientation.onnx
whether a line stands on its head. They are as published; what is written here are their settings and characters.
"""

import shutil
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.vision.graph_names import read_onnx, read_texts
from trivium_models.vision.image_layout import CHARACTERS_NAME, RECOGNITION_NAME, write_config

_LINE_HEIGHT = 48
_ORIENTATION_WIDTH = 192
_HALF = [0.5, 0.5, 0.5]


def export_pp_ocr(recognition: Path, folder: Path) -> None:
    """Writes recognition.onnx, characters.txt and config.json into a folder that holds the other two graphs.

    characters.txt has the characters of classes 1, 2 …, one a line, lines ended by a line feed alone; class 0 is CTC's
    blank, and the class after the last line a space. Raises InvalidModelError.
    """
    model = read_onnx(recognition)
    characters = read_texts(model, "character", recognition.name)
    dims = model.graph.output[0].type.tensor_type.shape.dim
    if not dims or dims[-1].dim_value != len(characters) + 2:
        raise InvalidModelError(f"{recognition.name} does not tell apart its {len(characters)} characters")
    shutil.copyfile(recognition, folder / RECOGNITION_NAME)
    (folder / CHARACTERS_NAME).write_bytes("".join(f"{character}\n" for character in characters).encode())
    shared = {"channel_order": "bgr", "mean": _HALF, "std": _HALF}
    write_config(
        folder,
        model_type="pp_ocr",
        architecture="PPOCR",
        trivium={
            "detection": {
                **shared,
                "max_side": 2000,
                "multiple": 32,
                "threshold": 0.3,
                "box_threshold": 0.5,
                "unclip": 1.6,
            },
            "recognition": {**shared, "height": _LINE_HEIGHT, "score_threshold": 0.5},
            "orientation": {**shared, "height": _LINE_HEIGHT, "width": _ORIENTATION_WIDTH, "threshold": 0.9},
        },
    )
