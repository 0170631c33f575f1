"""Tokenizers rebuilt from GGUF metadata: they split as the model's own, and give every text back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.gguf_source import GgufSource
from trivium_models.tokenizer_export import TokenizerSource

HARD = [
    "",
    "Hello world",
    "  leading spaces\n\n\ttabs",
    "naïve café \u2013 “quotes” 你好 мир 🙂🚀",
    "2024-11-22 12345.678",
    "def f(x):\n    return x**2  # ok\n",
    "don't I'll we've DON'T",
    "<|im_start|>user\nhi<|im_end|>\n",
    "a" * 50,
    "\u200b\x00 weird \r\n",
]


def tokenizer_of(folder: Path, rule: str, **extra: object) -> Tokenizer:
    gguf = write_tiny_gguf(folder / f"{rule}.gguf", splitting_rule=rule, **extra)  # type: ignore[arg-type]  # a passthrough
    target = folder / rule
    target.mkdir()
    TokenizerSource(GgufSource(gguf)).write(target, 128)
    return Tokenizer.from_file(str(target / "tokenizer.json"))


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("rule", ["smollm", "gpt-2", "llama-bpe"])
def test_text_comes_back_whole(tmp_path: Path, rule: str, text: str) -> None:
    tokenizer = tokenizer_of(tmp_path, rule)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.fixture(scope="module")
def smollm(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_of(tmp_path_factory.mktemp("smollm"), "smollm")


@given(st.text(max_size=40))
def test_any_text_comes_back_whole(smollm: Tokenizer, text: str) -> None:
    assert smollm.decode(smollm.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize(
    ("rule", "pieces"),
    [
        ("smollm", ["hello", "Ġw", "1", "2", "3"]),  # digits stand alone
        ("gpt-2", ["hello", "Ġw", "12", "3"]),
        ("llama-bpe", ["hello", "Ġw", "12", "3"]),
    ],
)
def test_rules_split_digits_as_the_models_do(tmp_path: Path, rule: str, pieces: list[str]) -> None:
    tokens = tokenizer_of(tmp_path, rule).encode("hello w123", add_special_tokens=False).tokens
    assert tokens == pieces


def test_control_tokens_are_one_token_each_and_special(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path, "smollm")
    encoded = tokenizer.encode("<|im_start|>hello<|im_end|>")
    assert encoded.tokens == ["<|im_start|>", "hello", "<|im_end|>"]
    assert tokenizer.decode(encoded.ids) == "hello"


def test_beginning_of_text_is_added_where_the_rule_says_so(tmp_path: Path) -> None:
    assert tokenizer_of(tmp_path, "llama-bpe").encode("hello").tokens == ["<|im_start|>", "hello"]
    assert tokenizer_of(tmp_path, "gpt-2").encode("hello").tokens == ["hello"]
