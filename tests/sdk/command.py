"""The `trivium` command as a process, with pipes or a terminal around it."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect

TRIVIUM = str(Path(sys.executable).with_name("trivium"))


def environment(tmp_path: Path, target: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIVIUM_")}
    return kept | {
        "TRIVIUM_TARGET": target,
        "XDG_STATE_HOME": str(tmp_path),
        "TERM": "xterm",
        "COLUMNS": "100",
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }


def leave(running: "pexpect.spawn[str]") -> None:
    """Reads what is left, since a process that cannot write does not end, and waits for the end."""
    running.expect(pexpect.EOF)
    running.close()


class Command:
    """Runs `trivium` against one server."""

    def __init__(self, tmp_path: Path, target: str) -> None:
        self.environment = environment(tmp_path, target)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TRIVIUM, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # so that a test can give bytes that are no text
            timeout=60,
            check=False,
        )

    def spawn(self, *arguments: str) -> "pexpect.spawn[str]":
        return pexpect.spawn(
            TRIVIUM, list(arguments), env=self.environment, encoding="utf-8", timeout=20, dimensions=(40, 100)
        )
