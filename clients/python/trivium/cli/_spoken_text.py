"""A text of any length, given to a stream no faster than it is spoken: a server takes only so much ahead."""

import threading
from collections.abc import Iterator

_PATIENCE_S = 20.0
"""A text without anything that can be spoken is passed over silently; then more is sent all the same."""


class PacedText:
    """An iterable of the blocks of a text. One thread iterates it, another tells what was spoken.

    ahead_len: characters that may be sent and not be spoken yet.
    """

    def __init__(self, text: str, ahead_len: int) -> None:
        self._text = text
        self._ahead_len = max(1, ahead_len)
        self._block_len = max(1, ahead_len // 4)
        self._spoken = 0
        self._is_over = False
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self._text), self._block_len):
            block = self._text[start : start + self._block_len]
            least = start + len(block) - self._ahead_len
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or self._spoken >= least, timeout=_PATIENCE_S)  # noqa: B023  # called at once only
                if self._is_over:
                    return
            yield block

    def note_spoken(self, end: int) -> None:
        """The text was spoken up to here."""
        with self._changed:
            self._spoken = end
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the iteration."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
