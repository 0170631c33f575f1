"""Servers under measurement, each a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STOP_S = 15.0


class ServerProcess:
    """A child with a log file. `pause` stops it while another contender runs, so that it cannot even spin."""

    def __init__(
        self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, pipes: bool = False
    ) -> None:
        """pipes: gives the child a standard input and output to talk over; otherwise its output goes to the log."""
        self._log = tempfile.NamedTemporaryFile(prefix="bench-", suffix=".log", delete=False)  # noqa: SIM115  closed in stop
        self.log_file = Path(self._log.name)
        self.started_s = time.monotonic()
        self._native = subprocess.Popen(
            list(map(str, command)),
            env=dict(os.environ) | dict(env or {}),
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else self._log,
            stderr=self._log,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._native.pid

    @property
    def stdin(self) -> IO[str]:
        assert self._native.stdin is not None
        return self._native.stdin

    @property
    def stdout(self) -> IO[str]:
        assert self._native.stdout is not None
        return self._native.stdout

    def require_alive(self) -> None:
        """Raises RuntimeError with the end of the log when the child has ended."""
        if self._native.poll() is not None:
            raise RuntimeError(f"{self._native.args!r} ended with {self._native.returncode}:\n{self.log_tail()}")

    def log_tail(self, characters: int = 2000) -> str:
        return self.log_file.read_text(errors="replace")[-characters:]

    def send(self, number: signal.Signals) -> None:
        self._native.send_signal(number)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def cpu_s(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_mb(self, field: str = "VmRSS") -> float:
        """A field of /proc/<pid>/status in MB (10^6 bytes)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
        raise KeyError(field)

    def stop(self) -> int:
        """Ends the child, kindly first, and returns its exit code."""
        if self._native.poll() is None:
            self.resume()
            self.send(signal.SIGTERM)
            try:
                self._native.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._native.kill()
                self._native.wait()
        for pipe in (self._native.stdin, self._native.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._log.close()
        self.log_file.unlink(missing_ok=True)
        return self._native.returncode


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
