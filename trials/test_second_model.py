"""R12: a second model is loaded and unloaded while the first serves, whose callers and health checks do not notice."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

import trivium
from trials.load import Call, steady_load
from trials.one_server import call_window, p99_ms, serve_sleeper
from trials.results import keep
from trials.sleeping_server import Sleep

# Calls that take no processor: what they wait for is the server, and not the other half of this machine.
SLEEP = Sleep(mean_s=0.5, slots=200)
SECOND = "whisper-base"
RATE = 20
NUM_LOADS = 10
NUM_LOADS_OF_CONTROL = 5
# As long as it is looked at after each loading, so that what else goes on the machine touches both alike.
QUIET_S = 2.0
HEALTH_INTERVAL_S = 0.1
HEALTH_TIMEOUT_S = 0.5
MAX_P99_GROWTH = 0.2


@dataclass(slots=True)
class Health:
    """How health checks of the first model went: how many, how the bad ones ended, and the longest time of one."""

    num_checks: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


@dataclass(slots=True)
class Loading:
    """What came of loading a model several times: calls in quiet times between, and calls that a load touched."""

    between: list[Call] = field(default_factory=list)
    meanwhile: list[Call] = field(default_factory=list)
    load_s: list[float] = field(default_factory=list)
    health: Health = field(default_factory=Health)

    @property
    def failures(self) -> list[Call]:
        return [call for call in (*self.between, *self.meanwhile) if call.failure]

    @property
    def is_quick(self) -> bool:
        """The first model's callers wait no longer than before, within what is allowed."""
        return p99_ms(self.meanwhile) < (1 + MAX_P99_GROWTH) * p99_ms(self.between)


async def detect(client: trivium.AsyncClient, number: int) -> object:
    return await client.detect_language([f"call {number}"])


@contextlib.contextmanager
def checked_health(target: str) -> Iterator[Health]:
    """Asks for the health of the first model, again and again, until the block ends."""
    health = Health()
    stop = threading.Event()

    def check() -> None:
        request = health_pb2.HealthCheckRequest(service="trivium.v1.TextAnalysisService")
        with grpc.insecure_channel(target) as channel:
            stub = HealthStub(channel)
            while not stop.wait(HEALTH_INTERVAL_S):
                health.num_checks += 1
                begun_s = time.monotonic()
                try:
                    status = stub.Check(request, timeout=HEALTH_TIMEOUT_S).status
                    if status != health_pb2.HealthCheckResponse.SERVING:
                        health.failures.append(f"status {status}")
                except grpc.RpcError as error:
                    health.failures.append(str(error))
                health.slowest_s = max(health.slowest_s, time.monotonic() - begun_s)

    thread = threading.Thread(target=check, name="health", daemon=True)
    thread.start()
    try:
        yield health
    finally:
        stop.set()
        thread.join(10)


def load_again_and_again(folder: Path, num_loads: int, module: str = "trials.sleeping_server") -> Loading:
    """Loads and unloads the second model while the first is called."""
    found = Loading()
    with (
        serve_sleeper(folder, SLEEP, others=[SECOND], module=module) as server,
        trivium.Client(server.target) as admin,
        steady_load(server.target, detect, rate=RATE) as load,
    ):
        time.sleep(2)
        with checked_health(server.target) as found.health:
            for _ in range(num_loads):
                found.between += call_window(load.calls, QUIET_S)
                first = len(load.calls)
                begun_s = time.monotonic()
                with admin.admin.load_model(SECOND) as states:
                    last = list(states)[-1]
                assert last.model.state is trivium.ModelState.READY
                found.load_s.append(time.monotonic() - begun_s)
                admin.admin.unload_model(SECOND)
                touched = load.calls[first:]
                call_window(load.calls, 0.5)
                found.meanwhile += touched
    return found


@pytest.mark.timeout(600)
def test_loading_a_second_model_slows_no_caller_of_the_first(tmp_path: Path) -> None:
    found = load_again_and_again(tmp_path, NUM_LOADS)
    before_ms, meanwhile_ms = p99_ms(found.between), p99_ms(found.meanwhile)
    keep(
        "R12",
        passed=not found.failures and not found.health.failures and found.is_quick,
        load=f"{RATE} calls/s of {SLEEP.mean_s} s that take no processor; {len(found.between)} between loads, "
        f"{len(found.meanwhile)} during them",
        faults=f"{len(found.load_s)} times {SECOND} is loaded and unloaded, in {min(found.load_s):.1f} to "
        f"{max(found.load_s):.1f} s",
        outcome=f"{len(found.failures)} calls and {len(found.health.failures)} of {found.health.num_checks} health "
        f"checks failed, the slowest check took {1000 * found.health.slowest_s:.0f} ms; p99 {before_ms:.1f} ms, and "
        f"{meanwhile_ms:.1f} ms during loads (up to {100 * MAX_P99_GROWTH:g} % more)",
    )
    assert found.failures == []
    assert found.health.failures == []
    assert found.is_quick


@pytest.mark.timeout(600)
def test_control_loading_on_the_event_loop_is_noticed(tmp_path: Path) -> None:
    """The control: a server that loads on its event loop keeps callers and health checks waiting."""
    found = load_again_and_again(tmp_path, NUM_LOADS_OF_CONTROL, module="trials.inline_loading_server")
    assert not found.is_quick
    assert found.health.failures
