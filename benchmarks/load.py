"""Sends loads with the load generator, a small Go program, and hears when each message of an answer arrived.

A client shares the processors with the server that it measures. For a token of eight streams one in Python took 0.19 ms
of them, this one takes 0.09, and it reads no message before the load is over.
"""

import atexit
import base64
import functools
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import REPOSITORY
from benchmarks.processes import ServerProcess

_SOURCE = REPOSITORY / "benchmarks" / "load_generator"
_PROGRAM = REPOSITORY / ".tools" / "bin" / "load_generator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where requests go. transport: grpc, path is a method; or sse, requests are bodies to be posted to the path."""

    transport: str
    target: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Sends its requests one after the other.

    delay_s: when it starts; after_messages: it waits until each client without it has had so many of its first answer.
    """

    requests: Sequence[bytes]
    delay_s: float = 0.0
    after_messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The messages of one answer and when they arrived; times are time.monotonic()'s."""

    sent_s: float
    messages: list[tuple[float, bytes]]


class LoadGenerator:
    """The running program. One load at a time."""

    def __init__(self) -> None:
        if shutil.which("go") is None:
            raise SystemExit("benchmarks: the load generator needs Go to be built, and there is no `go` on the PATH")
        subprocess.run(["go", "build", "-o", _PROGRAM, "."], cwd=_SOURCE, check=True)
        # One processor at a time: threads that look for work would take both.
        self.process = ServerProcess([_PROGRAM], env={"GOMAXPROCS": "1"}, pipes=True)

    def run(self, address: Address, clients: Sequence[Client]) -> list[list[Answer]]:
        """Returns the answers of each client. Blocks. Raises RuntimeError when a request failed."""
        asked = [
            {
                "delay_s": client.delay_s,
                "after_messages": client.after_messages,
                "requests": [base64.b64encode(request).decode() for request in client.requests],
            }
            for client in clients
        ]
        load = {"transport": address.transport, "target": address.target, "path": address.path, "clients": asked}
        print(json.dumps(load), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load generator ended:\n{self.process.log_tail()}")
        return [[_answer(address, heard) for heard in answers] for answers in json.loads(line)]


def _answer(address: Address, heard: dict[str, Any]) -> Answer:  # as main.go writes it
    if "error" in heard:
        raise RuntimeError(f"{address.target} answered: {heard['error']}")
    messages = [(message["at_s"], base64.b64decode(message["data"])) for message in heard["messages"] or ()]
    return Answer(sent_s=heard["sent_s"], messages=messages)


@functools.cache
def load_generator() -> LoadGenerator:
    """The one that this process shares; started at the first use, ended with it."""
    generator = LoadGenerator()
    atexit.register(generator.process.stop)
    return generator
