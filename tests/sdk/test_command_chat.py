"""`trivium chat`, in a pipe and in a terminal."""

from collections.abc import Iterator
from pathlib import Path

import grpc

from tests.sdk.command import Command, leave, until_it_waits
from tests.sdk.scripted import ScriptedServer, events, fail, hang, stream
from tests.serving import MODEL
from trivium import _calls
from trivium.v1 import generation_pb2


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
    def answer(request: generation_pb2.StreamGenerateRequest, context: grpc.ServicerContext) -> Iterator[object]:
        if len(request.input.conversation.messages) > 3:
            details = {"actual": "900", "limit": "512", "field": "input"}
            fail(grpc.StatusCode.INVALID_ARGUMENT, "long", reason="INPUT_TOO_LONG", metadata=details)(request, context)
        yield from events("fine")

    faults.script(_calls.STREAM_GENERATE, answer)
    done = faulty.run("chat", stdin="1\n2\n3\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "fine\nfine\nfine\n"
    dropped = "the conversation has 900 tokens and the model, as it is served, takes 512: the oldest turn was dropped"
    assert done.stderr.count(dropped) == 1
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
    running.expect("> ")
    running.sendintr()
    running.expect("Ctrl-D leaves")
    running.expect("> ")
    for text in ("Hi", "Ho"):
        running.send(f"{text}\r")
        running.expect("Red")
        until_it_waits(running.pid)
        running.sendintr()
        running.expect("stopped")
        assert faults.cancelled.wait(20)
        running.expect("> ")
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


def test_ctrl_c_leaves_no_mark_in_a_rendered_answer(faulty: Command, faults: ScriptedServer) -> None:
    """A `^C` behind a full line would begin another one, and the lines to be redrawn would be miscounted."""
    faults.script(_calls.STREAM_GENERATE, stream(events("Red " * 50, finish=False, completed=False), hang()))
    running = faulty.spawn("chat", "--no-history")
    running.expect("Ctrl-D leaves")
    running.expect("> ")
    running.send("Hi\r")
    running.expect("Red")
    until_it_waits(running.pid)
    running.sendintr()
    running.expect("stopped")
    assert "^C" not in running.before
    running.expect("> ")
    running.send("/quit\r")
    leave(running)
    assert running.exitstatus == 0
