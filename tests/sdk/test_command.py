"""The `trivium` command as its users run it: a process, with pipes or a terminal around it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner

from tests.sdk.scripted import ScriptedServer, events, fail, hang, reply, stream
from tests.serving import MODEL, RunningServer
from trivium import _calls
from trivium.cli import _root
from trivium.v1 import generation_pb2, models_pb2

TRIVIUM = str(Path(sys.executable).with_name("trivium"))


def environment(tmp_path: Path, target: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIVIUM_")}
    return kept | {
        "TRIVIUM_TARGET": target,
        "XDG_STATE_HOME": str(tmp_path),
        "TERM": "xterm",
        "COLUMNS": "100",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }


def leave(running: "pexpect.spawn[str]") -> None:
    """Reads what is left, since a process that cannot write does not end, and waits for the end."""
    running.expect(pexpect.EOF)
    running.close()


class Command:
    """Runs `trivium` against one server."""

    def __init__(self, tmp_path: Path, target: str) -> None:
        self.environment = environment(tmp_path, target)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TRIVIUM, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def spawn(self, *arguments: str) -> "pexpect.spawn[str]":
        return pexpect.spawn(
            TRIVIUM, list(arguments), env=self.environment, encoding="utf-8", timeout=20, dimensions=(40, 100)
        )


@pytest.fixture
def command(tmp_path: Path, server: RunningServer) -> Command:
    return Command(tmp_path, server.address)


@pytest.fixture
def faulty(tmp_path: Path, faults: ScriptedServer) -> Command:
    model = models_pb2.Model(
        name="m", state=models_pb2.MODEL_STATE_READY, capabilities=[models_pb2.CAPABILITY_GENERATE_TEXT]
    )
    faults.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse(models=[model])))
    return Command(tmp_path, faults.target)


def test_help_lists_all_commands(command: Command) -> None:
    listed = command.run("--help").stdout
    assert all(f"\n  {name} " in listed for name in ("chat", "generate", "models", "serve", "status", "tokens"))
    for name in ("chat", "generate", "status", "tokens"):
        assert "Examples:" in command.run(name, "--help").stdout


def test_generate_streams_the_answer(command: Command) -> None:
    done = command.run("generate", "Name two colours.", "-n", "8", "--seed", "1", "--stats")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stdout.endswith("\n")
    assert "+ 8 tokens" in done.stderr
    again = command.run("generate", "-", "-n", "8", "--seed", "1", "--no-stream", stdin="Name two colours.")
    assert again.stdout == done.stdout


def test_generate_as_json(command: Command) -> None:
    options = ("generate", "Name two colours.", "-n", "8", "--seed", "1", "--json")
    whole = json.loads(command.run(*options).stdout)
    assert whole["info"]["usage"]["output_tokens"] == 8
    assert whole["info"]["timing"]["total_s"] > 0
    lines = [json.loads(line) for line in command.run(*options, "--stream").stdout.splitlines()]
    assert [line["event"] for line in lines[:1] + lines[-2:]] == ["started", "candidate_finished", "completed"]
    text = "".join(line["text"] for line in lines if line["event"] == "delta")
    assert text == whole["candidates"][0]["text"]


def test_generate_continues_plain_text(command: Command) -> None:
    count = int(command.run("tokens", "--completion", "Once upon a").stdout)
    assert count < int(command.run("tokens", "Once upon a").stdout)
    done = command.run(
        "generate", "--completion", "Once upon a", "-t", "0", "-n", "3", "--stats", "--logit-bias", "1=0"
    )
    assert f"{count} + 3 tokens" in done.stderr


def test_tokens_can_be_seen(command: Command) -> None:
    *tokens, number = command.run("tokens", "--show", "--completion", "Once upon a").stdout.splitlines()
    assert len(tokens) == int(number)
    assert "'Once'" in tokens[0]


def test_status(command: Command) -> None:
    shown = command.run("status")
    assert MODEL in shown.stdout
    assert "ready" in shown.stdout
    status = json.loads(command.run("status", "--json").stdout)
    assert [model["state"] for model in status["models"]] == ["READY"]
    watching = command.spawn("status", "--watch")
    watching.expect(f"{MODEL}  ready")
    watching.sendintr()
    leave(watching)
    assert watching.exitstatus == 130


WRONG_USAGE = [
    ("bogus",),
    ("generate", "--bogus"),
    ("generate", "Hi", "--seed", "-1"),
    ("generate", "Hi", "-t", "hot"),
    ("generate", "Hi", "--completion", "--system", "x"),
    ("generate", "Hi", "--logit-bias", "x"),
    ("tokens", "Hi", "--target", ""),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = Command(tmp_path, "127.0.0.1:1").run(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_failure_is_one_line(command: Command) -> None:
    for arguments, reason in (
        (("generate", "Hi", "-t", "9"), "INVALID_ARGUMENT_FIELD: input.sampling.temperature"),
        (("generate", "Hi", "-m", "nope"), "MODEL_NOT_FOUND: "),
        (("generate", "word " * 1100), "INPUT_TOO_LONG: "),
        (("chat", "-m", "nope"), "MODEL_NOT_FOUND: "),
    ):
        done = command.run(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(f"trivium: {reason}")
        assert "(request " in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["chat", "generate", "status", "tokens"])
def test_nothing_listening_says_how_to_start(tmp_path: Path, name: str) -> None:
    done = Command(tmp_path, "127.0.0.1:1").run(
        name, *(("Hi",) if name in ("generate", "tokens") else ()), stdin="Hi\n"
    )
    assert done.returncode == 1
    assert done.stderr == "trivium: no Trivium server at 127.0.0.1:1; start one with `trivium serve`\n"


def test_ctrl_c_stops_generate_and_its_call(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red", finish=False, completed=False), hang()))
    running = faulty.spawn("generate", "Hi")
    running.expect("Red")
    running.sendintr()
    leave(running)
    assert running.exitstatus == 130
    assert faults.cancelled.wait(2)
    assert "Traceback" not in running.before


def test_ctrl_c_stops_a_waiting_call(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, hang())
    process = subprocess.Popen(
        [TRIVIUM, "generate", "Hi", "--no-stream"], env=faulty.environment, stderr=subprocess.PIPE, text=True
    )
    while not any(call.path == _calls.GENERATE.path for call in faults.received):
        assert process.poll() is None
    # The server has the call an instant before the client waits for it; inside grpc's C code that instant is deaf.
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        _, stderr = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.strip() == ""
    assert faults.cancelled.wait(2)


def test_broken_stream_leaves_the_text_and_one_line(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red", completed=False)))
    done = faulty.run("generate", "Hi")
    assert (done.returncode, done.stdout) == (1, "Red\n")
    assert done.stderr.startswith("trivium: DATA_LOSS: the stream ended without its terminal event")


def test_models_text_cannot_control_the_terminal(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("a\x1b[2Jb\x07")))
    running = faulty.spawn("generate", "Hi")
    leave(running)
    assert "\x1b[2J" not in running.before
    assert "\x07" not in running.before
    assert faulty.run("generate", "Hi").stdout == "a\x1b[2Jb\x07\n"


# chat


def test_piped_chat_remembers(command: Command) -> None:
    asked = "Say one word.\n\n/system Be brief.\nAnd another?\n/nonsense\n"
    done = command.run("chat", "-n", "4", "--seed", "1", stdin=asked)
    assert done.returncode == 0, done.stderr
    first, second = (line for line in done.stderr.splitlines() if "tokens" in line)
    assert int(second.split()[0]) > int(first.split()[0])
    assert "there is no /nonsense" in done.stderr
    assert len(done.stdout.strip().splitlines()) >= 2


def test_piped_chat_that_fails_is_1(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red", completed=False)))
    done = faulty.run("chat", stdin="Hi\nHo\n")
    assert done.returncode == 1
    assert done.stderr.startswith("trivium: DATA_LOSS")


def test_long_chat_loses_its_oldest_turn(faulty: Command, faults: ScriptedServer) -> None:
    import grpc

    def answer(request: generation_pb2.StreamGenerateRequest, context: grpc.ServicerContext) -> Iterator[object]:
        if len(request.input.conversation.messages) > 3:
            details = {"actual": "900", "limit": "512", "field": "input"}
            fail(grpc.StatusCode.INVALID_ARGUMENT, "long", reason="INPUT_TOO_LONG", metadata=details)(request, context)
        yield from events("fine")

    faults.script(_calls.STREAM_GENERATE, answer)
    done = faulty.run("chat", stdin="1\n2\n3\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "fine\nfine\nfine\n"
    assert (
        done.stderr.count("the conversation has 900 tokens and the model takes 512: the oldest turn was dropped") == 1
    )
    last = faults.received[-1].request.input.conversation.messages
    assert [message.parts[0].text for message in last] == ["2", "fine", "3"]


def test_terminal_chat(command: Command, tmp_path: Path) -> None:
    terminal = command.spawn("chat", "--seed", "1", "-n", "20", "--plain")
    terminal.expect("Ctrl-D leaves")
    terminal.send("/help\r")
    terminal.expect("/save FILE")
    terminal.send("Say one word.\r")
    terminal.expect(r"\d+ \+ \d+ tokens .* tokens/s")
    terminal.send("/model\r")
    terminal.expect(rf"\* {MODEL}")
    terminal.send(f"/save {tmp_path}/talk.md\r")
    terminal.expect("saved: ")
    terminal.send("/clear\r")
    terminal.expect("forgotten")
    terminal.expect("> ")  # before it, the terminal itself would take the Ctrl-D
    terminal.sendeof()
    leave(terminal)
    assert terminal.exitstatus == 0
    assert "**You:** Say one word." in (tmp_path / "talk.md").read_text()
    history = tmp_path / "trivium" / "chat_history"
    assert "Say one word." in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_the_answer_and_not_the_chat(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red", finish=False, completed=False), hang()))
    running = faulty.spawn("chat", "--plain")
    running.expect("Ctrl-D leaves")
    running.sendintr()
    running.expect("Ctrl-D leaves")
    running.send("Hi\r")
    running.expect("Red")
    running.sendintr()
    running.expect("stopped")
    assert faults.cancelled.wait(2)
    running.send("Ho\r")
    running.expect("Red")
    running.sendintr()
    running.expect("stopped")
    running.send("/quit\r")
    leave(running)
    assert running.exitstatus == 0
    kept = [message.parts[0].text for message in faults.received[-1].request.input.conversation.messages]
    assert kept == ["Hi", "Red", "Ho"]


def test_rendered_chat(command: Command) -> None:
    running = command.spawn("chat", "--seed", "1", "-n", "30", "--no-history")
    running.expect("Ctrl-D leaves")
    running.send("Name two colours.\r")
    running.expect(r"\d+ \+ \d+ tokens")
    running.expect("> ")
    running.sendeof()
    leave(running)
    assert running.exitstatus == 0
    assert not (Path(command.environment["XDG_STATE_HOME"]) / "trivium").exists()


# Commands of other distributions


def plugin(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> CliRunner:
    monkeypatch.setattr(_root, "entry_points", lambda **_: points)
    return CliRunner()


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, _root.PLUGIN_GROUP)


def test_missing_distributions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = plugin(monkeypatch)
    listed = runner.invoke(_root.trivium, ["--help"]).output
    assert "serve     (not installed; it comes with trivium-server)" in listed
    called = runner.invoke(_root.trivium, ["models", "pull", "x", "--force"])
    assert called.exit_code == 1
    assert "it comes with trivium-models" in called.output


def test_broken_plugin_breaks_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = plugin(monkeypatch, point("serve", "no_such_module:x"), point("models", "json:dumps"))
    listed = runner.invoke(_root.trivium, ["--help"])
    assert listed.exit_code == 0
    assert "broken in no_such_module:x: ModuleNotFoundError" in listed.output
    assert "json:dumps is not a click" in listed.output
    assert runner.invoke(_root.trivium, ["serve"]).exit_code == 1
    assert runner.invoke(_root.trivium, ["tokens", "--help"]).exit_code == 0


def test_plugin_cannot_take_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = plugin(
        monkeypatch, point("tokens", "trivium.cli._status:status"), point("extra", "trivium.cli._chat:chat")
    )
    assert "Count the tokens" in runner.invoke(_root.trivium, ["tokens", "--help"]).output
    assert "Talk with a model" in runner.invoke(_root.trivium, ["extra", "--help"]).output
