"""The server as a process of its own, started as an operator would."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trivium_server", *arguments]


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of Trivium, plus those given."""
    return {key: value for key, value in os.environ.items() if not key.startswith("TRIVIUM_")} | settings


class ServerProcess:
    """A running `python -m trivium_server`; killed at the end if it is still there."""

    def __init__(self, store: Path, *arguments: str, **settings: str) -> None:
        self._process = subprocess.Popen(
            command("--listen", "127.0.0.1:0", "--models-dir", str(store), "--log-format", "text", *arguments),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment(**settings),
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern: str, timeout_s: float = 60.0) -> re.Match[str]:
        """Waits for a log line that matches."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            if self._process.poll() is not None:
                self._reader.join(5)
                break
            time.sleep(0.02)
        found = next((match for line in self.lines if (match := re.search(pattern, line))), None)
        assert found, f"no line matches {pattern!r} in:\n" + "\n".join(self.lines)
        return found

    @property
    def address(self) -> str:
        return self.wait_for(r"listening  address=(\S+)")[1]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def exit_code(self, timeout_s: float = 60.0) -> int:
        code = self._process.wait(timeout_s)
        self._reader.join(5)
        return code

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self.is_running:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(5)
        assert self._process.stderr
        self._process.stderr.close()
