"""Moonshine's folder: its tokenizer says what the published vocabulary says, and its graphs hear what is spoken."""

import random
import re
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests.models.moonshine_reference import Moonshine
from tests.models.published import published
from tests.recordings import SPOKEN, load_speech
from trivium_models.errors import InvalidModelError
from trivium_models.speech.moonshine import export_moonshine
from trivium_models.speech.moonshine_tokenizer import export_tokenizer
from trivium_models.store import Store

NAME = "moonshine-tiny-en"
AUSTEN = sorted(name for name in SPOKEN if "austen" in name)
# Entries of tokenizer.bin that its own library leaves out of texts.
SPECIAL = re.compile(rb"<.+>", re.DOTALL)


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder in the machine's own store; pulled when it is missing."""
    return Store().pull(NAME).folder


@pytest.fixture(scope="module")
def moonshine(folder: Path) -> Moonshine:
    return Moonshine(folder)


@pytest.fixture(scope="module")
def vocabulary() -> list[bytes]:
    """tokenizer.bin, read entry by entry: a length of one or two bytes, and so many bytes."""
    content, entries, place = published(NAME)["tokenizer.bin"].read_bytes(), [], 0
    while place < len(content):
        size = content[place]
        place += 1
        if size > 127:
            size += (content[place] << 7) - 128
            place += 1
        entries.append(content[place : place + size])
        place += size
    return entries


def said(vocabulary: list[bytes], ids: list[int]) -> bytes:
    """A text as Moonshine's own library makes it of tokens; for each one alone, its answers were compared by hand."""
    kept = b"".join(vocabulary[index] for index in ids if not SPECIAL.fullmatch(vocabulary[index]))
    return kept.replace("▁".encode(), b" ").strip(b" \t")


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def agreement(text: str, spoken: str) -> float:
    """How much of both is the same words in the same order, 0 to 1."""
    return SequenceMatcher(None, words(text), spoken.split(), autojunk=False).ratio()


def pauses(samples: NDArray[np.float32], max_s: float) -> list[NDArray[np.float32]]:
    """Cuts a recording of 16 kHz in its quietest places, into pieces of at most max_s."""
    pieces = []
    while len(samples) > max_s * 16000:
        blocks = samples[4 * 16000 : int(max_s * 16000) // 3200 * 3200]
        loudness = np.square(blocks[: len(blocks) // 3200 * 3200].reshape(-1, 3200)).sum(axis=1)
        cut = 4 * 16000 + int(loudness.argmin()) * 3200 + 1600
        pieces.append(samples[:cut])
        samples = samples[cut:]
    return [*pieces, samples]


def test_every_token_decodes_as_published(folder: Path, vocabulary: list[bytes]) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == len(vocabulary) == 32768
    for index in range(len(vocabulary)):
        assert tokenizer.decode([index]) == said(vocabulary, [index]).decode(errors="replace"), index


def test_texts_decode_as_published(folder: Path, vocabulary: list[bytes]) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    chance, num_texts = random.Random(7), 0
    for _ in range(3000):
        ids = chance.choices(range(len(vocabulary)), k=chance.randint(1, 12))
        wanted = said(vocabulary, ids)
        try:
            assert tokenizer.decode(ids) == wanted.decode(), ids
        except UnicodeDecodeError:
            assert "\ufffd" in tokenizer.decode(ids)
        else:
            num_texts += 1
    assert num_texts > 2500


def test_bytes_in_a_row_are_one_character(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    first_byte = 3
    assert tokenizer.decode([first_byte + byte for byte in "é€😀".encode()]) == "é€😀"
    assert tokenizer.decode([first_byte + 0xF0, first_byte + 0x9F]) == "\ufffd\ufffd"


@pytest.mark.parametrize("text", ["Hello world", "It was the best of times, it was the worst of times.", "日本 é 😀"])
def test_text_comes_back(folder: Path, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_text_is_cut_as_llama_cuts_it(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The ids that Llama 2's own tokenizer gives, whose vocabulary this is.
    assert tokenizer.encode("Hello world").ids == [15043, 3186]


@pytest.mark.parametrize("name", AUSTEN)
def test_recording_is_heard(moonshine: Moonshine, name: str) -> None:
    text = moonshine.transcribe(load_speech(name))
    assert agreement(text, SPOKEN[name]) >= 0.75, text


def test_long_recording_is_heard_piece_by_piece(moonshine: Moonshine) -> None:
    pieces = pauses(load_speech("two_cities.wav"), 10)
    assert len(pieces) > 4
    text = " ".join(moonshine.transcribe(piece) for piece in pieces)
    assert agreement(text, SPOKEN["two_cities.wav"]) >= 0.9, text


def test_graphs_are_those_of_the_package(folder: Path) -> None:
    decoder = published(NAME)["decoder_model_merged.ort"]
    assert (folder / "decoder_model_merged.ort").read_bytes() == decoder.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not begin with"),
        (b"\x05<unk>\x03<s>", "does not begin with"),
        (b"\x05<unk>\x03<s>\x04</s", "is cut short"),
        (b"\x80", "is cut short"),
    ],
)
def test_file_that_is_no_vocabulary_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "tokenizer.bin").write_bytes(content)
    with pytest.raises(InvalidModelError, match=words):
        export_tokenizer(tmp_path / "tokenizer.bin", tmp_path / "tokenizer.json")
    assert not (tmp_path / "tokenizer.json").exists()


def test_vocabulary_with_a_token_twice_or_of_broken_text_is_refused(tmp_path: Path) -> None:
    content = published(NAME)["tokenizer.bin"].read_bytes()
    for added, wrong in ((b"\x03ing", "has a token twice"), (b"\x02\xff\xfe", "is not UTF-8")):
        (tmp_path / "tokenizer.bin").write_bytes(content + added)
        with pytest.raises(InvalidModelError, match=wrong):
            export_tokenizer(tmp_path / "tokenizer.bin", tmp_path / "tokenizer.json")


def test_another_graph_is_refused(tmp_path: Path, folder: Path) -> None:
    tokenizer = published(NAME)["tokenizer.bin"]
    for other in (folder / "encoder_model.ort", folder / "config.json"):
        with pytest.raises(InvalidModelError):
            export_moonshine(other, tokenizer, tmp_path)
    assert list(tmp_path.iterdir()) == []
