"""The `trivium models` commands: output for people and programs, exit status, one-line errors."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trivium_models.cli import models


def run(store: Path, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(models, ["--store", str(store), *arguments], input=answer)


def test_commands_from_pull_to_rm(tmp_path: Path, exported: Path) -> None:
    store = tmp_path / "store"
    pulled = run(store, "pull", str(exported), "--name", "mine", "--json")
    assert json.loads(pulled.stdout) == {"models": [{"name": "mine", "folder": str(store / "mine")}]}
    listed = json.loads(run(store, "list", "--json").stdout)
    assert {row["name"]: row["state"] for row in listed["models"]} == {
        "mine": "installed",
        "smollm2-135m-instruct": "available",
    }
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


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["pull"], 2, "name a model; the catalogue has: smollm2-135m-instruct"),
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
