"""The bytes that each token of a tokenizer stands for.

Covers the two families that decoder-only models use: byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM), whose vocabulary
spells bytes as printable characters, and SentencePiece-style BPE with byte fallback (Llama 2, Mistral, Gemma), whose
vocabulary spells a space as U+2581 and rare bytes as <0xNN>. Sources: openai/gpt-2 `encoder.py`; google/sentencepiece.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class UnsupportedTokenizerError(Exception):
    """The tokenizer's decoder is of a kind whose tokens have no fixed bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """token_bytes[id]: what the token adds to the text; nothing for a special token.

    special: names by id. control: special, and added ones that no ordinary text means, such as turn markers; names by
    id. Added tokens of white space, or of one character, are ordinary text.
    """

    token_bytes: tuple[bytes, ...]
    special: dict[int, str]
    control: dict[int, str]


def read_vocabulary(tokenizer: Tokenizer, size: int) -> Vocabulary:
    """Reads the bytes of ids 0 to size - 1; ids that the tokenizer does not have stand for nothing.

    Raises UnsupportedTokenizerError.
    """
    spell = _speller(json.loads(tokenizer.to_str()).get("decoder") or {})
    added = tokenizer.get_added_tokens_decoder()
    special = {index: token.content for index, token in added.items() if token.special}
    control = special | {
        index: token.content for index, token in added.items() if len(token.content) > 1 and not token.content.isspace()
    }
    spelled: list[bytes] = []
    for index in range(size):
        if index in special:
            spelled.append(b"")
        elif index in added:
            spelled.append(added[index].content.encode())
        else:
            token = tokenizer.id_to_token(index)
            spelled.append(b"" if token is None else spell(token))
    return Vocabulary(token_bytes=tuple(spelled), special=special, control=control)


def text_tokenizer(tokenizer: Tokenizer, control: Mapping[int, str]) -> Tokenizer:
    """Returns a tokenizer that gives the same ids, but takes what spells a control token for the text that it is."""
    description = json.loads(tokenizer.to_str())
    for token in description["added_tokens"]:
        token["special"] = token["id"] in control
    changed = Tokenizer.from_str(json.dumps(description))
    # Special tokens are not looked for, neither in the text nor in its normalized form.
    changed.encode_special_tokens = True
    return changed


class _ByteLevel:
    def __init__(self) -> None:
        printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        self._bytes = {chr(byte): byte for byte in printable}
        self._bytes.update({chr(256 + place): byte for place, byte in enumerate(others)})

    def __call__(self, token: str) -> bytes:
        return bytes(self._bytes[character] for character in token)


def _byte_fallback(token: str) -> bytes:
    match = _BYTE_TOKEN.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token.replace("\u2581", " ").encode()


def _speller(decoder: Mapping[str, object]) -> Callable[[str], bytes]:
    kinds = set(_kinds(decoder))
    if "ByteLevel" in kinds:
        return _ByteLevel()
    if kinds & {"ByteFallback", "Metaspace"}:
        return _byte_fallback
    raise UnsupportedTokenizerError(f"tokens of a {'/'.join(sorted(kinds)) or 'missing'} decoder have no fixed bytes")


def _kinds(decoder: Mapping[str, object]) -> Iterator[str]:
    """Yields the types of a decoder of tokenizer.json and of those it is a sequence of."""
    yield str(decoder.get("type"))
    inner = decoder.get("decoders")
    for part in inner if isinstance(inner, list) else []:
        yield from _kinds(part)
