"""R3 and R4: replicas and Envoys that are restarted one by one under load fail no call and no stream."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trivium
from trials.fleet import Fleet, Replica
from trials.load import steady_load
from trials.results import keep
from trials.sleeping_server import MODEL as SLEEPER
from trials.sleeping_server import Sleep, make_store
from trivium_models.store import Store

MODEL = "smollm2-135m-instruct"
TEXT = "trivium.v1.TextGenerationService"
ANALYSIS = "trivium.v1.TextAnalysisService"
NUM_CYCLES = 3
GRACE_S = 30.0
NUM_READERS = 4
SETTINGS = {"TRIVIUM_RUNTIME_INTRA_OP_THREADS": "1", "TRIVIUM_DRAIN_GRACE_S": str(GRACE_S)}


class Streams:
    """Readers of short streams, one after the other each, until the block ends. No attempt is made twice."""

    def __init__(self) -> None:
        self.num_whole = 0
        self.failures: list[trivium.TriviumError] = []

    @contextlib.contextmanager
    def reading(self, target: str) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(target, stop)), name="readers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(120)
        assert not thread.is_alive()

    async def _run(self, target: str, stop: threading.Event) -> None:
        async with trivium.AsyncClient(target, retry=trivium.RetryPolicy(max_attempts=1)) as client:
            await asyncio.gather(*(self._read(client, stop) for _ in range(NUM_READERS)))

    async def _read(self, client: trivium.AsyncClient, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                stream = client.text.stream("Tell me a story.", model=MODEL, max_output_tokens=40, min_output_tokens=40)
                async for _ in stream:
                    pass
                self.num_whole += 1
            except trivium.TriviumError as error:
                self.failures.append(error)


async def count(client: trivium.AsyncClient, number: int) -> object:
    return await client.text.count_tokens(f"Call number {number}.", model=MODEL)


def restart_all(fleet: Fleet, restart: Callable[[Replica], float]) -> list[float]:
    """Restarts each replica in turn once the others serve; returns the seconds that each took to be gone."""
    gone = []
    for replica in fleet.replicas:
        gone.append(restart(replica))
        replica.start()
        fleet.await_ready(replica)
        fleet.await_healthy(TEXT)
    return gone


def drained(replica: Replica) -> float:
    status, took_s = replica.stop(GRACE_S + 30)
    assert status == 0, "a drained server leaves with 0"
    return took_s


def killed(replica: Replica) -> float:
    begun = time.monotonic()
    replica.kill()
    return time.monotonic() - begun


@pytest.mark.timeout(1800)
def test_a_rolling_restart_fails_nothing(tmp_path: Path) -> None:
    store = Store().pull(MODEL).folder.parent
    streams = Streams()
    with Fleet(tmp_path, store, MODEL, settings=SETTINGS) as fleet:
        fleet.await_healthy(TEXT)
        target = fleet.envoys[0].target
        with steady_load(target, count, rate=50) as load, streams.reading(target):
            gone = [each for _ in range(NUM_CYCLES) for each in restart_all(fleet, drained)]
    is_whole = not load.failures and not streams.failures
    keep(
        "R3",
        passed=is_whole and max(gone) <= GRACE_S + 5,
        load=f"50 calls/s and {NUM_READERS} streams at once, 3 replicas, no retries by the SDK",
        faults=f"{len(gone)} drains with SIGTERM, {NUM_CYCLES} cycles",
        outcome=f"{len(load.failures)} of {len(load.calls)} calls and {len(streams.failures)} of "
        f"{streams.num_whole + len(streams.failures)} streams failed; each was gone after {max(gone):.1f} s at most",
    )
    assert load.failures == []
    assert streams.failures == []
    assert streams.num_whole > 3 * NUM_CYCLES
    assert max(gone) <= GRACE_S + 5


@pytest.mark.timeout(600)
def test_control_replicas_that_are_killed_break_streams(tmp_path: Path) -> None:
    """The control: without the drain, streams break."""
    store = Store().pull(MODEL).folder.parent
    streams = Streams()
    with Fleet(tmp_path, store, MODEL, settings=SETTINGS) as fleet:
        fleet.await_healthy(TEXT)
        with streams.reading(fleet.envoys[0].target):
            restart_all(fleet, killed)
    assert streams.failures


async def detect(client: trivium.AsyncClient, number: int) -> object:
    return await client.detect_language([f"call {number}"])


def restart_envoys(folder: Path, *, drain: bool, max_attempts: int) -> tuple[int, int, int]:
    """Restarts two Envoys in turn under calls to both addresses; returns restarts, calls, and calls that failed."""
    store = make_store(folder / "store", Sleep(mean_s=0.2, slots=200))
    restarts = 0
    with Fleet(folder, store, SLEEPER, module="trials.sleeping_server", num_replicas=2, num_envoys=2) as fleet:
        fleet.await_healthy(ANALYSIS)
        target = "ipv4:" + ",".join(envoy.target for envoy in fleet.envoys)
        with steady_load(target, detect, rate=100, max_attempts=max_attempts, tls=False) as load:
            time.sleep(1)
            for _ in range(NUM_CYCLES):
                for envoy in fleet.envoys:
                    if drain:
                        envoy.admin.drain()
                        time.sleep(6)  # Envoy's drain_timeout, and a second
                        envoy.stop()
                    else:
                        envoy.kill()
                        time.sleep(1)
                    envoy.start()
                    fleet.await_healthy(ANALYSIS)
                    restarts += 1
                    time.sleep(1)
    return restarts, len(load.calls), len(load.failures)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("drain", [True, False], ids=["drained", "killed"])
def test_restarted_envoys_fail_no_call(tmp_path: Path, drain: bool) -> None:
    restarts, num_calls, num_failed = restart_envoys(tmp_path, drain=drain, max_attempts=4)
    keep(
        "R4",
        passed=num_failed == 0,
        load="100 calls/s of 0.2 s through one connection, 2 Envoys, the SDK's own retries",
        faults=f"{restarts} Envoys {'drained' if drain else 'killed with SIGKILL'} and restarted",
        outcome=f"{num_failed} of {num_calls} calls failed",
    )
    assert num_failed == 0


@pytest.mark.timeout(600)
def test_control_without_retries_a_killed_envoy_fails_calls(tmp_path: Path) -> None:
    """The control: with one attempt, what was under way is lost."""
    assert restart_envoys(tmp_path, drain=False, max_attempts=1)[2] > 0
