"""Checks that a folder is a model that looks at images, ours or in Hugging Face's ONNX layout, and what it does.

Theirs has config.json, preprocessor_config.json and the graph as model.onnx or onnx/model.onnx, of a ViT or ResNet and
their kin that classifies, or of DETR, RT-DETR, YOLOS or YOLO that detects.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from trivium_models.encoder_layout import CONFIG_NAME, GRAPH_NAMES
from trivium_models.errors import InvalidModelError
from trivium_models.folder_facts import FolderFacts, require_there
from trivium_models.graph_check import GraphHeader
from trivium_models.json_file import JsonFile, read_json
from trivium_models.manifest import Limits
from trivium_models.vision.image_layout import (
    CHARACTERS_NAME,
    DETECTION_NAME,
    INPUT_NAME,
    ORIENTATION_NAME,
    PREPROCESSOR_NAME,
    RECOGNITION_NAME,
)

_OUR_TYPES = frozenset({"centerface", "nanodet", "picodet", "pp_ocr"})
_CLASSIFIER, _DETECTOR = "ForImageClassification", "ForObjectDetection"
_NO_LIMITS = Limits(context_length=0, max_input_tokens=0, max_output_tokens=0)
# DETR takes which pixels are padding as well.
_OTHER_INPUTS = frozenset({"pixel_mask"})


def is_image_folder(folder: Path) -> bool:
    """Whether the folder has the files of this layout; it may still be no model that can be used."""
    if (folder / DETECTION_NAME).is_file() or (folder / RECOGNITION_NAME).is_file():
        return (folder / CONFIG_NAME).is_file()
    has_graph = any((folder / name).is_file() for name in GRAPH_NAMES)
    if not has_graph or not (folder / CONFIG_NAME).is_file():
        return False
    return (folder / PREPROCESSOR_NAME).is_file() or _names_image_model(folder)


def check_image_folder(folder: Path, headers: Mapping[str, GraphHeader]) -> FolderFacts:
    """Checks configurations and graphs of a folder; runs nothing.

    headers: the graphs of the folder by their path in it. Raises InvalidModelError.
    """
    config = JsonFile.read(folder / CONFIG_NAME)
    kind = config.text("model_type", "")
    if kind == "pp_ocr":
        _check_text_reader(folder, headers)
        return _facts("recognize_text", None)
    graph = next((name for name in GRAPH_NAMES if name in headers), None)
    if graph is None:
        raise InvalidModelError(f"{folder.name} has no graph: {' or '.join(GRAPH_NAMES)}")
    where, header = f"{folder.name}/{graph}", headers[graph]
    _check_preprocessor(folder)
    _check_image_input(where, header)
    return _facts(_task(folder.name, where, config, header), graph)


def _names_image_model(folder: Path) -> bool:
    """Whether config.json says so; one that cannot be read says nothing."""
    try:
        config = JsonFile.read(folder / CONFIG_NAME)
        return config.text("model_type", "") in _OUR_TYPES or any(
            name.endswith((_CLASSIFIER, _DETECTOR)) for name in config.texts("architectures")
        )
    except InvalidModelError:
        return False


def _facts(task: str, graph: str | None) -> FolderFacts:
    return FolderFacts(architecture="image", task=task, default_graph=graph, limits=_NO_LIMITS)


def _task(folder: str, where: str, config: JsonFile, header: GraphHeader) -> str:
    """The capability by its name in the contract, in lower case."""
    kind, architectures = config.text("model_type", ""), config.texts("architectures")
    if kind == "centerface":
        _require_outputs(where, header, ("heatmap", "scale", "offset", "landmarks"))
        return "detect_faces"
    if kind in ("nanodet", "picodet"):
        num_labels = _num_labels(folder, config)
        for name in header.outputs:
            if name.startswith("cls_"):
                _require_width(where, header, name, num_labels)
        return "detect_objects"
    if any(name.endswith(_CLASSIFIER) for name in architectures):
        _require_outputs(where, header, ("logits",))
        _require_width(where, header, "logits", _num_labels(folder, config))
        return "classify_image"
    if any(name.endswith(_DETECTOR) for name in architectures) and "pred_boxes" in header.outputs:
        _check_query_detector(folder, where, config, header)
        return "detect_objects"
    if kind.startswith("yolo") and kind != "yolos":
        _check_yolo(folder, where, config, header)
        return "detect_objects"
    raise InvalidModelError(
        f"{where} gives {', '.join(header.outputs)} and {CONFIG_NAME} says model_type {kind or 'nothing'}, "
        f"architectures {', '.join(architectures) or 'nothing'}; a model that looks at images is "
        "…ForImageClassification with logits, …ForObjectDetection with logits and pred_boxes, or of a YOLO type"
    )


def _check_query_detector(folder: str, where: str, config: JsonFile, header: GraphHeader) -> None:
    """DETR and its kin: for each of a fixed number of guesses, logits and a box."""
    _require_outputs(where, header, ("logits", "pred_boxes"))
    _require_width(where, header, "pred_boxes", 4)
    num_labels, width = _num_labels(folder, config), _width(header, "logits")
    # One more where "nothing" is a class.
    if width is not None and width not in (num_labels, num_labels + 1):
        raise InvalidModelError(f"{where} gives logits of {width} classes; {CONFIG_NAME} has {num_labels} labels")


def _check_yolo(folder: str, where: str, config: JsonFile, header: GraphHeader) -> None:
    """YOLO without its own suppression: one row per guess, or one column: four of the box, and the labels' scores."""
    num_labels = _num_labels(folder, config)
    shape = header.shapes.get(header.outputs[0], ())
    if len(header.outputs) != 1 or len(shape) not in (0, 3):
        raise InvalidModelError(
            f"{where} gives {', '.join(header.outputs)}; a YOLO graph gives one output of three dimensions"
        )
    # One more where a guess has a score of its own.
    widths = {num_labels + 4, num_labels + 5}
    if shape and None not in shape[1:] and not widths & set(shape[1:]):
        raise InvalidModelError(
            f"{where} gives {list(shape[1:])}; for {num_labels} labels one of them must be {num_labels + 4} or "
            f"{num_labels + 5}"
        )


