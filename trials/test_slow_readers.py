"""R10: readers who stop cost the server little memory and others no time, and their streams end."""

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import trivium
from tools.stack.settings import ROOT
from trials.fleet import await_that
from trials.load import Call, steady_load
from trials.one_server import OneServer, call_window, p99_ms, serve_sleeper
from trials.results import keep
from trials.sleeping_server import Sleep

MODEL = "all-minilm-l6-v2-int8"
METHOD = "/trivium.v1.EmbeddingService/StreamEmbed"
NUM_STREAMS = 200
RATE = 50
# The others' calls take no processor: what they wait for is the server, and not the other half of this machine.
SLEEP = Sleep(mean_s=0.2, slots=200)
LAG_S = 10.0
WINDOW_S = 4.0
NUM_ROUNDS = 2
# Until every stream ends, the streams that stall last included.
ENDED_WITHIN_S = 2 * LAG_S
MAX_MB_OF_STREAM = 8
MAX_P99_GROWTH = 0.1
ENDS = {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}


@dataclass(slots=True)
class Stalled:
    """What came of some rounds of readers who stop. statuses: of all streams, those that did not end left out."""

    before: list[Call] = field(default_factory=list)
    meanwhile: list[Call] = field(default_factory=list)
    mb_of_stream: float = 0.0
    ended_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Lets the processes that this one starts have as many connections as the system allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def detect(client: trivium.AsyncClient, number: int) -> object:
    return await client.detect_language([f"call {number}"])


def stall(folder: Path, num_rounds: int, lag_s: float) -> Stalled:
    """Lets readers stop, round by round, while others call; gives up on streams that do not end."""
    found = Stalled()
    settings = {"TRIVIUM_LIMITS_MAX_WRITE_LAG_S": f"{lag_s:g}"}
    with (
        serve_sleeper(folder, SLEEP, loaded=[MODEL], settings=settings) as server,
        steady_load(server.target, detect, rate=RATE) as load,
    ):
        time.sleep(2)
        for _ in range(num_rounds):
            found.before += call_window(load.calls, WINDOW_S)
            _stall_once(server, load.calls, found)
    assert load.failures == []
    return found


def _stall_once(server: OneServer, calls: list[Call], found: Stalled) -> None:
    before_mb = server.resident_mb
    with server.peak_memory() as peak_mb, _readers(server.target) as readers:
        assert readers.stdout
        assert readers.stdin
        assert readers.stdout.readline() == "stopped\n"
        stopped_s = time.monotonic()
        await_that(lambda: _is_still(server), "all streams wait for their readers")
        found.meanwhile += call_window(calls, WINDOW_S)
        assert server.metric("trivium_calls_in_flight", method=METHOD) == NUM_STREAMS, "all streams wait to the end"
        with contextlib.suppress(TimeoutError):
            await_that(
                lambda: server.metric("trivium_calls_in_flight", method=METHOD) == 0,
                "the streams have ended",
                stopped_s + ENDED_WITHIN_S - time.monotonic(),
            )
            found.ended_s = max(found.ended_s, time.monotonic() - stopped_s)
            readers.stdin.write("\n")
            readers.stdin.flush()
            found.statuses.update(json.loads(readers.stdout.readline()))
    found.mb_of_stream = max(found.mb_of_stream, (peak_mb[0] - before_mb) / NUM_STREAMS)


def _is_still(server: OneServer) -> bool:
    """Every stream is there, and the model has for a second done nothing."""
    if server.metric("trivium_calls_in_flight", method=METHOD) < NUM_STREAMS:
        return False
    before = server.metric("trivium_model_items_total", model=MODEL)
    time.sleep(1)
    return server.metric("trivium_model_items_total", model=MODEL) == before


@contextlib.contextmanager
def _readers(target: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "trials.slow_readers", target, "--model", MODEL, "--streams", str(NUM_STREAMS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as readers:
        try:
            yield readers
        finally:
            readers.kill()


@pytest.mark.timeout(600)
def test_readers_who_stop_harm_nobody(tmp_path: Path) -> None:
    found = stall(tmp_path, NUM_ROUNDS, LAG_S)
    before_ms, meanwhile_ms = p99_ms(found.before), p99_ms(found.meanwhile)
    have_ended = found.statuses.total() == NUM_ROUNDS * NUM_STREAMS and set(found.statuses) <= ENDS
    is_small = found.mb_of_stream < MAX_MB_OF_STREAM
    is_quick = meanwhile_ms < (1 + MAX_P99_GROWTH) * before_ms
    keep(
        "R10",
        passed=have_ended and is_small and is_quick,
        load=f"{RATE} calls/s of {SLEEP.mean_s} s that take no processor; {len(found.before)} before, "
        f"{len(found.meanwhile)} while all streams waited",
        faults=f"{NUM_ROUNDS} times {NUM_STREAMS} streams that are read once a second, three times, and then no more; "
        f"the limit is {LAG_S:g} s",
        outcome=f"{', '.join(f'{count} {status}' for status, count in found.statuses.items())}, the last "
        f"{found.ended_s:.1f} s after its reader stopped; at most {found.mb_of_stream:.2f} MB a stream; p99 of others "
        f"{before_ms:.1f} ms, then {meanwhile_ms:.1f} ms (up to {100 * MAX_P99_GROWTH:g} % more)",
    )
    assert have_ended
    assert is_small
    assert is_quick


@pytest.mark.timeout(600)
def test_control_without_a_limit_streams_do_not_end(tmp_path: Path) -> None:
    """The control: with a limit of a day, no stream ends while its reader is waited for."""
    found = stall(tmp_path, 1, 86400)
    assert not found.statuses
