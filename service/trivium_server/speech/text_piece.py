"""A part of a text, and where it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPiece:
    """A part of a text: text[start:end] of what it was cut from, in code points.

    ends_paragraph: it is a sentence, and after it an empty line or the like was seen.
    """

    text: str
    start: int
    end: int
    ends_paragraph: bool = False
