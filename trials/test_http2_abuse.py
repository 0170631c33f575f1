"""S8: callers who abuse HTTP/2 change nothing for others, and one who merely cancels much is none of them."""

import asyncio
import json
import math
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import trivium
from tools.stack.settings import ROOT
from trials.fleet import Envoy, Fleet, same
from trials.http2_attacks import KINDS, Report
from trials.load import Call, steady_load
from trials.results import keep
from trials.sleeping_server import MODEL, Sleep, make_store

SERVICE = "trivium.v1.TextAnalysisService"
RATE = 50
SLEEP = Sleep(mean_s=0.5, slots=200)
QUIET_S = ATTACK_S = 20.0
MAX_P99_GROWTH = 0.2
NUM_SLOW = 500
NUM_IDLE = 10_000
# What an attack that was one has sent, at least.
MIN_FRAMES = {
    "rapid-reset": 100_000,
    "continuation-flood": 100_000,
    "ping-flood": 1_000_000,
    "settings-flood": 1_000_000,
    "idle-connections": NUM_IDLE,
    "slow-headers": NUM_SLOW,
}
CANCELS_PER_S = 200
CANCEL_S = 60.0
CANCEL_AFTER_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """An attack, and what other callers noticed."""

    kind: str
    report: Report
    num_calls: int
    num_failed: int
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancels:
    """What one who cancels much, all over one connection, and calls in earnest now and then, met."""

    num_cancelled: int
    num_answered: int
    failures: Sequence[Exception]
    num_connections: int


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Lets this process and those that it starts have as many connections as the system allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def without_guards(text: str) -> str:
    """The bootstrap that takes up whatever is asked, and lets it be taken back however often. A control."""
    for guard in ("stream_reset_burst", "stream_reset_rate"):
        text, count = re.subn(rf"{guard}: \d+", f"{guard}: 1000000000", text)
        assert count, "there is nothing to take away"
    return _without(text, "http.max_requests_per_io_cycle:")


def with_default_guards(text: str) -> str:
    """The bootstrap with Envoy's own limits on calls that are taken back. A control."""
    guards = ("stream_reset_burst:", "stream_reset_rate:", "overload.premature_reset_total_stream_count:")
    for guard in guards:
        text = _without(text, guard)
    return text


def _without(text: str, setting: str) -> str:
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().startswith(setting)]
    assert len(kept) < len(lines), "there is nothing to take away"
    return "".join(kept)


def abuse(folder: Path, kinds: Sequence[str], change: Callable[[str], str]) -> tuple[float, list[Phase]]:
    """Abuses an Envoy in several ways in turn; returns others' 99th percentile before that, and what came of each."""
    store = make_store(folder / "store", SLEEP)
    with Fleet(folder, store, MODEL, num_replicas=2, module="trials.sleeping_server", change=change) as fleet:
        fleet.await_healthy(SERVICE)
        target = fleet.envoys[0].target

        async def detect(client: trivium.AsyncClient, number: int) -> object:
            """Every tenth caller is a new one."""
            if number % 10:
                return await client.detect_language([f"call {number}"])
            async with trivium.AsyncClient(target, retry=trivium.RetryPolicy(max_attempts=1)) as newcomer:
                return await newcomer.detect_language([f"call {number}"])

        with steady_load(target, detect, rate=RATE) as load:
            time.sleep(2)
            usual = _calls_of(load.calls, lambda: time.sleep(QUIET_S))
            phases = [_attack(fleet.envoys[0], load.calls, kind) for kind in kinds]
        return _p99_s(usual), phases


def _attack(envoy: Envoy, calls: list[Call], kind: str) -> Phase:
    reports: list[Report] = []
    touched = _calls_of(calls, lambda: reports.append(_run(kind, envoy.target)))
    if kind == "slow-headers":
        ended = envoy.admin.counter("http.plain.downstream_rq_header_timeout")
        assert ended == NUM_SLOW, f"of {NUM_SLOW} requests without an end, {ended} were ended"
    time.sleep(3)
    return Phase(
        kind=kind,
        report=reports[0],
        num_calls=len(touched),
        num_failed=sum(call.failure is not None for call in touched),
        p99_s=_p99_s(touched),
    )


def _run(kind: str, target: str) -> Report:
    command = [
        "nice",
        "-n",
        "19",
        sys.executable,
        "-m",
        "trials.http2_attacks",
        kind,
        target,
        "--seconds",
        str(ATTACK_S),
    ]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=ATTACK_S + 120)
    return Report(**json.loads(run.stdout))


def _calls_of(calls: list[Call], happening: Callable[[], None]) -> list[Call]:
    """Returns the calls that began while it happened, when all of them have ended."""
    begun_s = time.monotonic()
    happening()
    ended_s = time.monotonic()
    found = [call for call in calls if begun_s <= call.begun_s <= ended_s]
    deadline_s = time.monotonic() + 60
    while not all(call.took_s for call in found):
        assert time.monotonic() < deadline_s, "calls hang"
        time.sleep(0.1)
    return found


