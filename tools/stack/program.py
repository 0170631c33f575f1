"""A program that the stack keeps running: started, listened to, started anew when it dies, and ended with the stack."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["Program"]

_BOUND = Path(__file__).with_name("bound.py")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 15.0
# One that ran so long had no trouble with starting.
_SETTLED_S = 20.0
_MAX_LINE_BYTES = 1024 * 1024


class Program:
    """Runs one command for as long as `run` runs; what it prints goes to a file.

    on_start is called with the process id, on_line with each line that it prints, on_exit with the exit code (below
    zero: the signal) and the seconds until it is started anew, None where it is not. The process cannot outlive this
    one, and is in a process group of its own: Ctrl-C in a terminal does not reach it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        on_start: Callable[[int], None],
        on_line: Callable[[bytes], None],
        on_exit: Callable[[int, float | None], None],
    ) -> None:
        self._command = [sys.executable, "-S", "-E", str(_BOUND), str(os.getpid()), *command]
        self._log = log
        self._environment = dict(environment)
        self._on_start, self._on_line, self._on_exit = on_start, on_line, on_exit
        self._process: asyncio.subprocess.Process | None = None
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Runs the command again and again until `end` or `kill`, and returns when the process is gone."""
        wait_s = _FIRST_WAIT_S
        while not self._ending.is_set():
            started_s = time.monotonic()
            code = await self._run_once()
            if self._ending.is_set():
                self._on_exit(code, None)
                return
            wait_s = _FIRST_WAIT_S if time.monotonic() - started_s > _SETTLED_S else wait_s
            self._on_exit(code, wait_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def end(self) -> None:
        """Asks the process to end, and starts none any more."""
        self._stop(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process at once, and starts none any more."""
        self._stop(signal.SIGKILL)

    def _stop(self, number: signal.Signals) -> None:
        self._ending.set()
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _run_once(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            limit=_MAX_LINE_BYTES,
            process_group=0,
        )
        try:
            self._on_start(process.pid)
            if self._ending.is_set():
                process.terminate()
            assert process.stdout
            with self._log.open("ab", buffering=0) as log:
                async for line in process.stdout:
                    log.write(line)
                    self._on_line(line)
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
