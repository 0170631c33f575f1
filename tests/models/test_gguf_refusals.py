"""GGUF files that are damaged or cannot be exported exactly: one clear line, and nothing in the store."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from tests.models.tiny_llama import HIDDEN, write_tiny_gguf
from trivium_models.errors import InvalidGgufError, InvalidModelError
from trivium_models.store import Store

REQUIRED_KEYS = [
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.layer_norm_rms_epsilon",
    "tokenizer.ggml.model",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.eos_token_id",
]


def refused(store_path: Path, gguf: Path) -> str:
    """The one-line message with which a pull of the file fails; checks that the store is left empty."""
    store = Store(store_path)
    with pytest.raises(InvalidModelError) as caught:
        store.pull(str(gguf))
    assert isinstance(caught.value, InvalidGgufError)
    assert store.installed() == []
    assert list((store_path / ".staging").iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    message = refused(tmp_path / "store", write_tiny_gguf(tmp_path / "tiny.gguf", without_keys=[key]))
    assert key in message
    assert "missing" in message


@pytest.mark.parametrize("name", ["blk.1.ffn_up.weight", "token_embd.weight", "output_norm.weight"])
def test_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    assert name in refused(tmp_path / "store", write_tiny_gguf(tmp_path / "tiny.gguf", without_tensors=[name]))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"architecture": "qwen2"}, "architecture 'qwen2'"),
        ({"extra_keys": {"llama.rope.scaling.type": "yarn"}}, "rotary scaling 'yarn'"),
        ({"extra_keys": {"llama.rope.scale_linear": 2.0}}, "rotary scaling"),
        ({"extra_keys": {"llama.expert_count": 8.0}}, "mixtures of experts"),
        ({"extra_tensors": {"rope_freqs.weight": np.ones(8, np.float32)}}, "rotary frequency factors"),
        ({"extra_tensors": {"blk.0.attn_q.bias": np.ones(64, np.float32)}}, "blk.0.attn_q.bias"),
        (
            {"extra_tensors": {"output_norm.weight": np.ones(HIDDEN + 1, np.float32)}},
            "output_norm.weight has shape (65,)",
        ),
        ({"splitting_rule": "deepseek-llm"}, "splitting rule 'deepseek-llm'"),
        ({"tokenizer_kind": "llama"}, "tokenizer kind 'llama'"),
        ({"merges": ["h e", "zz qq"]}, "do not fit together"),
        ({"merges": ["he"]}, "is not a pair"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unsupported_kind_is_refused(tmp_path: Path, fault: dict[str, object], words: str) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", **fault)  # type: ignore[arg-type]  # a table of keyword arguments
    assert words in refused(tmp_path / "store", gguf)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.05, 0.3, 0.6, 0.9, 0.999])
def test_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    whole = write_tiny_gguf(tmp_path / "whole.gguf", kind=Kind.Q8_0).read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: int(len(whole) * part)])
    assert "not a complete GGUF file" in refused(tmp_path / "store", cut)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.gguf"
    text.write_bytes(b"these are not weights\n" * 1000)
    assert "not a complete GGUF file" in refused(tmp_path / "store", text)
