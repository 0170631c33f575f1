"""Reads the folder of a model that reads text: three graphs, the characters of one of them, and how they are used.

config.json         model_type `pp_ocr`; under `trivium` the objects `detection`, `recognition` and `orientation`
detection.onnx      finds lines: an image to a map of probabilities
orientation.onnx    says whether a line is upside down; need not be there
recognition.onnx    reads a line: an image of it to the probabilities of characters
characters.txt      one character in a row: the recognizer's classes from 1; 0 is the blank, and the last one a space
"""

from dataclasses import dataclass
from pathlib import Path

from trivium_server.architectures.folder_files import FolderFiles, Table
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.vision.text_regions import RegionSettings
from trivium_server.vision.text_search import SearchSettings

PP_OCR = "pp_ocr"

_CONFIG_FILE = "config.json"
_CHARACTERS_FILE = "characters.txt"
_DETECTION, _RECOGNITION, _ORIENTATION = "detection.onnx", "recognition.onnx", "orientation.onnx"
_MAX_SIDE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class InputNumbers:
    """What makes a graph's input of a pixel: pixel * scale + offset, for each channel in the order of the graph."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    is_bgr: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFolder:
    """What a folder says. Sizes are of the graphs' inputs, in pixels.

    multiple: what sides of the detector's input are rounded up to. turn_threshold: the probability from which a line
    counts as upside down.
    """

    detection: Path
    recognition: Path
    orientation: Path | None
    characters: tuple[str, ...]
    detection_numbers: InputNumbers
    recognition_numbers: InputNumbers
    orientation_numbers: InputNumbers
    regions: RegionSettings
    search: SearchSettings
    multiple: int
    line_height: int
    min_score: float
    orientation_size: tuple[int, int]
    turn_threshold: float


def is_text_folder(description: Table) -> bool:
    """Says whether config.json is that of a model that reads text."""
    return description.text("model_type", "") == PP_OCR


def read_text_folder(path: Path) -> TextFolder:
    """Raises ModelFolderError."""
    files = FolderFiles(path)
    ours = Table(f"{_CONFIG_FILE} trivium", files.table(_CONFIG_FILE).table("trivium"))
    detection, recognition, orientation = (
        Table(f"{_CONFIG_FILE} trivium.{name}", ours.table(name))
        for name in ("detection", "recognition", "orientation")
    )
    usual = RegionSettings()
    max_side = detection.integer("max_side", low=32, high=1 << 14) or _MAX_SIDE
    return TextFolder(
        detection=files.path(_DETECTION),
        recognition=files.path(_RECOGNITION),
        orientation=files.path(_ORIENTATION) if files.has(_ORIENTATION) else None,
        characters=_characters(files),
        detection_numbers=_numbers(detection),
        recognition_numbers=_numbers(recognition),
        orientation_numbers=_numbers(orientation),
        regions=RegionSettings(
            threshold=detection.share("threshold", usual.threshold),
            box_threshold=detection.share("box_threshold", usual.box_threshold),
            unclip=max(0.0, detection.number("unclip", usual.unclip)),
        ),
        # A sheet of paper whose longer side is the longest that the detector is meant for.
        search=SearchSettings(most_pixels=max_side * max_side * 3 // 4),
        multiple=detection.integer("multiple", low=1, high=256) or 32,
        line_height=recognition.integer("height", low=8, high=256) or 48,
        min_score=recognition.share("score_threshold", 0.5),
        orientation_size=(
            orientation.integer("width", low=8, high=1024) or 192,
            orientation.integer("height", low=8, high=256) or 48,
        ),
        turn_threshold=orientation.share("threshold", 0.9),
    )


def _characters(files: FolderFiles) -> tuple[str, ...]:
    # Some of them end a line for str.splitlines.
    rows = files.read_text(_CHARACTERS_FILE).removesuffix("\n").split("\n")
    if not all(rows):
        raise ModelFolderError(f"{_CHARACTERS_FILE}: line {rows.index('') + 1} is empty")
    return ("", *rows, " ")


def _numbers(table: Table) -> InputNumbers:
    mean, std = table.numbers("mean") or (0.5,) * 3, table.numbers("std") or (0.5,) * 3
    if len(mean) != len("rgb") or len(std) != len("rgb") or not all(std):
        raise table.error("mean and std", "must have three numbers each, those of std not 0")
    order = table.text("channel_order", "rgb")
    if order not in {"rgb", "bgr"}:
        raise table.error("channel_order", "must be rgb or bgr")
    return InputNumbers(
        scale=tuple(1 / 255 / each for each in std),
        offset=tuple(-m / s for m, s in zip(mean, std, strict=True)),
        is_bgr=order == "bgr",
    )
