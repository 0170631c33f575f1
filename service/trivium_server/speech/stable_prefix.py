"""How much of a text that is still being heard will stay as it is.

A word is taken to be settled once two hypotheses in a row agree on it and on all before it, and it is the last word of
neither: the last word may not have been spoken to its end. Source: Liu, Spanakis & Niehues 2020, local agreement.
"""

import re

_WORD = re.compile(r"\S+")


class StablePrefix:
    """The settled part of one utterance's hypotheses."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._num_settled = 0

    def update(self, text: str) -> int:
        """Takes the next hypothesis; returns the length of its settled part in code points, which ends with a word.

        What was settled in the hypothesis before, and stands in this one too, stays settled.
        """
        places = list(_WORD.finditer(text))
        words = [place.group() for place in places]
        agreed = _num_equal(self._words, words)
        within = min(len(words), len(self._words)) - 1
        self._num_settled = max(min(agreed, within), min(agreed, self._num_settled), 0)
        self._words = words
        return places[self._num_settled - 1].end() if self._num_settled else 0


def _num_equal(first: list[str], second: list[str]) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))
