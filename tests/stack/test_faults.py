"""What callers notice when processes die: nothing, or what cannot be helped; and that nothing is left behind."""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pexpect
import pytest

from tests.serving import Failure, wait_until
from tests.stack.conftest import EMBEDDER, GENERATOR
from tools.stack.admin import Admin
from tools.stack.running import RunningStack
from tools.stack.settings import ROOT
from trivium.v1 import generation_pb2 as generation
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

pytestmark = pytest.mark.alone

CALLERS = 6


class Load:
    """Callers that call again and again, without any retry of their own."""

    def __init__(self) -> None:
        self.done = 0
        self.failures: list[str] = []


@contextmanager
def load(call: Callable[[], object]) -> Iterator[Load]:
    """Runs CALLERS threads of `call` until the end of the block, and waits for their last calls."""
    seen, ending = Load(), threading.Event()

    def run() -> None:
        while not ending.is_set():
            try:
                call()
                seen.done += 1
            except grpc.RpcError as error:
                failure = Failure(error)
                seen.failures.append(f"{failure.code}: {failure.message}")

    threads = [threading.Thread(target=run) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def request(tokens: int) -> generation.GenerateRequest:
    asked = generation.GenerateRequest()
    asked.input.model, asked.input.text = GENERATOR, "Once upon a time"
    asked.input.sampling.max_output_tokens = tokens
    return asked


def active_calls(stack: RunningStack, number: int) -> int:
    hosts = Admin(stack.text("admin")).hosts()
    return hosts[str(stack.replicas[number - 1]["address"])].active_calls


def test_a_killed_replica_costs_no_call(whole_stack: RunningStack, web_channel: grpc.Channel) -> None:
    stub = TextGenerationServiceStub(web_channel)
    with load(lambda: stub.Generate(request(12), timeout=60)) as seen:
        assert wait_until(lambda: seen.done > 5, 60)
        assert wait_until(lambda: active_calls(whole_stack, 1) >= 2, 60), "the replica has calls under way"
        whole_stack.signal_replica(1, signal.SIGKILL)
        before = seen.done
        assert wait_until(lambda: seen.done > before + 10, 60)
    assert seen.failures == []
    whole_stack.wait_until_serving()
    assert whole_stack.replicas[0]["starts"] == 2


def test_a_replica_that_is_told_to_end_costs_no_call_and_no_stream(
    whole_stack: RunningStack, web_channel: grpc.Channel
) -> None:
    stub = TextGenerationServiceStub(web_channel)
    turns = iter(range(10**9))

    def call() -> None:
        if next(turns) % 2:
            stub.Generate(request(12), timeout=60)
        else:
            asked = generation.StreamGenerateRequest(input=request(12).input)
            events = list(stub.StreamGenerate(asked, timeout=60))
            assert events[-1].WhichOneof("event") == "completed"

    starts = whole_stack.replicas[1]["starts"]
    assert isinstance(starts, int)
    with load(call) as seen:
        assert wait_until(lambda: seen.done > 5, 60)
        assert wait_until(lambda: active_calls(whole_stack, 2) >= 1, 60), "the replica has calls under way"
        whole_stack.signal_replica(2, signal.SIGTERM)
        whole_stack.wait_for("the replica to be started again", lambda: whole_stack.replicas[1]["starts"] == starts + 1)
    assert seen.failures == []
    assert seen.done > 10


def test_a_stopped_replica_holds_nobody_up_for_long(whole_stack: RunningStack, web_channel: grpc.Channel) -> None:
    stub = TextGenerationServiceStub(web_channel)
    with load(lambda: stub.Generate(request(12), timeout=90)) as seen:
        assert wait_until(lambda: seen.done > 5, 60)
        assert wait_until(lambda: active_calls(whole_stack, 3) >= 2, 60), "the replica has calls under way"
        whole_stack.signal_replica(3, signal.SIGSTOP)
        try:
            whole_stack.wait_for("Envoy to notice", lambda: whole_stack.replicas[2]["services"] == [], 30)
            # Without pings, calls that it has wait until their deadline.
            assert wait_until(lambda: active_calls(whole_stack, 3) == 0, 30), "its calls were sent elsewhere"
        finally:
            whole_stack.signal_replica(3, signal.SIGCONT)
    assert seen.failures == []
    whole_stack.wait_for("Envoy to use it again", lambda: whole_stack.replicas[2]["services"] != [], 60)


def test_a_killed_envoy_comes_back(whole_stack: RunningStack, web_channel: grpc.Channel) -> None:
    killed = whole_stack.state["envoy"]
    assert isinstance(killed, int)
    os.kill(killed, signal.SIGKILL)
    whole_stack.wait_for("another Envoy", lambda: whole_stack.state["envoy"] not in {0, killed})
    answer = TextGenerationServiceStub(web_channel).Generate(request(2), timeout=60, wait_for_ready=True)
    assert answer.candidates


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to it alone", "to its group"])
def test_the_end_of_the_stack_leaves_no_process(
    models: None, tmp_path: Path, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    with RunningStack(tmp_path, "--replicas", "2", "--model", EMBEDDER) as own:
        # Not serving yet: from the beginning on, what was just made is bound, too.
        own.wait_for("processes", lambda: len(own.pids) == 4)
        pids = own.pids
        send(own.process.pid, number)
        own.process.wait(60)
        assert wait_until(lambda: not any(map(is_running, pids)), 10), pids
        assert own.process.returncode == (-number if number is signal.SIGKILL else 0)


@pytest.mark.parametrize("victim", ["envoy", "replica"])
def test_what_was_killed_and_started_again_ends_with_the_stack(models: None, tmp_path: Path, victim: str) -> None:
    with RunningStack(tmp_path, "--replicas", "2", "--model", EMBEDDER) as own:
        own.wait_for("processes", lambda: len(own.pids) == 4)
        before = own.pids
        os.kill(before[1 if victim == "envoy" else 2], signal.SIGKILL)
        own.wait_for("another", lambda: len(own.pids) == 4 and own.pids != before)
        pids = {*before, *own.pids}
        own.process.kill()
        own.process.wait(60)
        assert wait_until(lambda: not any(map(is_running, pids)), 10), pids


def test_a_terminal_that_closes_ends_the_stack(models: None, tmp_path: Path) -> None:
    arguments = ["-m", "tools.stack", "--port", "0", "--web-port", "0", "--folder", str(tmp_path), "--replicas", "1"]
    terminal = pexpect.spawn(sys.executable, [*arguments, "--model", EMBEDDER], cwd=str(ROOT), timeout=120)
    terminal.expect("replica 1  serving Embedding")
    state = json.loads((tmp_path / "stack.json").read_text())
    pids = [state["supervisor"], state["envoy"], state["replicas"][0]["pid"]]
    assert all(map(is_running, pids))
    # Closes the terminal only: what runs in it hears of that from the kernel.
    os.close(terminal.fileno())
    assert wait_until(lambda: not any(map(is_running, pids)), 60), pids


def test_one_ctrl_c_ends_all_that_make_stack_started(models: None, tmp_path: Path) -> None:
    options = f"--port 0 --web-port 0 --folder {tmp_path} --replicas 1 --model {EMBEDDER}"
    terminal = pexpect.spawn("make", ["stack", f"OPTIONS={options}"], cwd=str(ROOT), timeout=120)
    terminal.expect("replica 1  serving Embedding")
    state = json.loads((tmp_path / "stack.json").read_text())
    pids = [state["supervisor"], state["envoy"], state["replicas"][0]["pid"]]
    terminal.sendintr()
    terminal.expect("stack      ended")
    terminal.expect(pexpect.EOF)
    assert not any(map(is_running, pids)), pids


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # One that nobody has waited for is no longer running.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
