"""Reads a language model's folder in the onnxruntime-genai layout, and the tables that model.toml adds to it.

Source: onnxruntime-genai `src/config.h`. Only what serving needs is read; sessions, search strategies and pipelines of
genai_config.json belong to onnxruntime-genai's own runtime.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from trivium_server.architectures.capabilities import SamplingDefaults
from trivium_server.decoding.decoder import TensorNames


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
    return GenaiFolder(
        graph=folder / graphs[precision],
        names=_names(decoder),
        num_layers=_integer(decoder, "num_hidden_layers"),
        vocabulary_size=_integer(model, "vocab_size"),
        context_length=min(_integer(model, "context_length"), card.get("limits", {}).get("context_length", 1 << 31)),
        end_ids=frozenset(_ids(model.get("eos_token_id"))),
        chat_template=_chat_template(folder, tokenizer),
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
    try:
        return SamplingDefaults(**{name: known[name](value) for name, value in stated.items()})
    except (TypeError, ValueError) as error:
        raise FolderError(f"sampling defaults: {error}") from error


def _chat_template(folder: Path, tokenizer: Mapping[str, object]) -> str | None:
    # Since transformers 4.43 a template may be a file of its own, which wins.
    file = folder / "chat_template.jinja"
    if file.exists():
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


def _integer(config: Mapping[str, object], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise FolderError(f"genai_config.json: {key} must be a positive whole number")
    return value
