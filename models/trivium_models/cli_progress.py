"""Progress bars on a terminal; on anything else, one line per stage."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from trivium_models.progress import Progress as Listener


@contextmanager
def terminal_progress() -> Iterator[Listener]:
    """A listener that shows progress on stderr while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bars = _Bars(Console(stderr=True))
    try:
        yield bars
    finally:
        bars.close()


class _Lines:
    def begin(self, label: str, total: int, unit: Literal["bytes", "layers"]) -> None:
        amount = f"{total / 1e6:.1f} MB" if unit == "bytes" else f"{total} layers"
        click.echo(f"{label} ({amount})", err=True)

    def advance(self, done: int) -> None:
        pass

    def note(self, text: str) -> None:
        click.echo(text, err=True)


class _Bars:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None

    def begin(self, label: str, total: int, unit: Literal["bytes", "layers"]) -> None:
        self.close()
        if unit == "bytes":
            amount = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._progress = Progress(TextColumn("{task.description}"), BarColumn(), *amount, console=self._console)
        else:
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=self._console
            )
        self._progress.add_task(label, total=total)
        self._progress.start()

    def advance(self, done: int) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done)

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
