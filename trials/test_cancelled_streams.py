"""R8, shortened: streams that callers leave cost the server nothing that stays."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import trivium
from trivium_models.store import Store

MODEL = "smollm2-135m-instruct"
NUM_STREAMS = 2000
NUM_CALLERS = 8
MAX_GROWTH_MB = 32


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A server process; the fixture's parameter is the size of its queue, 64 without one."""
    store = Store().pull(MODEL).folder.parent
    target = f"unix:{tmp_path}/trivium.sock"
    command = [sys.executable, "-m", "trivium_server", "--listen", target, "--models-dir", str(store)]
    environment = os.environ | {"TRIVIUM_GENERATION_QUEUE_SIZE": str(getattr(request, "param", 64))}
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log, env=environment) as process:
        with trivium.Client(target) as client:
            client.wait_ready(120)
        yield target, process.pid
        process.terminate()
        assert process.wait(60) == 0


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def leave_streams(target: str, count: int) -> int:
    """Opens streams from several callers and leaves each after its first text; returns how many had begun."""

    def one(_: int) -> bool:
        with client.text.stream("Tell me a long story.", model=MODEL, max_output_tokens=400) as stream:
            for _delta in stream:
                return True
        return False

    with trivium.Client(target) as client, ThreadPoolExecutor(NUM_CALLERS) as callers:
        return sum(callers.map(one, range(count)))


@pytest.mark.timeout(3600)
def test_cancelled_streams_leave_nothing_behind(server: tuple[str, int]) -> None:
    target, pid = server
    leave_streams(target, 200)  # warm-up: pools, arenas, caches
    before = resident_mb(pid)
    began = leave_streams(target, NUM_STREAMS)
    growth = resident_mb(pid) - before
    print(f"{began} streams left; resident {before:.0f} MB, then {growth:+.1f} MB")
    assert began == NUM_STREAMS
    assert growth < MAX_GROWTH_MB
    started = time.monotonic()
    with trivium.Client(target) as client:
        client.text.generate("Hi", model=MODEL, max_output_tokens=1)
    assert time.monotonic() - started < 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", [0], indirect=True)
def test_control_callers_that_stay_keep_their_slots(server: tuple[str, int]) -> None:
    """The control: the same probe fails while as many callers as there are slots do not leave."""
    target, _ = server
    with trivium.Client(target, retry=trivium.RetryPolicy(max_attempts=1)) as client:
        streams = [
            client.text.stream("Go on.", model=MODEL, max_output_tokens=2000, min_output_tokens=2000) for _ in range(8)
        ]
        readers = [iter(stream) for stream in streams]
        assert all(next(reader).text is not None for reader in readers)
        with pytest.raises(trivium.errors.QueueFull):
            client.text.generate("Hi", model=MODEL, max_output_tokens=1)
        for stream in streams:
            stream.close()
