"""`trivium serve` for a stranger: help, and one clear line for everything that is wrong."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.server.processes import ServerProcess, command, environment
from tests.server.stores import write_model
from trivium_server.config import Config, load_config


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, env=environment(**settings), check=False
    )


def test_help_tells_what_a_stranger_needs() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for word in ("--listen", "--model", "127.0.0.1:50051", "Examples", "TRIVIUM_SERVER_LISTEN", "trivium models pull"):
        assert word in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_print_config_is_a_config_file(tmp_path: Path) -> None:
    shown = run("--print-config", "--slots", "3", TRIVIUM_GENERATION_QUEUE_SIZE="5")
    file = tmp_path / "trivium.toml"
    file.write_text(shown.stdout)
    config = load_config(file=file)
    assert (config.generation.slots, config.generation.queue_size) == (3, 5)
    assert config.limits == Config().limits


def test_wrong_settings_are_all_told_and_exit_2() -> None:
    shown = run("--slots", "0", "--listen", "nowhere", TRIVIUM_LOG_FORMAT="xml")
    assert shown.returncode == 2
    assert len(shown.stderr.splitlines()) == 3
    for key in (
        "generation.slots (flag --slots)",
        "server.listen (flag --listen)",
        "log.format (environment TRIVIUM_LOG_FORMAT)",
    ):
        assert key in shown.stderr
    assert "Traceback" not in shown.stderr


def test_config_file_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "trivium.toml"
    file.write_text("[generation]\nslotz = 3\n")
    shown = run(TRIVIUM_CONFIG=str(file))
    assert shown.returncode == 2
    assert "did you mean generation.slots" in shown.stderr


@pytest.mark.parametrize("arguments", [(), ("--model", "smollm2-135m-instruct")])
def test_an_empty_store_says_how_to_get_a_model(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    shown = run("--models-dir", str(tmp_path / "nothing"), "--listen", "127.0.0.1:0", *arguments)
    assert shown.returncode == 1
    assert "trivium models pull smollm2-135m-instruct" in shown.stderr.splitlines()[-1]
    assert "Traceback" not in shown.stderr


def test_an_unknown_model_has_near_matches(tmp_path: Path) -> None:
    write_model(tmp_path, "parrot-1b")
    shown = run("--models-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--model", "parot-1b")
    assert shown.returncode == 1
    assert "did you mean parrot-1b?" in shown.stderr
    assert "`trivium models list` shows which others can be pulled" in shown.stderr
    assert "pull parot-1b" not in shown.stderr


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    write_model(tmp_path, "parrot-1b")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        shown = run("--models-dir", str(tmp_path), "--listen", address, "--model", "none", "--log-format", "text")
    assert shown.returncode == 2
    (line,) = shown.stderr.splitlines()
    assert line.startswith(f"trivium: cannot listen on {address}: another program listens there")
    assert "--listen" in line


def test_two_servers_cannot_share_a_port(tmp_path: Path) -> None:
    write_model(tmp_path, "parrot-1b")
    with ServerProcess(tmp_path, "--model", "none") as first:
        shown = run("--models-dir", str(tmp_path), "--listen", first.address, "--model", "none")
    assert shown.returncode == 2
    assert "another program listens there" in shown.stderr


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("192.0.2.1:5000", "this machine has no such address"),
        ("unix:/no/such/folder/trivium.sock", "there is no folder /no/such/folder"),
        ("nowhere.invalid:5000", "nowhere.invalid cannot be resolved"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_clear_line(tmp_path: Path, address: str, problem: str) -> None:
    write_model(tmp_path, "parrot-1b")
    settings = {"TRIVIUM_SERVER_ALLOW_INSECURE": "true"}
    shown = run("--models-dir", str(tmp_path), "--listen", address, "--model", "none", **settings)
    assert shown.returncode == 2
    (line,) = shown.stderr.splitlines()
    assert line.startswith(f"trivium: cannot listen on {address}: {problem}")
