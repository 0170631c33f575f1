"""Folders in the onnxruntime-genai layout that somebody else exported, and folders that are not quite one."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architectures.answers import QUESTIONS, ask, chat, hear
from trivium_server.architectures import genai
from trivium_server.architectures.capabilities import TextPrompt
from trivium_server.architectures.genai import GenaiModel
from trivium_server.architectures.genai_folder import FolderError
from trivium_server.config import Config, GenerationConfig, RuntimeConfig
from trivium_server.decoding.decoder import GraphError
from trivium_server.errors import UnsupportedFeature
from trivium_server.runtime.session import SessionError

STANDARD_FILES = ("model.onnx", "model.onnx.data", "genai_config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def foreign_folder(smollm2_folder: Path, tmp_path: Path) -> Path:
    """The standard files alone: no model.toml, no graph of ours."""
    folder = tmp_path / "somebody-elses"
    folder.mkdir()
    for name in STANDARD_FILES:
        (folder / name).write_bytes((smollm2_folder / name).read_bytes())
    return folder


def load(folder: Path, **runtime: object) -> GenaiModel:
    generation = GenerationConfig(slots=3, queue_size=4, max_context_tokens=256, prefill_chunk_tokens=16)
    settings: dict[str, object] = {"intra_op_threads": 2} | runtime
    runtime_config = RuntimeConfig(**settings)  # type: ignore[arg-type]  # by name
    return genai.load(folder, Config(runtime=runtime_config, generation=generation), lambda _: None)


def test_a_standard_folder_is_served_and_batched_equals_single(foreign_folder: Path) -> None:
    async def run() -> list[str]:
        loaded = load(foreign_folder)
        await loaded.warm_up()
        requests = [ask(chat(question), max_output_tokens=12, temperature=0.8) for question in QUESTIONS[:3]]
        single = [(await hear(loaded, request)).text for request in requests]
        batched = [one.text for one in await asyncio.gather(*(hear(loaded, request) for request in requests))]
        assert batched == single
        await loaded.close(grace_s=0.0)
        return single

    assert all(asyncio.run(run()))


def test_sampling_defaults_come_from_the_search_settings(foreign_folder: Path) -> None:
    assert load(foreign_folder).sampling_defaults.temperature == 0.0
    rewrite(foreign_folder, lambda config: config["search"].update(do_sample=True, temperature=0.6, top_k=40))
    defaults = load(foreign_folder).sampling_defaults
    assert (defaults.temperature, defaults.top_k) == (0.6, 40)


def rewrite(folder: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    path = folder / "genai_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda folder: (folder / "genai_config.json").unlink(), "genai_config.json is missing"),
        (lambda folder: (folder / "genai_config.json").write_text("{"), "genai_config.json: "),
        (lambda folder: (folder / "genai_config.json").write_text("[]"), "must hold an object"),
        (lambda folder: rewrite(folder, lambda c: c["model"].pop("vocab_size")), "vocab_size must be a positive"),
        (lambda folder: rewrite(folder, lambda c: c["search"].pop("past_present_share_buffer")), "share_buffer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"\x08\x07nonsense"), "model.onnx: "),
        (lambda folder: (folder / "model.onnx.data").write_bytes(b"short"), "model.onnx: "),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx: "),
        (
            lambda folder: rewrite(folder, lambda c: c["model"]["decoder"].update(num_hidden_layers=31)),  # type: ignore[attr-defined]
            "no input or output named past_key_values.30.key",
        ),
    ],
)
def test_a_damaged_folder_says_what_is_wrong(
    foreign_folder: Path, damage: Callable[[Path], object], problem: str
) -> None:
    damage(foreign_folder)
    with pytest.raises((FolderError, SessionError, GraphError), match=problem):
        load(foreign_folder)


def test_a_provider_that_the_wheel_lacks_is_named(smollm2_folder: Path) -> None:
    with pytest.raises(
        SessionError, match=r"execution_providers: the installed onnxruntime has no NoSuchProvider; it has"
    ):
        load(smollm2_folder, execution_providers=("NoSuchProvider", "CPUExecutionProvider"))


def test_without_a_template_text_is_served_and_conversations_are_refused(foreign_folder: Path) -> None:
    config = json.loads((foreign_folder / "tokenizer_config.json").read_text())
    config.pop("chat_template")
    (foreign_folder / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = load(foreign_folder)
    assert asyncio.run(loaded.tokenize(TextPrompt(text="hello")))
    with pytest.raises(UnsupportedFeature, match="has no chat template"):
        asyncio.run(loaded.tokenize(chat("hello")))
