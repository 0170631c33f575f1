"""Keeps what a trial found, one JSON file a trial with a line for each run, from which docs/reliability.md is made."""

import datetime
import json
import platform
from pathlib import Path

from benchmarks import machine

__all__ = ["FOLDER", "keep"]

FOLDER = Path(__file__).resolve().parent / "results"


def keep(trial: str, *, passed: bool, load: str, faults: str, outcome: str) -> None:
    """Appends one run, whatever came of it, and prints it.

    load: how many callers did what. faults: what happened to them, and how many were exposed to it.
    """
    described = machine.describe()
    run: dict[str, object] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": described["commit"],
        "machine": f"{described['cpus']} cpus, {platform.machine()}",
        "passed": passed,
        "load": load,
        "faults": faults,
        "outcome": outcome,
    }
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{trial}.jsonl").open("a") as file:
        file.write(json.dumps(run) + "\n")
    print(trial, json.dumps(run, indent=1))
