"""The `trivium models` commands: output for people and programs, exit status, one-line errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trivium_models.catalog import load_catalog
from trivium_models.cli import models
from trivium_models.manifest import Card, FileEntry, Limits, Manifest


def run(store: Path, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(models, ["--store", str(store), *arguments], input=answer)


def test_commands_from_pull_to_rm(tmp_path: Path, exported: Path) -> None:
    store = tmp_path / "store"
    pulled = run(store, "pull", str(exported), "--name", "mine", "--json")
    assert json.loads(pulled.stdout) == {"models": [{"name": "mine", "folder": str(store / "mine")}]}
    listed = json.loads(run(store, "list", "--json").stdout)
    states = {row["name"]: row["state"] for row in listed["models"]}
    assert states == {"mine": "installed"} | dict.fromkeys(load_catalog().names(), "available")
    assert "mine" in run(store, "list").stdout
    shown = json.loads(run(store, "show", "mine", "--json").stdout)
    assert shown["limits"]["context_length"] == 128
    assert json.loads(run(store, "verify", "mine", "--json").stdout)["ok"] is True
    assert run(store, "rm", "mine", answer="n\n").exit_code == 1
    assert (store / "mine").is_dir()
    assert run(store, "rm", "mine", answer="y\n").exit_code == 0
    assert not (store / "mine").exists()


def test_show_of_a_catalogue_model_tells_what_it_is_good_at(tmp_path: Path) -> None:
    shown = run(tmp_path / "store", "show", "smollm2-135m-instruct")
    assert shown.exit_code == 0
    assert "good_at" in shown.stdout
    assert "Apache-2.0" in shown.stdout


def test_show_wraps_a_long_list_of_languages(tmp_path: Path) -> None:
    shown = run(tmp_path / "store", "show", "langid-140").stdout
    assert "language_codes   140 codes:\n                 af am ar " in shown
    assert len(shown.splitlines()) < 40
    assert len(json.loads(run(tmp_path / "store", "show", "langid-140", "--json").stdout)["language_codes"]) == 140


def test_pull_says_how_a_server_gets_the_model(tmp_path: Path, exported: Path) -> None:
    pulled = run(tmp_path / "store", "pull", str(exported), "--name", "mine")
    assert pulled.stderr.endswith(
        "a server that runs takes it with `trivium models load mine`; a new one with `trivium serve --model mine`\n"
    )
    again = run(tmp_path / "store", "pull", str(exported), "--name", "mine")
    assert "trivium serve" not in again.stderr
    assert "trivium serve" in run(tmp_path / "store", "pull", str(exported), "--name", "mine", "--force").stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["pull"], 2, "name a model; the catalogue has: all-minilm-l6-v2, all-minilm-l6-v2-int8, "),
        (["pull", "smollm"], 2, "did you mean smollm2-135m-instruct"),
        (["pull", "a", "b", "--name", "c"], 2, "one model at a time"),
        (["pull", "hf:nobody"], 2, "hf:owner/name"),
        (["show", "nothing"], 2, "no model named 'nothing'"),
        (["verify", "nothing"], 2, "no model named 'nothing'"),
        (["rm", "nothing", "--yes"], 2, "no model named 'nothing'"),
        (["rm", "../other", "--yes"], 2, "cannot be a model name"),
        (["list", "--nonsense"], 2, "No such option"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    result = run(tmp_path / "store", *arguments)
    assert result.exit_code == status
    assert words in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def write_hostile(store: Path) -> None:
    """A model whose card holds terminal codes and rich's markup."""
    folder = store / "mine"
    folder.mkdir(parents=True)
    card = Card(
        name="mine",
        version="1",
        display_name="\x1b]0;owned\x07",
        task="generate_text",
        architecture="genai",
        license="[/red]\x1b[2J",
        upstream="the tests",
        limits=Limits.for_context(128),
    )
    files = (FileEntry(path="model.onnx", sha256="0" * 64, size_bytes=1),)
    Manifest(card=card, source="x", default_graph="model.onnx", exact_graph=None, files=files).write(folder)


@pytest.mark.parametrize("command", ["list", "show"])
def test_words_of_a_stranger_do_not_reach_the_terminal_raw(tmp_path: Path, command: str) -> None:
    write_hostile(tmp_path / "store")
    result = run(tmp_path / "store", command, *(["mine"] if command == "show" else []))
    assert result.exit_code == 0
    assert "[/red]\\x1b[2J" in result.stdout
    assert not {"\x1b", "\x07"} & set(result.stdout)


def test_folder_without_a_printable_name_is_noted_and_the_rest_is_listed(tmp_path: Path) -> None:
    write_hostile(tmp_path / "store")
    (tmp_path / "store" / os.fsdecode(b"caf\xe9")).mkdir()
    result = run(tmp_path / "store", "list", "--json")
    assert "mine" in {row["name"] for row in json.loads(result.stdout)["models"]}
    assert "skipping the folder 'caf\\udce9'" in result.stderr


def test_refusal_of_the_machine_is_one_line(tmp_path: Path) -> None:
    result = run(tmp_path / ("x" * 300), "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "File name too long" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_commands_that_fetch_nothing_import_nothing_slow(tmp_path: Path) -> None:
    program = (
        "import sys; from click.testing import CliRunner; from trivium_models.cli import models;"
        "result = CliRunner().invoke(models, ['--store', sys.argv[1], *sys.argv[2:]]);"
        "assert result.exit_code == 0, result;"
        "slow = {'onnx', 'numpy', 'gguf', 'tokenizers', 'huggingface_hub', 'httpx', 'onnxruntime', 'rich', 'filelock'};"
        "print(sorted(slow & set(sys.modules)))"
    )
    for arguments in (["--help"], ["pull", "--help"], ["list", "--json"], ["show", "smollm2-135m-instruct"]):
        command = [sys.executable, "-c", program, str(tmp_path / "store"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n", arguments


def test_failed_verification_has_status_1(tmp_path: Path, exported: Path) -> None:
    store = tmp_path / "store"
    run(store, "pull", str(exported), "--name", "mine")
    (store / "mine" / "tokenizer_config.json").unlink()
    result = run(store, "verify", "mine")
    assert result.exit_code == 1
    assert "tokenizer_config.json is missing" in result.stderr


@pytest.mark.parametrize("command", [[], ["list"], ["pull"], ["show"], ["verify"], ["rm"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(models, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 5
