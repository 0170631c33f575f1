"""The `trivium` command as a process, with pipes or a terminal around it."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect

from tests.serving import wait_until

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


def until_it_waits(pid: int) -> None:
    """Returns once the main thread of a process has done nothing for a while.

    An interrupt that comes while it is inside grpc's C code is lost.
    """
    stat = Path(f"/proc/{pid}/task/{pid}/stat")
    looks: list[list[str]] = []

    def is_waiting() -> bool:
        fields = stat.read_text().rpartition(")")[2].split()
        state_and_times = [fields[0], *fields[11:13]]
        looks[:] = [look for look in looks if look == state_and_times] if fields[0] == "S" else []
        looks.append(state_and_times)
        return len(looks) > 20

    assert wait_until(is_waiting, seconds=60)


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
            timeout=120,
            check=False,
        )

    def spawn(self, *arguments: str) -> "pexpect.spawn[str]":
        return pexpect.spawn(
            TRIVIUM, list(arguments), env=self.environment, encoding="utf-8", timeout=60, dimensions=(40, 100)
        )
