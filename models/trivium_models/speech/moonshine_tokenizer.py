"""Turns Moonshine's tokenizer.bin into tokenizer.json for the tokenizers library.

The file is the vocabulary, token by token, each as its length and its bytes; a length of 128 or more takes two bytes,
seven bits of it in the first one. It is the vocabulary of Llama 2: a token each for <unk>, <s> and </s>, then for every
byte, then pairs in the order in which byte-pair encoding merges them, then single characters, then special tokens.
"""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

from trivium_models.errors import InvalidModelError

UNKNOWN_ID, BOS_ID, EOS_ID = 0, 1, 2
_FIRST_TOKENS = (b"<unk>", b"<s>", b"</s>")
_BYTES = tuple(bytes([byte]) for byte in range(256))
_FIRST_BYTE = len(_FIRST_TOKENS)
_FIRST_PIECE = _FIRST_BYTE + len(_BYTES)
_SPECIAL_PREFIX = "<<ST_"
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def export_tokenizer(source: Path, target: Path) -> int:
    """Writes tokenizer.json; returns how many tokens it has.

    What it decodes, special tokens left out, is what Moonshine's own library gives, with blanks and tabs at both ends
    taken off; where bytes in a row are no UTF-8, each of them becomes U+FFFD. Raises InvalidModelError when the file is
    not such a vocabulary.
    """
    tokens = _read_tokens(source)
    texts = _texts(source.name, tokens)
    ids = {text: index for index, text in enumerate(texts)}
    if len(ids) != len(texts):
        raise InvalidModelError(f"{source.name} has a token twice")
    unknown, bos, eos = (texts[index] for index in (UNKNOWN_ID, BOS_ID, EOS_ID))
    special = [unknown, bos, eos, *(text for text in texts if text.startswith(_SPECIAL_PREFIX))]
    tokenizer = Tokenizer(
        models.BPE(vocab=ids, merges=_merges(texts, ids), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(Regex(r"\A[ \t]+|[ \t]+\z"), ""),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.save(str(target), pretty=False)
    return len(texts)


def _read_tokens(source: Path) -> list[bytes]:
    content, tokens, place = source.read_bytes(), [], 0
    while place < len(content):
        size = content[place]
        place += 1
        if size >= 128 and place < len(content):
            size += 128 * (content[place] - 1)
            place += 1
        tokens.append(content[place : place + size])
        place += size
    if place != len(content):
        raise InvalidModelError(f"{source.name} is cut short")
    if (*tokens[:_FIRST_BYTE], *tokens[_FIRST_BYTE:_FIRST_PIECE]) != (*_FIRST_TOKENS, *_BYTES):
        raise InvalidModelError(f"{source.name} does not begin with <unk>, <s>, </s> and a token for each byte")
    return tokens


def _texts(where: str, tokens: Sequence[bytes]) -> list[str]:
    """The tokens as tokenizer.json has them, where those of single bytes have names."""
    try:
        pieces = [token.decode() for token in tokens[_FIRST_PIECE:]]
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{where} has a token that is not UTF-8") from error
    first = [token.decode() for token in _FIRST_TOKENS]
    return [*first, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]


def _merges(texts: Sequence[str], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to put a token together of two others, the earlier tokens first."""
    merges = []
    for text in texts[_FIRST_PIECE:]:
        if text.startswith(_SPECIAL_PREFIX):
            continue
        pairs = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        known = [(left, right) for left, right in pairs if left in ids and right in ids]
        merges += sorted(known, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    return merges