def _p99_s(calls: Sequence[Call]) -> float:
    """The time that 99 of 100 calls did not exceed."""
    times = sorted(call.took_s for call in calls)
    return times[math.ceil(0.99 * len(times)) - 1]


@pytest.mark.timeout(900)
def test_abuse_changes_nothing_for_others(tmp_path: Path) -> None:
    usual_s, phases = abuse(tmp_path, KINDS, same)
    most_s = usual_s * (1 + MAX_P99_GROWTH)
    num_calls, num_failed = sum(phase.num_calls for phase in phases), sum(phase.num_failed for phase in phases)
    keep(
        "S8",
        passed=num_failed == 0 and all(phase.p99_s <= most_s for phase in phases),
        load=f"{RATE} calls/s of {SLEEP.mean_s} s, every tenth by a new connection, 2 replicas, no retries by the SDK",
        faults=f"for {ATTACK_S:g} s each: " + ", ".join(map(_told, phases)),
        outcome=f"{num_failed} of {num_calls} calls failed; 99 of 100 took {usual_s:.3f} s at most before, and then "
        + ", ".join(f"{phase.p99_s:.3f}" for phase in phases),
    )
    for phase in phases:
        assert phase.report.frames >= MIN_FRAMES[phase.kind], phase
        assert phase.kind != "idle-connections" or phase.report.held == NUM_IDLE, phase
    assert num_failed == 0
    assert {phase.kind: phase.p99_s for phase in phases if phase.p99_s > most_s} == {}


def _told(phase: Phase) -> str:
    report = phase.report
    if phase.kind == "idle-connections":
        return f"{report.held:,} idle connections"
    if phase.kind == "slow-headers":
        return f"{report.connections} requests with slow headers"
    return f"{phase.kind} of {report.frames / 1e6:.1f} million frames, {report.cut} connections cut"


@pytest.mark.timeout(600)
def test_control_without_guards_calls_that_are_taken_back_fail_others(tmp_path: Path) -> None:
    """The control: an Envoy that takes up all that is asked of it lets the abuse through to the replicas."""
    _, (phase,) = abuse(tmp_path, ["rapid-reset"], without_guards)
    assert phase.num_failed > 0


def cancel_much(folder: Path, change: Callable[[str], str]) -> Cancels:
    """Cancels so many calls a second for a while; every hundredth call waits for its answer."""
    store = make_store(folder / "store", SLEEP)
    with Fleet(folder, store, MODEL, num_replicas=2, module="trials.sleeping_server", change=change) as fleet:
        fleet.await_healthy(SERVICE)
        envoy = fleet.envoys[0]
        with steady_load(envoy.target, _cancelled_or_answered, rate=CANCELS_PER_S) as load:
            time.sleep(CANCEL_S)
        return Cancels(
            num_cancelled=sum(call.answer == "cancelled" for call in load.calls),
            num_answered=sum(call.answer == "answered" for call in load.calls),
            failures=[call.failure for call in load.failures if call.failure],
            num_connections=envoy.admin.counter("http.plain.downstream_cx_http2_total"),
        )


async def _cancelled_or_answered(client: trivium.AsyncClient, number: int) -> str:
    if number % 100 == 0:
        await client.detect_language([f"call {number}"])
        return "answered"
    call = asyncio.ensure_future(client.detect_language([f"call {number}"]))
    done, _ = await asyncio.wait([call], timeout=CANCEL_AFTER_S)
    if done:
        # Nothing is answered so soon: it failed.
        await call
        raise AssertionError("a call was answered before its time")
    call.cancel()
    await asyncio.wait([call])
    return "cancelled"


@pytest.mark.timeout(600)
def test_one_who_cancels_much_is_not_cut(tmp_path: Path) -> None:
    seen = cancel_much(tmp_path, same)
    keep(
        "S8",
        passed=not seen.failures and seen.num_connections == 1,
        load=f"one connection, {CANCELS_PER_S} calls/s for {CANCEL_S:g} s",
        faults=f"{seen.num_cancelled} calls cancelled after {CANCEL_AFTER_S} s, {seen.num_answered} let go on",
        outcome=f"{len(seen.failures)} failed; {seen.num_connections - 1} connections cut",
    )
    assert seen.num_cancelled >= 0.95 * CANCELS_PER_S * CANCEL_S
    assert seen.failures == []
    assert seen.num_connections == 1


@pytest.mark.timeout(600)
def test_control_default_guards_cut_one_who_cancels_much(tmp_path: Path) -> None:
    """The control: with Envoy's own limits the connection is cut, again and again."""
    seen = cancel_much(tmp_path, with_default_guards)
    assert seen.num_connections > 2
