"""Servers of several processes under measurement."""

import contextlib
import os
import signal
from pathlib import Path

from benchmarks.processes import ServerProcess

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerTree(ServerProcess):
    """A child that may have children of its own: what is counted, stopped and ended is all of them."""

    def pause(self) -> None:
        self._send_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._send_all(signal.SIGCONT)

    def cpu_s(self) -> float:
        """User and system time so far of all processes that live."""
        ticks = 0
        for pid in _family(self.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                fields = _stat(pid)
                ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS_PER_S

    def stop(self) -> int:
        family = _family(self.pid)
        code = super().stop()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return code

    def _send_all(self, number: signal.Signals) -> None:
        for pid in _family(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _family(root: int) -> list[int]:
    """Returns a process and all below it."""
    below: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            below.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found = [root]
    for pid in found:
        found.extend(below.get(pid, ()))
    return found


def _stat(pid: int) -> list[str]:
    """Returns the fields of /proc/<pid>/stat after the name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
