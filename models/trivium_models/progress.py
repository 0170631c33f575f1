"""How long-running work tells a caller where it is."""

from typing import Literal, Protocol


class Progress(Protocol):
    """Hears about stages of work, one at a time. Called from the thread that does the work."""

    def begin(self, label: str, total: int, unit: Literal["bytes", "layers"]) -> None:
        """A stage starts; `total` is how much there is to do, in `unit`."""
        ...

    def advance(self, done: int) -> None:
        """`done` of the stage's total is done; it can fall back when a transfer starts over."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line: a retry, a wait for another process."""
        ...


class NoProgress:
    """Hears and forgets."""

    def begin(self, label: str, total: int, unit: Literal["bytes", "layers"]) -> None:
        """Forgets the stage."""

    def advance(self, done: int) -> None:
        """Forgets the progress."""

    def note(self, text: str) -> None:
        """Forgets the note."""


class LayerProgress:
    """Tells a stage of progress about exported layers, from the first one on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = False

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` layers are exported."""
        if not self._began:
            self._progress.begin("exporting to ONNX", total, "layers")
            self._began = True
        self._progress.advance(done)
