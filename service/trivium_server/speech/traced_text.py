"""Text that is rewritten, rule by rule, and knows of each character which part of the original it stands for."""

import re
from collections.abc import Callable
from dataclasses import dataclass

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]
"""What to look for, and what to put in its place; in place of its group `new` where it has one."""

_GROUP = "new"


def table(entries: str) -> dict[str, str]:
    """Returns a table that is written as "kg kilogram; m² square meter"."""
    return dict(entry.split(" ", 1) for entry in entries.split("; "))


@dataclass(frozen=True, slots=True)
class TracedText:
    """A text; character i of it stands for original[starts[i]:ends[i]]."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, original: str) -> "TracedText":
        """Returns a text that is not rewritten yet."""
        places = range(len(original) + 1)
        return cls(original, tuple(places[:-1]), tuple(places[1:]))

    def replaced(self, rule: Rule) -> "TracedText":
        """Returns the text with all that the rule finds replaced; what is put there stands for all that it replaces."""
        pattern, put = rule
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        place = 0
        for found in pattern.finditer(self.text):
            first, last = found.span(_GROUP if _GROUP in pattern.groupindex else 0)
            new = put(found)
            if first == last or new == self.text[first:last]:
                continue
            text += self.text[place:first], new
            starts += [*self.starts[place:first], *[self.starts[first]] * len(new)]
            ends += [*self.ends[place:first], *[self.ends[last - 1]] * len(new)]
            place = last
        if not place:
            return self
        return TracedText(
            "".join([*text, self.text[place:]]), (*starts, *self.starts[place:]), (*ends, *self.ends[place:])
        )
