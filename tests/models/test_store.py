"""The store: what is installed is whole, what is refused leaves nothing."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.errors import (
    DiskSpaceError,
    HashMismatchError,
    InvalidModelError,
    ModelError,
    UnknownModelError,
    UnsafeModelError,
    UsageError,
)
from trivium_models.manifest import Manifest
from trivium_models.store import Store


def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "theirs"))


def test_folder_of_another_exporter_is_installed(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    model = store.pull(str(exported), name="mine")
    manifest = Manifest.read(model.folder)
    assert (manifest.default_graph, manifest.exact_graph) == ("model.onnx", None)
    assert (manifest.card.name, manifest.card.license) == ("mine", "unknown")
    assert manifest.card.limits.context_length == 128
    assert store.verify("mine").problems == ()
    assert {entry.path for entry in manifest.files} == {path.name for path in exported.iterdir()}


def test_gguf_file_is_exported_and_installed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    model = store.pull(str(write_tiny_gguf(tmp_path / "Tiny-Llama.gguf")))
    assert model.name == "tiny-llama"
    assert model.manifest is not None
    assert (model.manifest.default_graph, model.manifest.exact_graph) == ("ragged.onnx", "ragged_exact.onnx")


def test_installed_folder_can_be_pulled_into_another_store(tmp_path: Path, exported: Path) -> None:
    first = Store(tmp_path / "one").pull(str(exported), name="mine")
    second = Store(tmp_path / "two").pull(str(first.folder), name="yours")
    assert first.manifest is not None
    assert second.manifest is not None
    assert second.manifest.digest == first.manifest.digest
    assert second.manifest.card.name == "yours"


def test_folder_that_contradicts_its_manifest_is_refused(tmp_path: Path, exported: Path) -> None:
    first = Store(tmp_path / "one").pull(str(exported), name="mine")
    config = first.folder / "tokenizer_config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(HashMismatchError, match=r"tokenizer_config\.json has sha256"):
        Store(tmp_path / "two").pull(str(first.folder))
    assert Store(tmp_path / "two").installed() == []


def no_config(folder: Path) -> None:
    (folder / "genai_config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_graph(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.onnx.data").unlink()


def short_weights(folder: Path) -> None:
    os.truncate(folder / "model.onnx.data", 1000)


def broken_config(folder: Path) -> None:
    (folder / "genai_config.json").write_text("{")


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def broken_manifest(folder: Path) -> None:
    (folder / "model.toml").write_text("name = ")


def change_config(folder: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    path = folder / "genai_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def graph_outside(folder: Path) -> None:
    change_config(folder, lambda config: config["model"].update(decoder={"filename": "../model.onnx"}))


def graph_missing(folder: Path) -> None:
    change_config(folder, lambda config: config["model"].update(decoder={"filename": "other.onnx"}))


def no_context(folder: Path) -> None:
    change_config(folder, lambda config: config["model"].pop("context_length"))


def native_code(folder: Path) -> None:
    change_config(folder, lambda config: config["search"].update(custom_ops_library="evil.so"))


def weights_outside(folder: Path) -> None:
    (folder / "model.onnx.data").rename(folder.parent / "outside")
    (folder / "model.onnx.data").symlink_to(folder.parent / "outside")


def file_outside(folder: Path) -> None:
    (folder / "notes.txt").symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (no_config, InvalidModelError, "it has no genai_config.json"),
        (no_tokenizer, InvalidModelError, "it has no tokenizer.json"),
        (no_graph, InvalidModelError, "has no model.onnx"),
        (no_weights, InvalidModelError, "model.onnx.data) does not exist"),
        (short_weights, InvalidModelError, "lie outside model.onnx.data"),
        (broken_config, InvalidModelError, "not valid JSON"),
        (broken_tokenizer, InvalidModelError, "is not a tokenizer"),
        (broken_manifest, InvalidModelError, "not valid TOML"),
        (graph_outside, UnsafeModelError, "points outside"),
        (graph_missing, InvalidModelError, "has no other.onnx"),
        (no_context, InvalidModelError, "model.context_length"),
        (native_code, UnsafeModelError, "custom_ops_library"),
        (weights_outside, UnsafeModelError, "leads out of the model's folder"),
        (file_outside, UnsafeModelError, "notes.txt is a link"),
    ],
)
def test_folder_that_is_no_model_is_refused(
    tmp_path: Path, exported: Path, damage: Callable[[Path], None], error: type[ModelError], words: str
) -> None:
    folder = copied(exported, tmp_path)
    damage(folder)
    store = Store(tmp_path / "store")
    with pytest.raises(error) as caught:
        store.pull(str(folder))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.installed() == []
    assert not any((store.path / ".staging").iterdir())


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "A", "x" * 65, "a\\b", "a\0", "-x"])
def test_name_that_is_no_plain_name_is_refused(tmp_path: Path, exported: Path, name: str) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(UsageError):
        store.pull(str(exported), name=name)
    with pytest.raises(UsageError):
        store.remove(name)
    with pytest.raises(UsageError):
        store.verify(name)
    assert not store.path.exists()


@pytest.mark.parametrize("name", ["smolm2-135m", "smolm2", "smollm2-135m-instrcut"])
def test_unknown_name_shows_near_matches(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownModelError, match="did you mean smollm2-135m-instruct") as caught:
        Store(tmp_path / "store").pull(name)
    assert caught.value.near == ("smollm2-135m-instruct",)


@pytest.mark.parametrize("name", ["zebra", ""])
def test_name_like_no_other_shows_what_there_is(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownModelError, match="it has: smollm2-135m-instruct"):
        Store(tmp_path / "store").pull(name)


def test_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\./nowhere does not exist"):
        Store(tmp_path / "store").pull("./nowhere")


def test_verify_names_every_problem(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    folder = store.pull(str(exported), name="mine").folder
    (folder / "tokenizer_config.json").unlink()
    (folder / "extra.txt").write_text("new")
    data = folder / "model.onnx.data"
    with data.open("r+b") as file:
        file.write(b"\xff")
    problems = " ".join(store.verify("mine").problems)
    assert "tokenizer_config.json is missing" in problems
    assert "extra.txt is not listed" in problems
    assert "model.onnx.data has changed" in problems


def test_edited_manifest_is_seen_and_force_repairs(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    folder = store.pull(str(exported), name="mine").folder
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace("size_bytes = 1", "size_bytes = 2", 1))
    (damaged,) = store.installed()
    assert "was edited" in (damaged.problem or "")
    assert store.verify("mine").problems == (damaged.problem,)
    assert store.pull(str(exported), name="mine", force=True).problem is None
    assert store.verify("mine").problems == ()


def test_what_a_killed_process_left_is_cleaned(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    stale = store.path / ".staging" / "mine" / "model"
    stale.mkdir(parents=True)
    (stale / "half").write_text("half")
    assert store.installed() == []
    folder = store.pull(str(exported), name="mine").folder
    assert not (folder / "half").exists()
    assert not (store.path / ".staging" / "mine").exists()


def test_removed_model_is_gone(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    store.pull(str(exported), name="mine")
    store.remove("mine")
    assert store.installed() == []
    with pytest.raises(UnknownModelError):
        store.remove("mine")


def test_store_that_is_a_file_is_refused(tmp_path: Path, exported: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(UsageError, match="cannot be used as the model store"):
        Store(tmp_path / "store").pull(str(exported))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system of a chosen size")
def test_small_disk_is_full(tmp_path: Path, exported: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount")
    try:
        with pytest.raises(DiskSpaceError, match="TRIVIUM_MODELS_DIR"):
            Store(small / "store").pull(str(exported))
        assert Store(small / "store").installed() == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
