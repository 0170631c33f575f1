"""Reads a language model's folder in the onnxruntime-genai layout, and the tables that model.toml adds to it.

Source: onnxruntime-genai `src/config.h`. Only what serving needs is read; sessions, search strategies and pipelines of
genai_config.json belong to onnxruntime-genai's own runtime.
"""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from trivium_server.architectures.capabilities import SamplingDefaults
from trivium_server.decoding.decoder import TensorNames

# Beyond what any model has: a damaged file must not make the server run out of memory.
_MAX_VOCABULARY = 1 << 21
_MAX_LAYERS = 1024
_MAX_INTEGER = 1 << 31


class FolderError(Exception):
    """A file of the model folder is missing, malformed or contradicts another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenaiFolder:
    """What genai_config.json, tokenizer_config.json and model.toml say."""

    graph: Path
    names: TensorNames
    num_layers: int
    vocabulary_size: int
    context_length: int
    end_ids: frozenset[int]
    chat_template: str | None
    template_variables: Mapping[str, str]
    sampling_defaults: SamplingDefaults


def read_genai_folder(folder: Path, *, precision: str) -> GenaiFolder:
    """Reads the folder. precision: `default`, or another graph that model.toml names. Raises FolderError."""
    try:
        return _read(folder, precision)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise FolderError(f"model.toml, genai_config.json or tokenizer_config.json: {error}") from error


def _read(folder: Path, precision: str) -> GenaiFolder:
    config = _read_json(folder / "genai_config.json")
    card = tomllib.loads((folder / "model.toml").read_text()) if (folder / "model.toml").exists() else {}
    model, decoder = _table(config, "model"), _table(_table(config, "model"), "decoder")
    search = _optional_table(config, "search")
    if not search.get("past_present_share_buffer", False):
        raise FolderError("genai_config.json: search.past_present_share_buffer must be true to be served")
    graphs = {"default": decoder.get("filename", "model.onnx")} | card.get("graphs", {})
    if precision not in graphs:
        raise FolderError(f"runtime.precision: this model has no {precision!r} graph; it has {', '.join(graphs)}")
    tokenizer = _read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    # What model.toml does not list is not covered by the digest and is not read.
    listed = set(card["files"]) if "files" in card else None
    if listed is not None and graphs[precision] not in listed:
        raise FolderError(f"model.toml: the graph {graphs[precision]!r} is not among its files")
    vocabulary_size = _integer(model, "vocab_size", _MAX_VOCABULARY)
    end_ids = frozenset(_ids(model.get("eos_token_id")))
    if any(not 0 <= index < vocabulary_size for index in end_ids):
        raise FolderError(f"genai_config.json: model.eos_token_id must be below the vocabulary size, {vocabulary_size}")
    return GenaiFolder(
        graph=_inside(folder, graphs[precision]),
        names=_names(decoder),
        num_layers=_integer(decoder, "num_hidden_layers", _MAX_LAYERS),
        vocabulary_size=vocabulary_size,
        context_length=min(
            _integer(model, "context_length"),
            _integer({"context_length": _MAX_INTEGER} | card.get("limits", {}), "context_length", file="model.toml"),
        ),
        end_ids=end_ids,
        chat_template=_chat_template(folder, tokenizer, listed),
        template_variables={
            name: text
            for name in ("bos_token", "eos_token", "unk_token", "pad_token")
            if isinstance(text := _token_text(tokenizer.get(name)), str)
        },
        sampling_defaults=_sampling_defaults(card.get("defaults"), search),
    )


def _names(decoder: Mapping[str, object]) -> TensorNames:
    inputs, outputs = _optional_table(decoder, "inputs"), _optional_table(decoder, "outputs")
    chosen = {
        "input_ids": inputs.get("input_ids"),
        "attention_mask": inputs.get("attention_mask"),
        "position_ids": inputs.get("position_ids"),
        "past_key": inputs.get("past_key_names"),
        "past_value": inputs.get("past_value_names"),
        "logits": outputs.get("logits"),
        "present_key": outputs.get("present_key_names"),
        "present_value": outputs.get("present_value_names"),
    }
    return TensorNames(**{name: str(value) for name, value in chosen.items() if value})


def _sampling_defaults(stated: Mapping[str, object] | None, search: Mapping[str, object]) -> SamplingDefaults:
    """model.toml's own defaults; else those of genai_config.json, where greedy search is temperature 0."""
    known = {item.name: type(getattr(SamplingDefaults(), item.name)) for item in fields(SamplingDefaults)}
    if stated is None:
        stated = {name: search[name] for name in known if name in search}
        if not search.get("do_sample", False):
            stated = {"temperature": 0.0, "repetition_penalty": search.get("repetition_penalty", 1.0)}
    unknown = [name for name in stated if name not in known]
    if unknown:
        raise FolderError(f"model.toml: defaults.{unknown[0]} is no sampling parameter")
    defaults = SamplingDefaults(**{name: known[name](value) for name, value in stated.items()})
    if not all(math.isfinite(getattr(defaults, name)) for name in known):
        raise FolderError("sampling defaults must be finite numbers")
    if min(defaults.temperature, defaults.min_p, defaults.top_k, defaults.min_output_tokens) < 0:
        raise FolderError("sampling defaults must not be negative")
    if not 0 < defaults.top_p <= 1 or defaults.repetition_penalty <= 0:
        raise FolderError("sampling defaults: top_p must be over 0 and up to 1, repetition_penalty over 0")
    if defaults.max_output_tokens < 1 or defaults.candidate_count < 1:
        raise FolderError("sampling defaults: max_output_tokens and candidate_count must be at least 1")
    return defaults


