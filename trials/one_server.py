"""One server process without an Envoy before it, watched from outside: its memory, metrics, and callers' times."""

import contextlib
import math
import os
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import trivium
from tools.stack.settings import free_ports
from trials.fleet import Fleet, Replica, await_that
from trials.load import Call
from trivium_models.store import Store

__all__ = ["OneServer", "call_window", "p99_ms", "serve"]


class OneServer:
    """See `serve`."""

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
    others: Sequence[str] = (),
    module: str = "trivium_server",
    settings: dict[str, str] | None = None,
) -> Iterator[OneServer]:
    """Serves a model of the catalog in a process of its own, and ends it. others: models that the store has, too."""
    store = Store()
    for name in (model, *others):
        store.pull(name)
    [metrics_port] = free_ports(1)
    given = {"TRIVIUM_SERVER_METRICS_LISTEN": f"127.0.0.1:{metrics_port}"} | (settings or {})
    with Fleet(folder, store.path, model, num_replicas=1, num_envoys=0, module=module, settings=given) as fleet:
        with trivium.Client(fleet.replicas[0].target) as client:
            client.embed(["Wait until it is warm."] * 8, model=model)
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
