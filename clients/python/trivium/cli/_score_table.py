"""Scores with what they are for, as a table for people."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivium.cli._reporting import one_line


def print_scores(rows: Iterable[tuple[float | None, str]], headings: tuple[str, str]) -> None:
    """Prints a row for each score: four decimals, then the text on one line; without a score, a dash."""
    console = Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column(headings[0], justify="right")
    table.add_column(
        headings[1], no_wrap=not console.is_terminal, overflow="ellipsis" if console.is_terminal else "fold"
    )
    for score, text in rows:
        table.add_row("-" if score is None else f"{score:.4f}", Text(one_line(text)))
    console.print(table)
