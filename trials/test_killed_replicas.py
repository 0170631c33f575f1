"""R1: a replica that is killed under load costs no caller a failed call."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import trivium
from trials.fleet import Fleet, Replica, await_that, same, without_reset_retries
from trials.load import steady_load
from trials.results import keep
from trials.sleeping_server import MODEL, Sleep, make_store

SERVICE = "trivium.v1.TextAnalysisService"
RATE = 200
SLEEP = Sleep(mean_s=0.9, slots=200)
EXPOSED = 50
# Not the limit is on trial: a machine that stalls for a second has 200 calls more.
SETTINGS = {"TRIVIUM_LIMITS_MAX_CONCURRENT_CALLS": "2000"}
NUM_KILLS = 20
UNTOUCHED_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What one SIGKILL met, and the longest call that was under way then or began until the replica was back."""

    exposed: int
    failed: int
    slowest_s: float


async def detect(client: trivium.AsyncClient, number: int) -> object:
    return await client.detect_language([f"call {number}"])


def kill_in_turn(folder: Path, num_kills: int, change: Callable[[str], str]) -> tuple[list[Kill], int, float]:
    """Kills replicas in turn, each when enough of its calls are under way; returns what came of it.

    Also the number of all calls, and the time that 99 of 100 calls took at most before the first kill.
    """
    kills: list[Kill] = []
    store = make_store(folder / "store", SLEEP)
    with Fleet(folder, store, MODEL, module="trials.sleeping_server", change=change, settings=SETTINGS) as fleet:
        fleet.await_healthy(SERVICE)
        envoy = fleet.envoys[0]
        with steady_load(envoy.target, detect, rate=RATE) as load:
            time.sleep(UNTOUCHED_S)
            usual_s = statistics.quantiles([call.took_s for call in load.calls if call.took_s], n=100)[-1]
            for number in range(num_kills):
                victim = fleet.replicas[number % len(fleet.replicas)]
                exposed = _exposed(fleet, victim)
                first = max(0, len(load.calls) - round(2 * RATE * SLEEP.mean_s))
                victim.kill()
                # A new process takes much of this machine; it begins when all that was under way has ended.
                time.sleep(2 * SLEEP.mean_s + 0.2)
                victim.start()
                fleet.await_ready(victim)
                fleet.await_healthy(SERVICE)
                # Until each has its third of the calls again: the two others have held all of them.
                time.sleep(2 * SLEEP.mean_s)
                touched = [call for call in load.calls[first:] if call.took_s]
                failures = [call.failure for call in touched if call.failure]
                print(*failures, sep="\n")
                kills.append(
                    Kill(exposed=exposed, failed=len(failures), slowest_s=max(call.took_s for call in touched))
                )
        assert len(load.failures) <= sum(kill.failed for kill in kills), "every failure belongs to a kill"
        return kills, len(load.calls), usual_s


def _exposed(fleet: Fleet, victim: Replica) -> int:
    """Waits until enough calls are under way on the victim, and returns how many."""
    seen = 0

    def enough() -> bool:
        nonlocal seen
        seen = fleet.envoys[0].calls_under_way().get(victim.port, 0)
        return seen >= EXPOSED

    await_that(enough, f"{EXPOSED} calls are under way on one replica")
    return seen


@pytest.mark.timeout(1800)
def test_a_killed_replica_fails_no_call(tmp_path: Path) -> None:
    kills, num_calls, usual_s = kill_in_turn(tmp_path, NUM_KILLS, same)
    exposed = sum(kill.exposed for kill in kills)
    slowest_s = max(kill.slowest_s for kill in kills)
    is_quick = slowest_s <= usual_s + SLEEP.mean_s + 0.1
    keep(
        "R1",
        passed=is_quick and not any(kill.failed for kill in kills),
        load=f"{RATE} calls/s, {SLEEP.mean_s} s each, 3 replicas",
        faults=f"{len(kills)} SIGKILLs, {min(kill.exposed for kill in kills)} to {max(kill.exposed for kill in kills)} "
        f"calls under way on the victim, {exposed} in all",
        outcome=f"{sum(kill.failed for kill in kills)} of {num_calls} calls failed; "
        f"the slowest took {slowest_s:.2f} s, 99 of 100 before the first kill at most {usual_s:.2f} s",
    )
    assert [kill.failed for kill in kills] == [0] * NUM_KILLS
    assert is_quick


@pytest.mark.timeout(600)
def test_control_the_usual_retries_lose_what_was_sent(tmp_path: Path) -> None:
    """The control: without retries on a reset, every call that the victim had is lost."""
    kills, _, _ = kill_in_turn(tmp_path, 2, without_reset_retries)
    assert all(kill.failed >= EXPOSED / 2 for kill in kills)
