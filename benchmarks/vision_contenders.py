"""Who takes part in the measurement of vision: our server, and the same work without one."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.contenders import wait_serving
from benchmarks.processes import ServerProcess, free_port
from benchmarks.prompts import store
from benchmarks.vision_bare import Burst
from benchmarks.vision_images import MODELS


class Served:
    """Our server as `trivium serve` runs it, with its own defaults but for the threads. start first, close at the end.

    threads: images that are decoded, and that each model looks at, at the same time.
    """

    name = "trivium"
    process: ServerProcess

    def __init__(self, *, threads: int) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._threads = str(threads)

    def start(self) -> None:
        """Returns when all models are ready. Raises RuntimeError when they do not become so."""
        names = list(dict.fromkeys(MODELS.values()))
        command = [sys.executable, "-m", "trivium_server", "--listen", self.address, "--models-dir", str(store())]
        command += ["--threads", self._threads, *(word for name in names for word in ("--model", name))]
        env = {f"TRIVIUM_IMAGES_{setting}": self._threads for setting in ("RUNNERS", "DECODERS")}
        self.process = ServerProcess(command, env=env)
        for name in names:
            wait_serving(self.process, self.address, service=f"model/{name}")

    def close(self) -> None:
        self.process.stop()


class Bare:
    """The limit; see vision_bare. It takes a burst at once."""

    name = "bare pipeline"
    process: ServerProcess

    def __init__(self, *, threads: int) -> None:
        self.threads = threads

    def start(self) -> None:
        self.process = ServerProcess([sys.executable, "-m", "benchmarks.vision_bare", store()], pipes=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the bare pipeline did not start:\n{self.process.log_tail()}")

    def close(self) -> None:
        self.process.stop()

    def burst(self, feature: str, files: Sequence[Path], *, count: int, threads: int | None = None) -> Burst:
        """Looks at `count` images; blocks. threads: one each processor unless said otherwise."""
        asked = {"feature": feature, "files": list(map(str, files)), "count": count}
        print(json.dumps(asked | {"threads": threads or self.threads}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare pipeline ended:\n{self.process.log_tail()}")
        burst: Burst = json.loads(line)
        return burst


def require_models() -> None:
    """Ends the program with what to do when a model is not there."""
    for name in dict.fromkeys(MODELS.values()):
        if not (store() / name / "model.toml").exists():
            raise SystemExit(f"benchmarks: {name} is not in the store; get it with `trivium models pull {name}`")


@contextlib.contextmanager
def awake(contender: Served | Bare) -> Iterator[None]:
    """Lets a stopped contender run for as long as the block does."""
    contender.process.resume()
    try:
        yield
    finally:
        contender.process.require_alive()
        contender.process.pause()
