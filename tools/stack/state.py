"""What the stack knows about itself, printed line by line and kept in a file for other programs."""

import contextlib
import dataclasses
import datetime
import json
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = ["ReplicaState", "StackState", "Stage"]


class Stage(StrEnum):
    """STARTING: no port yet. LOADING: it answers. READY: its models do. SERVING: Envoy sends it calls, too."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    SERVING = "serving"
    DRAINING = "draining"
    GONE = "gone"


@dataclass(slots=True, kw_only=True)
class ReplicaState:
    """A replica. services: those that Envoy sends it calls for. starts: how often it was started. staged_s: when it
    entered its stage, by the monotonic clock."""

    number: int
    address: str
    pid: int = 0
    stage: Stage = Stage.GONE
    services: list[str] = field(default_factory=list)
    starts: int = 0
    staged_s: float = 0.0

    def enter(self, stage: Stage) -> None:
        self.stage, self.staged_s = stage, time.monotonic()


@dataclass(slots=True, kw_only=True)
class StackState:
    """The whole stack; `say` prints a line and writes the file. supervisor: process id."""

    file: Path
    supervisor: int
    tls_target: str
    web_target: str
    admin: str
    root_certificate: Path
    envoy: int = 0
    replicas: list[ReplicaState] = field(default_factory=list)

    def say(self, who: str, what: str) -> None:
        """A terminal that is gone is no reason to stop."""
        self._save()
        now = datetime.datetime.now().strftime("%H:%M:%S")
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{now}  {who:<10} {what}\n")
            sys.stdout.flush()

    def _save(self) -> None:
        values = dataclasses.asdict(self)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(values, default=str, indent=1))
        part.replace(self.file)
