"""What `trivium chat` shows: answers while they are made, notes, and the line to type in."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from trivium.cli._reporting import printable, read_stdin, write_answer


class Screen(Protocol):
    """Where a chat happens."""

    def read(self) -> str:
        """Returns the next line. EOFError at the end, KeyboardInterrupt at Ctrl-C."""

    def show(self, pieces: Iterable[str]) -> None:
        """Shows an answer while it is made."""

    def note(self, text: str) -> None:
        """Says something that is not the model's."""


class PipedScreen:
    """Lines in, answers out, notes on standard error: for scripts."""

    def read(self) -> str:
        line = read_stdin(sys.stdin.readline)
        if not line:
            raise EOFError
        return line

    def show(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            write_answer(piece)
        click.echo()

    def note(self, text: str) -> None:
        click.echo(text, err=True)


class TerminalScreen:
    """A terminal: history, several lines in one message, Markdown that is rendered while it arrives."""

    def __init__(self, *, plain: bool, keep_history: bool) -> None:
        self._console = Console(highlight=False)
        self._plain = plain
        self._prompt: PromptSession[str] = PromptSession(
            history=_history() if keep_history else InMemoryHistory(), key_bindings=_keys(), enable_suspend=True
        )

    def read(self) -> str:
        return self._prompt.prompt(FormattedText([("bold ansicyan", "> ")]), prompt_continuation="  ")

    def show(self, pieces: Iterable[str]) -> None:
        if self._plain:
            for piece in pieces:
                write_answer(piece)
            click.echo()
            return
        said: list[str] = []
        try:
            with (
                _unechoed(),
                Live(console=self._console, refresh_per_second=12, transient=True, vertical_overflow="crop") as live,
            ):
                for piece in pieces:
                    said.append(printable(piece))
                    live.update(_Tail(_markdown("".join(said))))
        finally:
            if said:
                self._console.print(_markdown("".join(said)))

    def note(self, text: str) -> None:
        self._console.print(Text(printable(text), style="dim"))


@contextmanager
def _unechoed() -> Iterator[None]:
    """Keeps the terminal from showing what is typed meanwhile; it stays there to be read.

    A `^C` at the end of a full line would begin another one, and whoever redraws lines by their number would miss one.
    """
    if sys.platform == "win32":
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    during = before.copy()
    during[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, during)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


class _Tail:
    """The last lines of something that may be taller than the screen."""

    def __init__(self, content: Markdown) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._content, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Text("\n", end="")


def _markdown(text: str) -> Markdown:
    """Renders a model's text; its single line breaks, as in a poem, stay line breaks."""
    lines, is_code = [], False
    for line in text.split("\n"):
        is_code ^= line.lstrip().startswith("```")
        lines.append(line if is_code or not line.strip() else f"{line}  ")
    return Markdown("\n".join(lines))


def _history() -> History:
    """Keeps what was typed in the XDG state folder, readable by this user alone; in memory where that fails."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "trivium" / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
