"""Progress bars on a terminal. Apart from cli_progress.py because rich takes long to import."""

from typing import Literal

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

from trivium_models.cli_progress import plain


class Bars:
    """A listener with one bar at a time on stderr; the caller closes it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress: Progress | None = None

    def begin(self, label: str, total: int, unit: Literal["bytes", "layers"]) -> None:
        """Ends the bar before and shows the next."""
        self.close()
        # A label holds names that others chose; they are not rich's markup.
        text = TextColumn("{task.description}", markup=False)
        if unit == "bytes":
            amount = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._progress = Progress(text, BarColumn(), *amount, console=self._console)
        else:
            self._progress = Progress(text, BarColumn(), MofNCompleteColumn(), console=self._console)
        self._progress.add_task(plain(label), total=total)
        self._progress.start()

    def advance(self, done: int) -> None:
        """Moves the bar."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done)

    def note(self, text: str) -> None:
        """Prints a line above the bar."""
        self._console.print(plain(text), highlight=False, markup=False)

    def close(self) -> None:
        """Takes the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
