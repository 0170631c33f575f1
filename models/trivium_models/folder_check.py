"""Checks that a folder is a model in onnxruntime-genai's layout, whoever exported it."""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from trivium_models.errors import InvalidModelError, UnsafeModelError
from trivium_models.graph_check import check_graph, require_inside, require_relative
from trivium_models.manifest import list_files

CONFIG_NAME = "genai_config.json"
TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenaiFolder:
    """What genai_config.json says: the decoder's graph file, and the context in tokens."""

    decoder_graph: str
    context_len: int


def check_folder(folder: Path, root: Path | None = None) -> GenaiFolder:
    """Checks configuration, tokenizer and every graph of a folder; loads no weights and runs nothing.

    root: where links of the folder may lead, by default the folder itself. Raises InvalidModelError or
    UnsafeModelError.
    """
    allowed = root if root is not None else folder
    if not folder.is_dir():
        raise InvalidModelError(f"{folder} is not a folder")
    for path in list_files(folder):
        require_inside(path, allowed, f"{folder.name}/{path.relative_to(folder).as_posix()}")
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
    _check_tokenizer(folder)
    _check_graphs(folder, allowed, graph)
    return GenaiFolder(decoder_graph=graph, context_len=context_len)


def _read_config(folder: Path) -> dict[str, object]:
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InvalidModelError(f"{folder} is not a model folder: it has no {CONFIG_NAME}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME} is not valid JSON") from error
    if not isinstance(config, dict):
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME} is not a JSON object")
    if _has_key(config, "custom_ops_library"):
        raise UnsafeModelError(f"{folder.name}/{CONFIG_NAME} names a custom_ops_library, which would run native code")
    return config


def _has_key(value: object, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_has_key(item, key) for item in value.values())
    return isinstance(value, list) and any(_has_key(item, key) for item in value)


def _object(config: dict[str, object], *keys: str) -> dict[str, object]:
    value: object = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise InvalidModelError(f"{CONFIG_NAME}: {'.'.join(keys)} is missing")
    return value


def _check_tokenizer(folder: Path) -> None:
    path = folder / TOKENIZER_NAME
    if not path.is_file():
        raise InvalidModelError(f"{folder} is not a model folder: it has no {TOKENIZER_NAME}")
    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception for any malformed file
        raise InvalidModelError(f"{folder.name}/{TOKENIZER_NAME} is not a tokenizer: {error}") from error


def _check_graphs(folder: Path, allowed: Path, decoder: str) -> None:
    headers = {path: check_graph(path, allowed) for path in list_files(folder) if path.suffix == ".onnx"}
    header = headers.get(folder / decoder)
    if header is None:
        raise InvalidModelError(f"{folder.name}: the decoder {decoder} is not an .onnx file")
    if "input_ids" not in header.inputs or "logits" not in header.outputs:
        raise InvalidModelError(
            f"{folder.name}/{decoder} is not a decoder: it needs the input input_ids and the output logits"
        )
