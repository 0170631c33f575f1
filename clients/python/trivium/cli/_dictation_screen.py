"""What `trivium dictate` shows: utterances while they grow, and when they are over."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from trivium.cli._reporting import one_line, plain, to_json, write_answer
from trivium.speech import TranscriptUpdate


class DictationScreen(Protocol):
    """Where a dictation goes. Use it in `with`."""

    shows_interim: bool

    def show(self, update: TranscriptUpdate) -> None:
        """Shows an utterance as it is understood so far."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _PlainScreen:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class LinesScreen(_PlainScreen):
    """A line for each utterance that is over, written at once: for files and pipes."""

    shows_interim = False

    def show(self, update: TranscriptUpdate) -> None:
        if update.is_final and update.text:
            write_answer(f"{update.text}\n")


class JsonScreen(_PlainScreen):
    """An object on a line for each change, written at once."""

    shows_interim = True

    def show(self, update: TranscriptUpdate) -> None:
        fields = plain(update.segment)
        assert isinstance(fields, dict), "a dataclass becomes an object"
        shown = {"is_final": update.is_final, "stable_len": update.stable_len, "processed_s": update.processed_s}
        write_answer(f"{to_json({**fields, **shown})}\n")


class TerminalScreen:
    """A terminal: the utterance that grows is dimmed below those that are over."""

    shows_interim = True

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, update: TranscriptUpdate) -> None:
        text = one_line(update.text)
        if not update.is_final:
            self._live.update(Text(text, style="dim"), refresh=True)
            return
        self._live.update(Text(""), refresh=True)
        if text:
            self._console.print(Text(text))
