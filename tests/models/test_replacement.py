"""Replacing an installed model: killed at whatever moment, the store has the old one or the new one, whole."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.errors import UnknownModelError
from trivium_models.replacement import put_in_place, settle, unsettled
from trivium_models.store import Store


def folder(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "content").write_text(content)
    return path


def content(path: Path) -> str:
    return (path / "content").read_text()


def test_pull_killed_before_any_step_leaves_the_old_model_or_the_new_one(tmp_path: Path) -> None:
    sources = [str(write_tiny_gguf(tmp_path / f"{seed}.gguf", seed=seed)) for seed in (0, 1)]
    program = Path(__file__).with_name("kill_moments.py")
    arguments = [sys.executable, str(program), str(tmp_path / "store"), *sources]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["problems"] for report in reports] == [[]] * len(reports)
    assert {tuple(report["installed"]) for report in reports} == {("mine",)}
    killed = Counter(report["killed_before"] for report in reports)
    # The three renames of a replacement, and the steps around them; the last pull ends by itself.
    assert killed["os.rename"] >= 3
    assert killed["open"] >= 5
    assert reports[-1]["killed_before"] is None
    assert {report["content"] for report in reports} == {0, 1}
    # Between the first two renames a reader that does not recover sees no model; at every other moment it sees one.
    assert [report["seen_by_others"] for report in reports].count([]) == 1
    left = {path.name for path in (tmp_path / "store").rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert left == {path.name for path in (tmp_path / "store" / "mine").iterdir()}


def test_failing_second_step_brings_the_old_model_back(tmp_path: Path) -> None:
    folder(tmp_path / "mine", "old")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path, "mine", tmp_path / "never-made", trash=tmp_path / "trash")
    assert content(tmp_path / "mine") == "old"
    assert unsettled(tmp_path) == []


def test_first_model_of_a_name_needs_no_replacing(tmp_path: Path) -> None:
    put_in_place(tmp_path, "mine", folder(tmp_path / "new", "new"), trash=tmp_path / "trash")
    assert content(tmp_path / "mine") == "new"
    assert not (tmp_path / "trash").exists()


def test_replaced_model_is_dropped_where_the_new_one_is_in_place(tmp_path: Path) -> None:
    folder(tmp_path / "mine", "new")
    folder(tmp_path / ".replaced" / "mine", "old")
    settle(tmp_path, "mine", trash=tmp_path / "trash")
    assert (content(tmp_path / "mine"), content(tmp_path / "trash")) == ("new", "old")
    assert unsettled(tmp_path) == []


@pytest.mark.parametrize("through", ["installed", "find", "verify", "pull"])
def test_every_use_of_the_store_ends_a_replacement_that_was_cut_off(
    tmp_path: Path, exported: Path, through: str
) -> None:
    store = Store(tmp_path / "store")
    model = store.pull(str(exported), name="mine")
    (store.path / ".replaced").mkdir(exist_ok=True)
    model.folder.rename(store.path / ".replaced" / "mine")
    if through == "installed":
        assert store.installed() == [model]
    elif through == "find":
        assert store.find("mine") == model
    elif through == "verify":
        assert store.verify("mine").problems == ()
    else:
        assert store.pull(str(exported), name="mine") == model
    assert model.folder.is_dir()
    assert unsettled(store.path) == []


def test_removed_model_does_not_come_back(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    store.pull(str(exported), name="mine")
    folder(store.path / ".replaced" / "mine", "old")
    store.remove("mine")
    assert store.installed() == []
    with pytest.raises(UnknownModelError):
        store.verify("mine")


def test_model_that_is_a_link_is_replaced_without_touching_what_it_points_to(tmp_path: Path, exported: Path) -> None:
    elsewhere = Store(tmp_path / "elsewhere").pull(str(exported), name="mine").folder
    store = Store(tmp_path / "store")
    store.path.mkdir()
    (store.path / "mine").symlink_to(elsewhere)
    assert store.pull(str(exported), name="mine", force=True).problem is None
    assert not (store.path / "mine").is_symlink()
    assert (elsewhere / "model.toml").is_file()


def test_names_that_a_stranger_left_there_do_no_harm(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    folder(store.path / ".replaced" / "NOT A NAME", "x")
    folder(store.path / ".replaced" / os.fsdecode(b"caf\xe9"), "x")
    assert store.installed() == []
