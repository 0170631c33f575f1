"""Texts of ragged lengths, as a search or deduplication service meets them, from real English.

Lengths in tokens, special tokens included, are log-normal: median 18, 95 of 100 are at most 62. The texts are sentences
of the World Factbook, for the long ones several that follow each other, and for the short ones clauses.
"""

import itertools
import math
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from examples.search.factbook import distinct_sentences, fetch_archive, read_passages

MEDIAN_TOKENS = 18
P95_TOKENS = 62
MIN_TOKENS, MAX_TOKENS = 4, 256
_SIGMA = math.log(P95_TOKENS / MEDIAN_TOKENS) / 1.6449  # the normal distribution's 95 % point
_CLAUSE_BREAK = re.compile(r"[,;:()]\s*|\s-+\s")
_MOST_IN_A_ROW = 8


class RaggedTexts:
    """Deals out texts of drawn lengths, repeatable by seed; a text comes again once its length's others were out."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        texts = list(dict.fromkeys(_pieces(distinct_sentences(read_passages(fetch_archive()), min_words=2))))
        by_length: dict[int, list[str]] = {}
        for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
            if MIN_TOKENS <= len(encoding.ids) <= MAX_TOKENS:
                by_length.setdefault(len(encoding.ids), []).append(text)
        self._by_length = by_length

    def take(self, count: int, *, seed: int) -> list[str]:
        """Returns `count` texts in an order that knows nothing of their lengths."""
        rng = random.Random(seed)
        shuffled = {length: rng.sample(texts, len(texts)) for length, texts in self._by_length.items()}
        dealt = {length: itertools.cycle(texts) for length, texts in shuffled.items()}
        drawn = (rng.lognormvariate(math.log(MEDIAN_TOKENS), _SIGMA) for _ in range(count))
        lengths = (min(max(round(length), MIN_TOKENS), MAX_TOKENS) for length in drawn)
        return [next(dealt[min(dealt, key=lambda have: abs(have - length))]) for length in lengths]


def tokenizer_of(folder: Path) -> Tokenizer:
    """Returns a model's tokenizer; cuts at the length that the model's texts are held to here, and pads nothing."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _pieces(sentences: Sequence[str]) -> Iterator[str]:
    for start, sentence in enumerate(sentences):
        yield sentence
        yield from (clause.strip() for clause in _CLAUSE_BREAK.split(sentence) if " " in clause.strip())
        if start % _MOST_IN_A_ROW == 0:
            yield from (" ".join(sentences[start : start + count]) for count in range(2, _MOST_IN_A_ROW + 1))
