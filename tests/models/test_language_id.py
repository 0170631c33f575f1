"""Models that tell languages: a py3langid model becomes a folder of n-grams and weights, and nothing wrong gets in."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.models.tiny_langid import NGRAMS, Arrays, packed, tiny_arrays
from trivium_models.catalog import load_catalog
from trivium_models.errors import InvalidModelError
from trivium_models.folder_check import check_folder
from trivium_models.language_id import export_language_id
from trivium_models.manifest import Manifest
from trivium_models.store import Store

WHEEL, MEMBER = "tiny_langid-1.0-py3-none-any.whl", "tiny_langid/model.npz.xz"


def export(tmp_path: Path, content: bytes) -> tuple[str, ...]:
    source, folder = tmp_path / "model.npz.xz", tmp_path / "tiny"
    source.write_bytes(content)
    folder.mkdir()
    return export_language_id(source, folder)


def refused(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(InvalidModelError) as caught:
        export(tmp_path, content)
    assert list((tmp_path / "tiny").iterdir()) == []
    return str(caught.value)


def test_the_automaton_is_spelled_out(tmp_path: Path) -> None:
    arrays = tiny_arrays()
    assert export(tmp_path, packed(arrays)) == ("en", "ki", "sr")
    ngrams = np.load(tmp_path / "tiny" / "ngrams.npy").tolist()
    assert ngrams == [len(ngram) << 56 | int.from_bytes(ngram, "big") for ngram in NGRAMS]
    np.testing.assert_array_equal(np.load(tmp_path / "tiny" / "weights.npy"), arrays["ptc"])
    np.testing.assert_array_equal(np.load(tmp_path / "tiny" / "prior.npy"), arrays["pc"])
    config = json.loads((tmp_path / "tiny" / "language_id.json").read_text())
    assert config == {"column_languages": ["en", "ki", "sr", "sr"]}


def test_ngrams_inside_others_and_at_the_limit_of_length(tmp_path: Path) -> None:
    ngrams = [b"a", b"aa", b"aaa", b"baa", b"abcdefg", b"cde", b"\x00", b"\x00\x00"]
    export(tmp_path, packed(tiny_arrays(ngrams)))
    spelled = np.load(tmp_path / "tiny" / "ngrams.npy").tolist()
    assert [(number & ((1 << 56) - 1)).to_bytes(number >> 56, "big") for number in spelled] == ngrams


def set_item(name: str, place: int | tuple[int, int], value: float) -> Callable[[Arrays], object]:
    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return change


def swap(name: str, make: Callable[[Arrays], object]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: make(arrays)})  # type: ignore[dict-item]  # whatever a test makes


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("not a model of py3langid", lambda arrays: arrays.pop("ptc")),
        ("not a model of py3langid", swap("classes", lambda _: np.array(["en", None], object))),
        ("it must be float16", swap("ptc", lambda arrays: arrays["ptc"].astype(np.float64))),
        ("it must be uint32", swap("nextmove", lambda arrays: arrays["nextmove"].astype(np.int32))),
        ("weights has shape", swap("ptc", lambda arrays: arrays["ptc"][:, :3])),
        ("weights has shape", swap("ptc", lambda arrays: arrays["ptc"][:5])),
        ("prior has shape", swap("pc", lambda arrays: arrays["pc"][:3])),
        ("must be finite", set_item("ptc", (1, 1), np.nan)),
        ("must be finite", set_item("pc", 2, np.inf)),
        ("contradicts itself", swap("nextmove", lambda arrays: arrays["nextmove"][:-1])),
        ("contradicts itself", set_item("nextmove", ord("a"), 60_000)),
        ("contradicts itself: what follows", set_item("nextmove", ord("q"), 2)),
        ("contradicts itself", set_item("nextmove_row", 2, 60_000)),
        ("a feature has not exactly one", set_item("out_feat", -1, 0)),
        ("a feature has not exactly one", set_item("out_feat", 0, 5)),
        ("weights has shape", set_item("out_feat", -1, -1)),
    ],
)
def test_what_is_no_such_model_is_refused(tmp_path: Path, message: str, change: Callable[[Arrays], object]) -> None:
    arrays = tiny_arrays()
    change(arrays)
    assert message in refused(tmp_path, packed(arrays))


def test_an_ngram_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert "more than 7 bytes" in refused(tmp_path, packed(tiny_arrays([b"abcdefgh"])))


@pytest.mark.parametrize("content", [b"", b"no archive", packed(tiny_arrays())[:-50]])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "not a model of py3langid" in refused(tmp_path, content)


def test_the_folder_is_installed_and_verified(tmp_path: Path) -> None:
    export(tmp_path, packed(tiny_arrays()))
    store = Store(tmp_path / "store")
    model = store.pull(str(tmp_path / "tiny"))
    assert model.manifest is not None
    assert (model.manifest.card.task, model.manifest.card.architecture) == ("detect_language", "language_id")
    assert model.manifest.graphs == ()
    assert Manifest.read(model.folder) == model.manifest
    assert store.verify("tiny").problems == ()
    (model.folder / "prior.npy").unlink()
    assert len(store.verify("tiny").problems) == 2


def test_a_folder_whose_files_contradict_each_other_is_refused(tmp_path: Path) -> None:
    export(tmp_path, packed(tiny_arrays()))
    folder = tmp_path / "tiny"
    np.save(folder / "ngrams.npy", np.load(folder / "ngrams.npy")[[0, 0, 2, 3, 4, 5]])
    with pytest.raises(InvalidModelError, match="ngrams must be different"):
        check_folder(folder)
    np.save(folder / "ngrams.npy", np.array([NGRAMS[0]], object))
    with pytest.raises(InvalidModelError, match="not an array"):
        check_folder(folder)


@pytest.mark.parametrize(("codes", "is_right"), [('["en", "ki", "sr"]', True), ('["en", "sr"]', False)])
def test_a_catalogue_entry_lists_the_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: str, is_right: bool
) -> None:
    content = packed(tiny_arrays())
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as archive:
        archive.writestr(MEMBER, content)
    wheel = (tmp_path / WHEEL).read_bytes()
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "tiny.toml").write_text(
        f"""
name = "tiny"
version = "1"
display_name = "Tiny"
task = "detect_language"
architecture = "language_id"
license = "CC0-1.0"
upstream = "the tests"
language_codes = {codes}
installed_size_bytes = 1000
[[source]]
kind = "pypi"
package = "tiny-langid"
version = "1.0"
file = "{WHEEL}"
sha256 = "{hashlib.sha256(wheel).hexdigest()}"
size_bytes = {len(wheel)}
[[source.members]]
path = "{MEMBER}"
role = "langid"
sha256 = "{hashlib.sha256(content).hexdigest()}"
size_bytes = {len(content)}
[limits]
context_length = 0
max_input_tokens = 0
max_output_tokens = 0
"""
    )
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    store = Store(tmp_path / "store", catalog=load_catalog(catalog))
    if is_right:
        manifest = store.pull("tiny").manifest
        assert manifest is not None
        assert manifest.card.language_codes == ("en", "ki", "sr")
    else:
        with pytest.raises(InvalidModelError, match="language_codes"):
            store.pull("tiny")
        assert store.installed() == []
