"""`trivium models load` and `unload`, with a real server process that has a model in its store and not in memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.command import Command, leave
from tests.server.processes import ServerProcess
from tests.serving import MODEL


@pytest.fixture(scope="module")
def server_process(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Iterator[ServerProcess]:
    """A server with one model, which is not loaded before a test loads it."""
    store = tmp_path_factory.mktemp("store")
    (store / MODEL).symlink_to(model_store / MODEL)
    with ServerProcess(store, "--model", "none") as server:
        yield server


@pytest.fixture
def idle(tmp_path: Path, server_process: ServerProcess) -> Command:
    """`trivium` with a server that has loaded nothing; a test that loads unloads."""
    return Command(tmp_path, server_process.address)


def test_model_is_loaded_called_and_unloaded(idle: Command) -> None:
    refused = idle.run("generate", "Hi", "-n", "2")
    assert refused.returncode == 1
    assert (
        f"model '{MODEL}' is not loaded; load it with LoadModel, as `trivium models load {MODEL}` does"
        in refused.stderr
    )

    loaded = idle.run("models", "load", MODEL)
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, f"{MODEL} is ready\n", "")
    assert idle.run("generate", "Hi", "-n", "2").returncode == 0
    again = json.loads(idle.run("models", "load", MODEL, "--json").stdout)
    assert (again["name"], again["state"]) == (MODEL, "READY")

    unloaded = idle.run("models", "unload", MODEL, "--drain", "1")
    assert (unloaded.returncode, unloaded.stdout, unloaded.stderr) == (0, f"{MODEL} is unloaded\n", "")
    assert json.loads(idle.run("models", "unload", MODEL, "--json").stdout)["state"] == "AVAILABLE"


def test_load_shows_its_progress_on_a_terminal(idle: Command) -> None:
    loading = idle.spawn("models", "load", MODEL)
    loading.expect("%")
    loading.expect(f"{MODEL} is ready")
    leave(loading)
    assert loading.exitstatus == 0
    assert idle.run("models", "unload", MODEL).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("load", "smolm2"), f"MODEL_NOT_FOUND: no model named 'smolm2'; did you mean {MODEL}? (request "),
        (("unload", "smolm2"), f"MODEL_NOT_FOUND: no model named 'smolm2'; did you mean {MODEL}? (request "),
        (("load", ""), "INVALID_ARGUMENT_FIELD: NAME: is required (request "),
        (("unload", MODEL, "--drain", "3601"), "INVALID_ARGUMENT_FIELD: --drain: must be 0 s to 3600 s (request "),
    ],
)
def test_refusals_are_one_line(idle: Command, arguments: tuple[str, ...], says: str) -> None:
    done = idle.run("models", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"trivium: {says}")
    assert done.stderr.count("\n") == 1
