"""Finds which words of a text became which words of its rewritten form: "$5 million" is read "5 million dollars"."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_STOPS = ",.;:!?\"'()"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """words[start:end] of the text became this many words of the other; none where they have no sound."""

    start: int
    end: int
    num_written: int


def align(
    words: Sequence[str], written: Sequence[str], rewrite: Callable[[str], Sequence[str]]
) -> tuple[Rewriting, ...]:
    """Returns the parts of `words`, in order and without gaps, and how many of `written` each became, all of them.

    rewrite: rewrites one word alone; a part that was rewritten is of several words only where they were rewritten
    together.
    """
    parts: list[Rewriting] = []
    matcher = SequenceMatcher(None, [*map(_core, words)], [*map(_core, written)], autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            parts.extend(Rewriting(place, place + 1, 1) for place in range(start, end))
        elif kind == "insert" and parts:
            before = parts.pop()
            parts.append(Rewriting(before.start, before.end, before.num_written + last - first))
        else:
            parts.extend(_split(start, words[start:end], written[first:last], rewrite))
    return tuple(_led(parts))


def _split(
    start: int, words: Sequence[str], written: Sequence[str], rewrite: Callable[[str], Sequence[str]]
) -> Iterator[Rewriting]:
    """Tells the words of a part from each other, where each became as many as it would alone, or all became one."""
    counts = [len(rewrite(word)) for word in words]
    if sum(counts) != len(written):
        counts = [1] * len(words)
    if sum(counts) != len(written):
        yield Rewriting(start, start + len(words), len(written))
        return
    for place, count in enumerate(counts, start):
        yield Rewriting(place, place + 1, count)


def _core(word: str) -> str:
    """Returns a word without the stops after it, which move when words do."""
    return word.rstrip(_STOPS) or word


def _led(parts: Sequence[Rewriting]) -> Iterator[Rewriting]:
    """What was written before the first word belongs to it."""
    if len(parts) > 1 and parts[0].start == parts[0].end:
        first, second, *rest = parts
        yield Rewriting(second.start, second.end, first.num_written + second.num_written)
        yield from rest
    else:
        yield from parts
