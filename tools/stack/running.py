"""The stack as a process of its own, for programs that try it: the demo and the tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.stack.settings import ROOT

__all__ = ["RunningStack"]


class RunningStack:
    """Runs `python -m tools.stack` on free ports; on leaving, ends it as Ctrl-C does, and kills what does not end.

    folder: where its files are. Its status lines go to `output`.
    """

    def __init__(self, folder: Path, *arguments: str, output: int | None = None) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "tools.stack", "--port", "0", "--web-port", "0", "--folder", str(folder)]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdout=output, start_new_session=True, env={**os.environ}
        )

    @property
    def state(self) -> Mapping[str, object]:
        """What `stack.json` says now; nothing before it is there."""
        try:
            values: dict[str, object] = json.loads((self.folder / "stack.json").read_text())
        except FileNotFoundError:
            return {}
        return values

    def text(self, name: str) -> str:
        """Returns a value of the state, such as tls_target."""
        return str(self.state[name])

    @property
    def replicas(self) -> list[dict[str, object]]:
        """Number, address, pid, stage and starts of each."""
        replicas = self.state.get("replicas", [])
        assert isinstance(replicas, list)
        return replicas

    @property
    def pids(self) -> list[int]:
        """The processes that it has started and that run, the stack's own first."""
        numbers = [self.process.pid, self.state.get("envoy", 0), *(replica["pid"] for replica in self.replicas)]
        return [number for number in numbers if isinstance(number, int) and number]

    def wait_until_serving(self, timeout_s: float = 180.0) -> None:
        """Waits until Envoy sends calls to every replica. Raises TimeoutError, or RuntimeError when the stack ends."""
        self.wait_for("all replicas to serve", self._is_serving, timeout_s)

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Waits for a condition while the stack runs; raises as above."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"the stack ended with exit code {self.process.returncode}")
            if time.monotonic() > end_s:
                raise TimeoutError(f"waited {timeout_s:g} s for {what}; its logs are in {self.folder}")
            time.sleep(0.1)

    def signal_replica(self, number: int, what: signal.Signals) -> None:
        """Sends a signal to the replica of this number, from 1."""
        pid = self.replicas[number - 1]["pid"]
        assert isinstance(pid, int)
        assert pid, "the replica runs"
        os.kill(pid, what)

    def _is_serving(self) -> bool:
        return bool(self.replicas) and all(replica["stage"] == "serving" for replica in self.replicas)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            # Whatever it had started dies with it.
            self.process.kill()
            self.process.wait(10)
