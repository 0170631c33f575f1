"""One server process without an Envoy before it, watched from outside: its memory, metrics, and callers' times."""

import contextlib
import math
import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import trivium
from tools.stack.settings import free_ports
from trials.fleet import Fleet, Replica, await_that
from trials.load import Call
from trials.sleeping_server import MODEL as SLEEPER
from trials.sleeping_server import Sleep, make_store
from trivium_models.store import Store

__all__ = ["OneServer", "call_window", "p99_ms", "serve", "serve_sleeper"]


class OneServer:
    """See `serve` and `serve_sleeper`."""

    def __init__(self, replica: Replica, metrics_port: int) -> None:
        self.target = replica.target
        self.pid = replica.pid
        self._metrics = f"http://127.0.0.1:{metrics_port}/metrics"

    @property
    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def metric(self, name: str, **labels: str) -> float:
        """Returns what the metric has now, or half a second ago; 0 where there is none with these labels."""
        with urllib.request.urlopen(self._metrics, timeout=10) as answer:
            text: str = answer.read().decode()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        for line in text.splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(label in sample for label in wanted):
                return float(value)
        return 0.0

    @contextlib.contextmanager
    def peak_memory(self) -> Iterator[list[float]]:
        """Gives a list that holds the largest resident memory of the block, in MB, looked at ten times a second."""
        peak = [self.resident_mb]
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(0.1):
                peak[0] = max(peak[0], self.resident_mb)

        thread = threading.Thread(target=look, name="memory", daemon=True)
        thread.start()
        try:
            yield peak
        finally:
            stop.set()
            thread.join(10)


@contextlib.contextmanager
def serve(
    folder: Path,
    model: str,
    *,
    module: str = "trivium_server",
    settings: dict[str, str] | None = None,
) -> Iterator[OneServer]:
    """Serves a model of the catalog that embeds in a process of its own, and ends it."""
    store = Store()
    store.pull(model)
    with _serving(folder, store.path, [model], module, settings) as server:
        with trivium.Client(server.target) as client:
            client.embed(["Wait until it is warm."] * 8, model=model)
        yield server


@contextlib.contextmanager
def serve_sleeper(
    folder: Path,
    sleep: Sleep,
    *,
    loaded: Sequence[str] = (),
    others: Sequence[str] = (),
    module: str = "trials.sleeping_server",
    settings: dict[str, str] | None = None,
) -> Iterator[OneServer]:
    """Serves a sleeper in a process of its own, and ends it. loaded, others: models of the catalog, served or not."""
    store = make_store(folder / "store", sleep)
    for name in (*loaded, *others):
        shutil.copytree(Store().pull(name).folder, store / name)
    with _serving(folder, store, [SLEEPER, *loaded], module, settings) as server:
        yield server


@contextlib.contextmanager
def _serving(
    folder: Path, store: Path, models: Sequence[str], module: str, settings: dict[str, str] | None
) -> Iterator[OneServer]:
    [metrics_port] = free_ports(1)
    given = {
        "TRIVIUM_MODELS_LOAD": ",".join(models),
        "TRIVIUM_SERVER_METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
        **(settings or {}),
    }
    with Fleet(folder, store, models[-1], num_replicas=1, num_envoys=0, module=module, settings=given) as fleet:
        yield OneServer(fleet.replicas[0], metrics_port)
        assert not fleet.replicas[0].has_ended, f"the server ended: {fleet.replicas[0].last_words}"


def call_window(calls: list[Call], seconds: float) -> list[Call]:
    """Waits for so long, and returns the calls that began meanwhile, once they have ended."""
    first = len(calls)
    time.sleep(seconds)
    begun = calls[first:]
    await_that(lambda: all(call.took_s for call in begun), "the calls have ended")
    return begun


def p99_ms(calls: Sequence[Call]) -> float:
    """The 99th percentile of how long calls took, failed ones included."""
    took_s = sorted(call.took_s for call in calls)
    return 1000 * took_s[math.ceil(0.99 * len(took_s)) - 1]