def _chat_template(folder: Path, tokenizer: Mapping[str, object], listed: set[str] | None) -> str | None:
    # Since transformers 4.43 a template may be a file of its own, which wins.
    file = folder / "chat_template.jinja"
    if file.exists() and (listed is None or file.name in listed):
        return file.read_text()
    template = tokenizer.get("chat_template")
    if isinstance(template, list):  # several, by name
        template = next((entry["template"] for entry in template if entry.get("name") == "default"), None)
    return template if isinstance(template, str) else None


def _token_text(value: object) -> object:
    return value.get("content") if isinstance(value, dict) else value


def _ids(value: object) -> list[int]:
    given = value if isinstance(value, list) else [] if value is None else [value]
    ids = [item for item in given if isinstance(item, int)]
    if len(ids) != len(given):
        raise FolderError("genai_config.json: model.eos_token_id must be an id or a list of ids")
    return ids


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FolderError(f"{path.name} is missing") from error
    except ValueError as error:
        raise FolderError(f"{path.name}: {error}") from error
    if not isinstance(value, dict):
        raise FolderError(f"{path.name} must hold an object")
    return value


def _table(config: Mapping[str, object], key: str) -> dict[str, object]:
    value = config.get(key)
    if not isinstance(value, dict):
        raise FolderError(f"genai_config.json: {key} is missing")
    return value


def _optional_table(config: Mapping[str, object], key: str) -> dict[str, object]:
    value = config.get(key, {})
    return value if isinstance(value, dict) else {}


def _integer(
    config: Mapping[str, object], key: str, most: int = _MAX_INTEGER, *, file: str = "genai_config.json"
) -> int:
    value = config.get(key)
    if not isinstance(value, int) or not 1 <= value <= most:
        raise FolderError(f"{file}: {key} must be a positive whole number, at most {most}")
    return value


def _inside(folder: Path, name: object) -> Path:
    """Returns the path of a file that must lie in the folder itself."""
    if not isinstance(name, str) or Path(name).name != name:
        raise FolderError(f"model.toml or genai_config.json: {name!r} is no name of a graph file in the model's folder")
    return folder / name
