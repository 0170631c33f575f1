"""How much of a page's text was read, and how well."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Characters but for spaces: how many there are, and were found in any order; edit distance in reading order."""

    characters: int
    found: int
    distance: int


def scored(truth: Iterable[str], read: Iterable[str]) -> Score:
    """Compares what was read with what is there, both in reading order; widths of characters (NFKC) do not count."""
    there, seen = _characters(truth), _characters(read)
    return Score(
        characters=len(there),
        found=(Counter(there) & Counter(seen)).total(),
        distance=edit_distance(there, seen),
    )


def edit_distance(left: str, right: str) -> int:
    """Returns the least number of insertions, removals and replacements between two texts.

    Source: Myers 1999, "A fast bit-vector algorithm for approximate string matching", with the whole text as one word
    (Hyyrö 2001).
    """
    if not left:
        return len(right)
    places: dict[str, int] = {}
    for place, character in enumerate(left):
        places[character] = places.get(character, 0) | 1 << place
    every, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    rises, falls, distance = every, 0, len(left)
    for character in right:
        equal = places.get(character, 0)
        stays = equal | falls
        equal |= ((equal & rises) + rises) ^ rises
        up = falls | (every & ~(equal | rises))
        down = rises & equal
        distance += bool(up & last) - bool(down & last)
        up = (up << 1 | 1) & every
        down = (down << 1) & every
        rises = down | (every & ~(stays | up))
        falls = up & stays
    return distance


def _characters(lines: Iterable[str]) -> str:
    return "".join(unicodedata.normalize("NFKC", "".join(lines)).split())
