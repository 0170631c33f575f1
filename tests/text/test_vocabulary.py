"""The bytes of tokens, against the tokenizers' own decoders."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from trivium_server.text.vocabulary import UnsupportedTokenizerError, read_vocabulary


def byte_level() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("\u0120", "a"), ("\u0120a", "b")]
    vocabulary = {token: index for index, token in enumerate([*alphabet, *("".join(merge) for merge in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    return tokenizer


def byte_fallback() -> Tokenizer:
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "\u2581a"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [("\u2581", "a")], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
@given(text=st.text(max_size=30))
def test_bytes_of_tokens_join_to_the_text(make: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = make()
    token_bytes = read_vocabulary(tokenizer, tokenizer.get_vocab_size()).token_bytes
    # Metaspace spells a space and U+2581 alike.
    assert b"".join(token_bytes[index] for index in tokenizer.encode(text).ids).decode() == text.replace(
        "\u2581", " " if make is byte_fallback else "\u2581"
    )


def test_special_tokens_have_a_name_and_no_text() -> None:
    vocabulary = read_vocabulary(byte_level(), 260)
    assert vocabulary.special == {259: "<|end|>"}
    assert vocabulary.token_bytes[259] == b""


def test_ids_beyond_the_tokenizer_stand_for_nothing() -> None:
    assert read_vocabulary(byte_level(), 300).token_bytes[299] == b""


def test_a_decoder_without_fixed_bytes_is_refused() -> None:
    tokenizer = byte_level()
    tokenizer.decoder = decoders.WordPiece()
    with pytest.raises(UnsupportedTokenizerError, match="WordPiece"):
        read_vocabulary(tokenizer, 10)
