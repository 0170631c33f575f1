"""Checks that a folder is a model in a layout that we know, whoever exported it.

Five are known: onnxruntime-genai's, checked here, the Hugging Face layout of text encoders, in encoder_folder.py, that
of models that look at images, in vision/image_folder.py, those of models that hear or speak, in
speech/speech_folder.py, and our own of models that tell languages, in language_id.py.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trivium_models.encoder_folder import check_encoder, is_encoder_folder
from trivium_models.errors import InvalidModelError, UnsafeModelError
from trivium_models.folder_facts import FolderFacts, check_tokenizer
from trivium_models.graph_check import GraphHeader, check_graph
from trivium_models.language_id import check_language_id, is_language_id_folder
from trivium_models.manifest import MANIFEST_NAME, Limits, list_files
from trivium_models.ort_check import check_ort_graph
from trivium_models.safe_path import require_inside, require_portable, require_relative
from trivium_models.speech.speech_folder import check_speech_folder, is_speech_folder
from trivium_models.vision.image_folder import check_image_folder, is_image_folder

CONFIG_NAME = "genai_config.json"


def check_folder(folder: Path, root: Path | None = None) -> FolderFacts:
    """Checks configuration, tokenizer and every graph of a folder; loads no weights and runs nothing.

    root: where links of the folder may lead, by default the folder itself. Raises InvalidModelError or
    UnsafeModelError.
    """
    allowed = root if root is not None else folder
    if not folder.is_dir():
        raise InvalidModelError(f"{folder} is not a folder")
    # First, so that a folder that is no model, a home for example, is not searched from end to end.
    check = next((check for is_layout, check in _LAYOUTS if is_layout(folder)), None)
    if check is None:
        raise InvalidModelError(f"{folder} is not a model folder: it has no {CONFIG_NAME}, or config.json with a graph")
    files = list_files(folder)
    if (folder / MANIFEST_NAME).is_symlink():
        files.append(folder / MANIFEST_NAME)
    names = [path.relative_to(folder).as_posix() for path in files]
    require_portable(names, folder.name)
    for path, name in zip(files, names, strict=True):
        require_inside(path, allowed, f"{folder.name}/{name}")
    headers = {}
    for path, name in zip(files, names, strict=True):
        if path.suffix == ".onnx":
            headers[name] = check_graph(path, allowed)
        elif path.suffix == ".ort":
            headers[name] = check_ort_graph(path)
    return check(folder, headers)


def _check_genai(folder: Path, headers: Mapping[str, GraphHeader]) -> FolderFacts:
    config = _read_config(folder)
    decoder = _object(config, "model", "decoder")
    graph = decoder.get("filename")
    if not isinstance(graph, str):
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME}: model.decoder.filename is missing")
    require_relative(graph, f"{folder.name}/{CONFIG_NAME}: model.decoder.filename")
    if not (folder / graph).is_file():
        raise InvalidModelError(f"{folder.name} has no {graph}, which {CONFIG_NAME} names as the decoder")
    context_len = _object(config, "model").get("context_length")
    if isinstance(context_len, bool) or not isinstance(context_len, int) or context_len <= 0:
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME}: model.context_length must be a positive whole number")
    check_tokenizer(folder)
    _check_decoder(folder, graph, headers.get(graph))
    return FolderFacts(
        architecture="genai", task="generate_text", default_graph=graph, limits=Limits.for_context(context_len)
    )


def _read_config(folder: Path) -> dict[str, object]:
    try:
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME} is not valid JSON") from error
    if not isinstance(config, dict):
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME} is not a JSON object")
    if _has_key(config, "custom_ops_library"):
        raise UnsafeModelError(f"{folder.name}/{CONFIG_NAME} names a custom_ops_library, which would run native code")
    return config


def _has_key(config: object, key: str) -> bool:
    values = [config]  # no recursion: the parser takes deeper nesting than a function that calls itself
    while values:
        value = values.pop()
        if isinstance(value, dict):
            if key in value:
                return True
            values += value.values()
        elif isinstance(value, list):
            values += value
    return False


def _object(config: dict[str, object], *keys: str) -> dict[str, object]:
    value: object = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise InvalidModelError(f"{CONFIG_NAME}: {'.'.join(keys)} is missing")
    return value


def _check_decoder(folder: Path, decoder: str, header: GraphHeader | None) -> None:
    if header is None:
        raise InvalidModelError(f"{folder.name}: the decoder {decoder} is not an .onnx file")
    if "input_ids" not in header.inputs or "logits" not in header.outputs:
        raise InvalidModelError(
            f"{folder.name}/{decoder} is not a decoder: it needs the input input_ids and the output logits"
        )


# How to tell a layout, and how to check it; the first that fits.
_LAYOUTS: Sequence[tuple[Callable[[Path], bool], Callable[[Path, Mapping[str, GraphHeader]], FolderFacts]]] = (
    (lambda folder: (folder / CONFIG_NAME).is_file(), _check_genai),
    (is_speech_folder, check_speech_folder),
    (is_image_folder, check_image_folder),
    (is_encoder_folder, check_encoder),
    (is_language_id_folder, lambda folder, _graphs: check_language_id(folder)),
)