def _check_text_reader(folder: Path, headers: Mapping[str, GraphHeader]) -> None:
    require_there(folder, CHARACTERS_NAME)
    for name in (DETECTION_NAME, RECOGNITION_NAME, ORIENTATION_NAME):
        if name not in headers:
            raise InvalidModelError(f"{folder.name} has no {name}")
        if len(headers[name].inputs) != 1 or len(headers[name].outputs) != 1:
            raise InvalidModelError(f"{folder.name}/{name} must have one input and one output")
    try:
        num_characters = (folder / CHARACTERS_NAME).read_bytes().decode().count("\n")
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{folder.name}/{CHARACTERS_NAME} is not UTF-8") from error
    where, header = f"{folder.name}/{RECOGNITION_NAME}", headers[RECOGNITION_NAME]
    # The blank comes first, and a space last.
    _require_width(where, header, header.outputs[0], num_characters + 2)


def _check_image_input(where: str, header: GraphHeader) -> None:
    images = [name for name in header.inputs if name not in _OTHER_INPUTS]
    strange = [name for name in images if name != INPUT_NAME]
    if not images or len(images) > 1:
        raise InvalidModelError(
            f"{where} takes {', '.join(header.inputs) or 'nothing'}; a model that looks at images takes {INPUT_NAME}"
            f"{f', and not {strange[0]}' if strange else ''}"
        )
    shape = header.shapes.get(images[0])
    if shape is not None and (len(shape) != 4 or shape[1] not in (None, 3)):
        raise InvalidModelError(f"{where}: {images[0]} must have the shape (batch, 3, height, width), not {shape}")


def _check_preprocessor(folder: Path) -> None:
    require_there(folder, PREPROCESSOR_NAME)
    settings = read_json(folder / PREPROCESSOR_NAME)
    where = f"{folder.name}/{PREPROCESSOR_NAME}"
    if not isinstance(settings, dict):
        raise InvalidModelError(f"{where} is not a JSON object")
    checks: Mapping[str, Callable[[object], bool]] = {
        "size": _is_size,
        "crop_size": _is_size,
        "image_mean": _is_color,
        "image_std": lambda value: _is_color(value) and 0 not in (value if isinstance(value, list) else [value]),
        "rescale_factor": _is_number,
    }
    for key, fits in checks.items():
        value = settings.get(key)
        if value is not None and not fits(value):
            raise InvalidModelError(f"{where}: {key} is {value!r}, which is not supported")


def _is_size(value: object) -> bool:
    if isinstance(value, dict):
        return set(value) in (
            {"height", "width"},
            {"shortest_edge"},
            {"shortest_edge", "longest_edge"},
            {"max_height", "max_width"},
        ) and all(_is_length(one) for one in value.values())
    return _is_length(value)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_color(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return len(values) in (1, 3) and all(_is_number(one) for one in values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _num_labels(folder: str, config: JsonFile) -> int:
    count = config.size("id2label")
    if count == 0:
        raise InvalidModelError(f"{folder}/{CONFIG_NAME} has no id2label, so that nobody knows what is found")
    return count


def _require_outputs(where: str, header: GraphHeader, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in header.outputs:
            raise InvalidModelError(f"{where} gives {', '.join(header.outputs)}, but not {name}")


def _width(header: GraphHeader, output: str) -> int | None:
    """The last dimension of an output, where it is declared."""
    shape = header.shapes.get(output)
    return shape[-1] if shape else None


def _require_width(where: str, header: GraphHeader, output: str, width: int) -> None:
    found = _width(header, output)
    if found is not None and found != width:
        raise InvalidModelError(f"{where}: {output} has {found} columns; {width} are expected")
