"""Writes a measurement as a table for people and as JSON with the raw samples, under benchmarks/results."""

import json
import shlex
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine

DEFAULT_FOLDER = machine.REPOSITORY / "benchmarks" / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with a title; cells are ready to print."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*lines, *map(_line, self.rows), ""])


@dataclass(slots=True, kw_only=True)
class Report:
    """What one command measured. notes: Markdown that says how. `samples` is anything that JSON can hold."""

    name: str
    title: str
    notes: str
    facts: dict[str, str]
    tables: list[Table] = field(default_factory=list)
    samples: dict[str, object] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Prints the report and writes <name>.md and <name>.json into the folder."""
        text = self._markdown()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.md").write_text(text)
        tables = [
            {"title": t.title, "columns": list(t.columns), "rows": [list(row) for row in t.rows]} for t in self.tables
        ]
        raw = {"command": _command(), "facts": self.facts, "tables": tables, "samples": self.samples}
        (folder / f"{self.name}.json").write_text(json.dumps(raw, indent=1) + "\n")
        print(text)

    def _markdown(self) -> str:
        facts = "\n".join(f"- {key}: {value}" for key, value in self.facts.items())
        tables = "\n".join(table.markdown() for table in self.tables)
        return f"# {self.title}\n\n{self.notes}\n{tables}\n### Where it ran\n\n- command: `{_command()}`\n{facts}\n"


def percentile(values: Iterable[float], share: float) -> float:
    """Returns the smallest value that at least `share` of the values do not exceed; NaN for none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and the range when there are several."""
    if not values:
        return "-"
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def paired(ours: Sequence[float], other: Sequence[float]) -> str:
    """Median and range of the ratio within each round."""
    return spread([a / b for a, b in zip(ours, other, strict=True)], 2)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _command() -> str:
    words = sys.orig_argv[1:]
    if "--results" in words:  # where files go is no part of a measurement, and often names somebody's machine
        place = words.index("--results")
        del words[place : place + 2]
    return "python " + " ".join(shlex.quote(word) for word in words)
