"""What the commands of `trivium` say, and how they exit, when something is wrong or is stopped."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.sdk.command import TRIVIUM, Command, leave, until_it_waits
from tests.sdk.scripted import ScriptedServer, events, hang, stream
from tests.serving import MODEL, wait_until
from trivium import _calls

WRONG_USAGE = [
    ("bogus",),
    ("generate", "--bogus"),
    ("generate", "Hi", "--seed", "-1"),
    ("generate", "Hi", "-t", "hot"),
    ("generate", "Hi", "--completion", "--system", "x"),
    ("generate", "Hi", "--logit-bias", "x"),
    ("generate", "Hi", "--logprobs", "2"),
    ("generate", ""),
    ("generate", " "),
    ("generate", "--completion", ""),
    ("generate",),
    ("tokens", "Hi", "--target", ""),
    ("tokens", "Hi", "--target", "localhost"),
    ("tokens", "Hi", "--target", "http://localhost:1", "--tls"),
    ("status", "--timeout", "0"),
    ("generate", "Hi", "--system", "\udcff"),
    ("generate", "Hi", "--stop", "\udcff"),
    ("tokens", "\udcff"),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=ascii)
def test_wrong_usage_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = Command(tmp_path, "127.0.0.1:1").run(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("generate", ""), "the prompt is empty"),
        (("generate", "-"), "the prompt is empty, since standard input had none"),
        (("generate", "Hi", "--logprobs", "2"), "--logprobs needs --json"),
        (("status", "--target", "localhost"), "has no port; a Trivium server listens on 50051"),
        (("genrate", "Hi"), "there is no command 'genrate'; did you mean generate?"),
        (("models", "pul", "x"), "there is no command 'pul'; did you mean pull?"),
        (("xyzzy",), "there is no command 'xyzzy'"),
        (("rerank", "Hi"), "give texts with --document, or a FILE"),
        (("rerank", "Hi", "-", "--document", "x"), "--document is in place of FILE"),
        (("embed",), "give a FILE with a text on each line"),
        (("embed", "-"), "say with --output which .npy file to write"),
        (("embed", "--text", "x", "--output", "x.npy"), "--text is in place of FILE"),
        (("models", "pull"), "name a model; the catalogue has"),
    ],
)
def test_wrong_usage_is_explained(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    told = Command(tmp_path, "127.0.0.1:1").run(*arguments).stderr
    assert told.startswith("trivium: ")
    assert says in told
    assert "Usage:" not in told


@pytest.mark.parametrize("name", ["generate", "tokens", "chat"])
@pytest.mark.parametrize("utf8_mode", ["0", "1"])  # with it, Python reads bytes that are no text as lone surrogates
def test_standard_input_that_is_no_text(faulty: Command, name: str, utf8_mode: str) -> None:
    faulty.environment |= {"PYTHONUTF8": utf8_mode, "LC_ALL": "C.UTF-8"}
    done = faulty.run(name, stdin="Hi \udcff\udcfe\n")
    assert done.returncode == 2
    assert done.stderr == f"trivium: standard input is not text in UTF-8\nTry 'trivium {name} --help' for help.\n"


def test_timeout_ends_a_streamed_answer(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red", finish=False, completed=False), hang()))
    for name, arguments in (("generate", ("Hi",)), ("chat", ())):
        done = faulty.run(name, *arguments, "--timeout", "0.5", stdin="Hi\n")
        assert (done.returncode, done.stdout.strip()) == (1, "Red")
        assert done.stderr.startswith("trivium: DEADLINE_EXCEEDED")


def test_too_long_a_prompt_says_whose_limit_it_is(command: Command) -> None:
    assert "the server's generation.max_context_tokens" in command.run("generate", "word " * 1100).stderr


def test_failure_is_one_line(command: Command) -> None:
    for arguments, reason in (
        (("generate", "Hi", "-t", "9"), "INVALID_ARGUMENT_FIELD: --temperature: is 9; it must be 0 to 2 (request "),
        (("generate", "Hi", "-n", "0"), "INVALID_ARGUMENT_FIELD: --max-output-tokens: is 0; it must be 1 to "),
        (("generate", "Hi", "--stop", ""), "INVALID_ARGUMENT_FIELD: --stop: is empty"),
        (
            ("generate", "Hi", "--candidates", "9", "-t", "3"),
            "INVALID_ARGUMENT_FIELD: --temperature: is 3; it must be 0 ",
        ),
        (
            ("generate", "Hi", "--logprobs", "21", "--json"),
            "INVALID_ARGUMENT_FIELD: --logprobs: is 21; it must be ",
        ),
        (
            ("classify", "Hi", "-m", MODEL),
            f"UNSUPPORTED_FEATURE: --model: model '{MODEL}' cannot classify texts; no model",
        ),
        (
            ("embed", "--text", "Hi"),
            "INVALID_ARGUMENT: no model that embeds texts is ready; `trivium models load NAME` ",
        ),
        (("generate", "Hi", "-m", "nope"), "MODEL_NOT_FOUND: "),
        (("generate", "word " * 1100), "INPUT_TOO_LONG: PROMPT: is "),
        (("chat", "-m", "nope"), "MODEL_NOT_FOUND: "),
    ):
        done = command.run(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(f"trivium: {reason}")
        assert "(request " in done.stderr or "models load" in done.stderr
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
    until_it_waits(running.pid)
    running.sendintr()
    leave(running)
    assert running.exitstatus == 130
    assert faults.cancelled.wait(20)
    assert "Traceback" not in running.before


def test_ctrl_c_stops_a_waiting_call(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, hang())
    process = subprocess.Popen(
        [TRIVIUM, "generate", "Hi", "--no-stream"], env=faulty.environment, stderr=subprocess.PIPE, text=True
    )
    assert wait_until(lambda: any(call.path == _calls.GENERATE.path for call in faults.received), seconds=60)
    # The server has the call an instant before the client waits for it.
    until_it_waits(process.pid)
    process.send_signal(signal.SIGINT)
    try:
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.strip() == ""
    assert faults.cancelled.wait(20)


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
