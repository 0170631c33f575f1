"""Turns the tokens of an answer into text as they come: whole characters only, and no part of a stop sequence."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Assembled:
    """Text that is now decided. matched_stop is the stop sequence that ended the text, if one did."""

    text: str
    matched_stop: str = ""


class TextAssembler:
    """The state of one answer. Feed it every token's bytes in order, then finish it.

    Bytes that are not UTF-8 become U+FFFD, as in `bytes.decode(errors="replace")`. Text that might be the beginning of
    a stop sequence, and bytes that might be the beginning of a character, are held back until that is decided.
    """

    def __init__(self, stop_sequences: Sequence[str] = (), *, include_stop: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stop_sequences)
        self._include_stop = include_stop
        self._held = ""

    def feed(self, token_bytes: bytes, *, may_stop: bool = True) -> Assembled:
        """Adds a token. Where may_stop is false no stop sequence is looked for in it.

        After a result with matched_stop the answer is over.
        """
        text = self._decoder.decode(token_bytes)
        if not self._stops or not may_stop:
            return Assembled(text)
        return self._scan(self._held + text)

    def finish(self) -> str:
        """Returns what was still held back: it was no stop sequence after all.

        The bytes of a character that was never completed are left out.
        """
        rest, self._held = self._held, ""
        self._decoder.reset()
        return rest

    def _scan(self, text: str) -> Assembled:
        found = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            # The earliest match ends the text; of those that begin there, the shortest was complete first.
            place, stop = min(found, key=lambda match: (match[0], len(match[1])))
            self._held = ""
            self._decoder.reset()
            return Assembled(text[: place + len(stop)] if self._include_stop else text[:place], stop)
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return Assembled(text[: len(text) - keep])


def _overlap(text: str, stop: str) -> int:
    """Returns the length of the longest end of `text` that is a proper beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
