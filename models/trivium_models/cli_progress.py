"""Progress for people: bars on a terminal; on anything else, one line per stage."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click

from trivium_models.progress import Progress


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """A listener that shows progress on stderr while the block runs."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from trivium_models.cli_bars import Bars

    bars = Bars()
    try:
        yield bars
    finally:
        bars.close()


class Lines:
    """A listener that prints a line to stderr for each stage and note."""

    def begin(self, label: str, total: int, unit: Literal["bytes", "layers"]) -> None:
        """Prints what starts and how much it is."""
        amount = f"{total / 1e6:.1f} MB" if unit == "bytes" else f"{total} layers"
        self.note(f"{label} ({amount})")

    def advance(self, done: int) -> None:
        """Prints nothing."""

    def note(self, text: str) -> None:
        """Prints the line."""
        click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """The text with everything escaped that a terminal would act on; a stranger may have written it."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
