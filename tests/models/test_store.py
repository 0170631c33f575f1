"""The store: what is installed is whole, what is refused leaves nothing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.errors import (
    HashMismatchError,
    InvalidModelError,
    ModelError,
    UnknownModelError,
    UnsafeModelError,
    UsageError,
)
from trivium_models.manifest import Manifest
from trivium_models.progress import NoProgress
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


def manifest_outside(folder: Path) -> None:
    (folder / "model.toml").symlink_to("/etc/hostname")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "notes.txt")


def folder_link(folder: Path) -> None:
    (folder / "more").symlink_to("/etc")


def link_to_itself(folder: Path) -> None:
    (folder / "notes.txt").symlink_to("notes.txt")


def two_cases(folder: Path) -> None:
    (folder / "Notes.txt").write_text("1")
    (folder / "notes.TXT").write_text("2")


def no_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("")


def escape_code(folder: Path) -> None:
    (folder / "\x1b[2J.txt").write_text("")


def backslash(folder: Path) -> None:
    (folder / "a\\b.txt").write_text("")


def nested_config(folder: Path) -> None:
    (folder / "genai_config.json").write_text('{"a": ' * 900 + "1" + "}" * 900)


def endless_config(folder: Path) -> None:
    (folder / "genai_config.json").write_text("[" * 200_000)


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
        (manifest_outside, UnsafeModelError, "model.toml is a link"),
        (pipe, InvalidModelError, "notes.txt is not a regular file"),
        (folder_link, UnsafeModelError, "more is a link"),
        (link_to_itself, InvalidModelError, "notes.txt does not exist"),
        (two_cases, InvalidModelError, "some disks take for one file"),
        (no_utf8, InvalidModelError, "not plain text"),
        (escape_code, InvalidModelError, "not plain text"),
        (backslash, InvalidModelError, "not plain text"),
        (nested_config, InvalidModelError, "model.decoder is missing"),
        (endless_config, InvalidModelError, "not valid JSON"),
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
    with pytest.raises(UnknownModelError, match="it has: all-minilm-l6-v2, "):
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


@pytest.mark.parametrize("room", [100, 20_000])
def test_disk_that_fills_up_while_a_folder_is_copied_is_named(tmp_path: Path, exported: Path, room: int) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from trivium_models.store import Store;"
        "from trivium_models.errors import DiskSpaceError;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
        "try: Store(Path(sys.argv[1])).pull(sys.argv[2])\n"
        "except DiskSpaceError as error: print(error)"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "store"), str(exported), str(room)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "is full" in done.stdout
    assert "TRIVIUM_MODELS_DIR" in done.stdout
    assert Store(tmp_path / "store").installed() == []
    assert not any((tmp_path / "store" / ".staging").iterdir())


class Notes(NoProgress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_folder_without_a_printable_name_is_skipped_with_a_note(tmp_path: Path, exported: Path) -> None:
    store, notes = Store(tmp_path / "store"), Notes()
    store.pull(str(exported), name="mine")
    (store.path / os.fsdecode(b"caf\xe9")).mkdir()
    (store.path / "bell\a").mkdir()
    assert [model.name for model in store.installed(progress=notes)] == ["mine"]
    assert notes.texts == [
        "skipping the folder 'bell\\x07': its name is not plain text",
        "skipping the folder 'caf\\udce9': its name is not plain text",
    ]


def test_model_under_another_folder_name_is_damaged(tmp_path: Path, exported: Path) -> None:
    store = Store(tmp_path / "store")
    store.pull(str(exported), name="mine").folder.rename(store.path / "yours")
    (damaged,) = store.installed()
    assert damaged.problem == "model.toml names it 'mine', but the folder is 'yours'"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("zebra", "whisper-tiny-en. Other models: hf:OWNER/REPO, ./FOLDER or ./FILE.gguf"),
        ("smolm2", "did you mean smollm2-135m-instruct? Other models: hf:OWNER/REPO"),
        ("acme/tiny", "acme/tiny does not exist. If it is a Hugging Face repository, write hf:acme/tiny"),
        ("./nowhere.gguf", "does not exist. Other models: hf:OWNER/REPO"),
        ("here", "For the folder of that name here, write ./here"),
        ("~nobody-of-that-name/x", "cannot be used"),
        ("/dev/null", "neither a folder nor a regular file"),
        ("./" + "x" * 300, "cannot be used"),
        ("./a\0b", "cannot be used"),
        ("./loop", "cannot be used"),
    ],
)
def test_spec_that_names_nothing_says_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError) as caught:
        Store(tmp_path / "store").pull(spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
