"""R11: messages and headers that are far too large are refused, and neither the event loop nor others notice."""

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import trivium
from tools.stack.settings import ROOT
from trials.load import Call, steady_load
from trials.one_server import call_window, p99_ms, serve
from trials.oversized_calls import KINDS, LIMIT_BYTES
from trials.results import keep

MODEL = "all-minilm-l6-v2-int8"
RATE = 20
PER_S = 2
# The server knows its lag over the last minute: of it, all is under attack.
ATTACK_S = 60.0
ATTACK_OF_CONTROL_S = 10.0
MIN_OF_EACH = 100
MAX_LAG_S = 0.02
MAX_LIMIT_BYTES = 256 * 1024 * 1024
# Others are fine while their slowest hundredth waits no longer than this.
MAX_P99_MS = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What came of it. statuses: of each kind. lag_s: the 99th percentile over the last minute, and the worst."""

    statuses: dict[str, Counter[str]]
    calls: list[Call]
    lag_s: tuple[float, float]
    growth_mb: float

    @property
    def is_refused(self) -> bool:
        return all(set(found) == {"RESOURCE_EXHAUSTED"} for found in self.statuses.values())


async def embed(client: trivium.AsyncClient, number: int) -> object:
    return await client.embed([f"call {number}"], model=MODEL)


def attack(folder: Path, limit_bytes: int, seconds: float) -> Attack:
    """Sends all that is too large for the usual limit while others call."""
    settings = {"TRIVIUM_LIMITS_MAX_REQUEST_BYTES": str(limit_bytes)}
    with serve(folder, MODEL, settings=settings) as server, steady_load(server.target, embed, rate=RATE) as load:
        before_mb = server.resident_mb
        options = ["--per-second", str(PER_S), "--seconds", str(seconds)]
        with server.peak_memory() as peak_mb:
            senders = {
                kind: subprocess.Popen(
                    [sys.executable, "-m", "trials.oversized_calls", kind, server.target, *options],
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
                for kind in KINDS
            }
            calls = call_window(load.calls, seconds)
            statuses = {kind: Counter(json.loads(sender.communicate()[0])) for kind, sender in senders.items()}
        time.sleep(0.5)  # the server makes the text of its metrics twice a second
        lag = "trivium_event_loop_lag_seconds"
        lag_s = server.metric(lag, quantile="0.99"), server.metric(lag, quantile="1")
        return Attack(statuses=statuses, calls=calls, lag_s=lag_s, growth_mb=peak_mb[0] - before_mb)


@pytest.mark.timeout(600)
def test_what_is_too_large_is_refused_and_nobody_waits(tmp_path: Path) -> None:
    found = attack(tmp_path, LIMIT_BYTES, ATTACK_S)
    num_failed = sum(call.failure is not None for call in found.calls)
    p99, (lag_s, worst_s) = p99_ms(found.calls), found.lag_s
    counts = {kind: statuses.total() for kind, statuses in found.statuses.items()}
    refused = sum(statuses["RESOURCE_EXHAUSTED"] for statuses in found.statuses.values())
    was_enough = min(counts.values()) >= MIN_OF_EACH
    keep(
        "R11",
        passed=was_enough and found.is_refused and lag_s < MAX_LAG_S and not num_failed and p99 < MAX_P99_MS,
        load=f"{RATE} embeddings/s for {ATTACK_S:g} s",
        faults=f"{counts['huge']} messages of 64 MB, {counts['beyond']} of 4 MiB + 1 where 4 MiB are allowed, "
        f"{counts['metadata']} headers of 20 KiB",
        outcome=f"{refused} of {sum(counts.values())} refused with RESOURCE_EXHAUSTED; the event loop is "
        f"{1000 * lag_s:.1f} ms late at p99, {1000 * worst_s:.1f} ms at worst; {num_failed} of {len(found.calls)} "
        f"calls of others failed, p99 {p99:.1f} ms; memory grew by {found.growth_mb:.1f} MB at most",
    )
    assert was_enough
    assert found.is_refused, found.statuses
    assert lag_s < MAX_LAG_S
    assert not num_failed
    assert p99 < MAX_P99_MS


@pytest.mark.timeout(600)
def test_control_a_server_that_takes_them_is_found_out(tmp_path: Path) -> None:
    """The control: with the largest limit there is, the messages are taken, and make the event loop late."""
    found = attack(tmp_path, MAX_LIMIT_BYTES, ATTACK_OF_CONTROL_S)
    assert not found.is_refused
    assert set(found.statuses["metadata"]) == {"RESOURCE_EXHAUSTED"}, "that limit is another one"
    assert found.lag_s[0] > MAX_LAG_S
