"""The program of one language that does the cases; see README.md for what is said to it and by it."""

import json
import os
import queue
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

__all__ = ["REPOSITORY", "Runner", "RunnerFailed", "command_of", "is_there", "languages"]

REPOSITORY = Path(__file__).parents[2]
_LANGUAGES = ("python", "go", "typescript", "java", "rust", "cpp")
_TOLD_LINES = 12


class RunnerFailed(Exception):
    """The runner did not answer: it hung, ended, or printed what is no answer."""


def languages() -> list[str]:
    """Returns the languages that have a runner."""
    return [
        language for language in _LANGUAGES if (REPOSITORY / "clients" / language / "conformance/command").is_file()
    ]


def command_of(language: str, root: Path = REPOSITORY) -> list[str]:
    """Returns how a language's runner is started, from the root of the repository. OSError where that is not said."""
    return shlex.split((root / "clients" / language / "conformance/command").read_text(encoding="utf-8"))


def is_there(command: list[str]) -> bool:
    """Tells whether the program of a command exists. One that is built by its language's Makefile may not."""
    program = REPOSITORY / command[0] if "/" in command[0] else command[0]
    return shutil.which(program) is not None


class Runner:
    """A running program, started at the first case and again after it failed. close() ends it."""

    def __init__(self, command: list[str], root: Path = REPOSITORY) -> None:
        """root: the folder that the command is run in, with the Python SDK that it holds."""
        self._command = command
        self._root = root
        self._process: _Process | None = None

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not failed since."""
        return self._process is not None

    def ask(self, request: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """Gives it a case and returns what it says. RunnerFailed where it does not; it is ended then."""
        if self._process is None:
            self._process = _Process(self._command, self._root)
        try:
            return self._process.ask(json.dumps(request), timeout_s)
        except RunnerFailed:
            self.close()
            raise

    def close(self) -> None:
        """May be called twice."""
        if self._process is not None:
            self._process.close()
            self._process = None


class _Process:
    def __init__(self, command: list[str], root: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in close()
        try:
            self._process = subprocess.Popen(
                command,
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root / "clients/python")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise RunnerFailed(f"{command[0]} cannot be started: {error.strerror}; is it built?") from error
        assert self._process.stdin
        assert self._process.stdout
        self._input: IO[str] = self._process.stdin
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, line: str, timeout_s: float) -> dict[str, object]:
        try:
            self._input.write(line + "\n")
            self._input.flush()
            answer = self._lines.get(timeout=timeout_s)
        except OSError:
            answer = ""
        except queue.Empty:
            raise RunnerFailed(f"the runner said nothing for {timeout_s:g} s{self._told()}") from None
        if not answer:
            raise RunnerFailed(f"the runner ended{self._told()}")
        try:
            parsed = json.loads(answer)
        except ValueError:
            raise RunnerFailed(f"the runner printed what is no JSON: {answer[:200]!r}") from None
        if not isinstance(parsed, dict):
            raise RunnerFailed(f"the runner printed no object: {answer[:200]!r}")
        return parsed

    def _told(self) -> str:
        """What it last wrote to its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()[-_TOLD_LINES:]
        return "".join(f"\n      | {line}" for line in lines)

    def close(self) -> None:
        try:
            self._input.close()  # end of file: it ends by itself
            self._process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        assert self._process.stdout
        self._process.stdout.close()
        self._errors.close()
