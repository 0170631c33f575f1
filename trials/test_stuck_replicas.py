"""R13: a replica that is stuck, silent or slow costs no caller a failed call, and is left out soon."""

import signal
import statistics
import time
from pathlib import Path

import pytest

import trivium
from trials.fleet import Fleet, await_that, same, without_pings
from trials.load import Load, steady_load
from trials.results import keep
from trials.sleeping_server import MODEL, Sleep, make_store

SERVICE = "trivium.v1.TextAnalysisService"
RATE = 100
SLEEP = Sleep(mean_s=0.3, slots=200)
STUCK_S = 30.0
MAX_DETECTION_S = 3.0


async def detect(client: trivium.AsyncClient, number: int) -> object:
    return await client.detect_language([f"call {number}"])


def stop_one(folder: Path, *, pings: bool = True) -> tuple[Load, float, float]:
    """Stops a replica for half a minute; returns the calls, the seconds to its exclusion, and the share of retries."""
    store = make_store(folder / "store", SLEEP)
    change = same if pings else without_pings
    with Fleet(folder, store, MODEL, module="trials.sleeping_server", change=change) as fleet:
        fleet.await_healthy(SERVICE)
        envoy, victim = fleet.envoys[0], fleet.replicas[0]
        with steady_load(envoy.target, detect, rate=RATE) as load:
            await_that(lambda: envoy.calls_under_way()[victim.port] >= 5, "calls are under way on it")
            victim.signal(signal.SIGSTOP)
            stopped_s = time.monotonic()
            await_that(lambda: victim.port not in envoy.healthy(SERVICE), "the stuck replica is left out")
            detected_s = time.monotonic() - stopped_s
            time.sleep(max(0.0, stopped_s + STUCK_S - time.monotonic()))
            victim.signal(signal.SIGCONT)
            fleet.await_healthy(SERVICE)
            time.sleep(3)
        retries = envoy.admin.counter(f"cluster.{SERVICE.replace('.', '_')}.upstream_rq_retry")
        return load, detected_s, retries / len(load.calls)


@pytest.mark.timeout(600)
def test_a_stuck_replica_fails_no_call(tmp_path: Path) -> None:
    load, detected_s, retried = stop_one(tmp_path)
    slowest_s = max(call.took_s for call in load.calls)
    keep(
        "R13",
        passed=not load.failures and detected_s <= MAX_DETECTION_S and retried <= 0.2,
        load=f"{RATE} calls/s of {SLEEP.mean_s} s, 3 replicas, no retries by the SDK",
        faults=f"one replica stopped (SIGSTOP) for {STUCK_S:g} s",
        outcome=f"{len(load.failures)} of {len(load.calls)} calls failed, left out after {detected_s:.1f} s, "
        f"{100 * retried:.1f} % of calls sent again, slowest {slowest_s:.2f} s, "
        f"median {statistics.median(call.took_s for call in load.calls):.2f} s",
    )
    assert load.failures == []
    assert detected_s <= MAX_DETECTION_S
    assert retried <= 0.2


@pytest.mark.timeout(600)
def test_control_without_pings_calls_hang_on_a_stuck_replica(tmp_path: Path) -> None:
    """The control: without pings on the connection, calls that were sent wait until the replica goes on."""
    load, _, _ = stop_one(tmp_path, pings=False)
    assert max(call.took_s for call in load.calls) > STUCK_S / 2
