"""`trivium serve` with one more family of models: it sleeps instead of computing, and answers as a language detector.

    python -m trials.sleeping_server --models-dir FOLDER …     all options of trivium serve

Two cores cannot show what three replicas can do; sleepers can. Everything but the model is the server's own: admission,
queue, deadlines, drain. A folder is made by `make_store`. SLEEPER_SPEED in the environment makes one process slower
(0.5: every sleep is twice as long) than its folder says.
"""

import asyncio
import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivium_server import app
from trivium_server.architectures.catalog import Family
from trivium_server.architectures.model_folder import ListedFile, digest_of
from trivium_server.architectures.text_capabilities import EncoderMeter, Outcome
from trivium_server.cli import serve
from trivium_server.config import Config
from trivium_server.errors import DeadlineExceeded, QueueFull
from trivium_server.runtime.workload import BusyClock, Workload

MODEL = "sleeper"
SPEED = "SLEEPER_SPEED"
_SETTINGS = "sleep.json"
_QUEUE_FULL_RETRY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep:
    """How a sleeper serves: so many calls at once, each for a time of this mean; others wait, up to so many.

    is_random: times are exponential, as in the textbooks; else all equal.
    """

    mean_s: float
    slots: int
    queue_size: int = 1000
    is_random: bool = False


def make_store(folder: Path, sleep: Sleep) -> Path:
    """Makes a model store with the sleeper in it, and returns it."""
    model = folder / MODEL
    model.mkdir(parents=True)
    content = json.dumps(asdict(sleep)).encode()
    (model / _SETTINGS).write_bytes(content)
    listed = ListedFile(hashlib.sha256(content).hexdigest(), len(content))
    settings = {"task": "detect_language", "architecture": "sleep"}
    lines = [f'{key} = "{value}"' for key, value in settings.items()]
    lines += [f'name = "{MODEL}"', 'version = "1"', f'digest = "{digest_of({_SETTINGS: listed}, settings)}"', "[files]"]
    lines.append(f'"{_SETTINGS}" = {{ sha256 = "{listed.sha256}", size_bytes = {listed.size_bytes} }}')
    (model / "model.toml").write_text("\n".join(lines) + "\n")
    return folder


class Sleeper:
    """Implements text_capabilities.LanguageDetector and capabilities.ServedModel."""

    execution_provider = ""
    language_codes = ("en", "zxx")

    def __init__(self, sleep: Sleep, speed: float = 1.0) -> None:
        self._sleep = sleep
        self._mean_s = sleep.mean_s / speed
        self._slots = asyncio.Semaphore(sleep.slots)
        self._rng = random.Random()
        self._num_waiting = 0
        self._num_done = 0
        self._busy = BusyClock()

    @property
    def workload(self) -> Workload:
        return Workload(
            num_places=self._sleep.slots,
            num_busy=self._busy.num_busy,
            busy_s=self._busy.seconds,
            num_waiting=self._num_waiting,
            waiting_runs=float(self._num_waiting),
            num_runs=self._num_done,
            num_items=self._num_done,
        )

    async def warm_up(self) -> None:
        """Needs none."""

    async def close(self, grace_s: float) -> None:
        """Has nothing to give back."""

    async def detect(
        self, texts: Sequence[str], *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[NDArray[np.float32]]]:
        """Sleeps, and takes every text for English."""
        if self._num_waiting >= self._sleep.queue_size:
            raise QueueFull(self._sleep.queue_size, _QUEUE_FULL_RETRY_S)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, deadline_s - begun)):
                self._num_waiting += 1
                try:
                    await self._slots.acquire()
                finally:
                    self._num_waiting -= 1
                meter.queue_s = time.monotonic() - begun
                self._busy.begin()
                try:
                    is_random = self._sleep.is_random
                    await asyncio.sleep(self._rng.expovariate(1 / self._mean_s) if is_random else self._mean_s)
                finally:
                    self._busy.end()
                    self._num_done += 1
                    self._slots.release()
        except TimeoutError:
            raise DeadlineExceeded(deadline_s - begun) from None
        meter.inference_s = time.monotonic() - begun - meter.queue_s
        return [np.array([1, 0], np.float32) for _ in texts]


def _load(folder: Path, _config: Config, _progress: Callable[[float], None]) -> Sleeper:
    return Sleeper(Sleep(**json.loads((folder / _SETTINGS).read_text())), float(os.environ.get(SPEED, "1")))


def add_family() -> None:
    """Makes the servers of this process know sleepers."""
    app.FAMILIES["sleep"] = Family(_load)


if __name__ == "__main__":
    add_family()
    serve(prog_name="python -m trials.sleeping_server")
