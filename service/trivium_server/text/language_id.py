"""Tells the language of texts by the byte n-grams in them, with a naive Bayes model.

What counts is, at each byte, the longest known n-gram that ends there. How often each was found, and how likely each is
in each language, gives every language a score.

Source: Lui and Baldwin, "langid.py: An Off-the-shelf Language Identification Tool", ACL 2012, as modified in py3langid
0.4 by Adrien Barbaresi: counts are dampened by log(1 + n), and scores divided by the square root of the text's length,
so that long texts do not come out as certain.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.text.ngram_table import NgramTable

MAX_TEXT_BYTES = 8192
"""More of a text is not read."""
NO_LANGUAGE = "zxx"
"""BCP 47 for what is no language."""

# All numbers of 16 bits: numpy converts them more slowly than it looks them up.
_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
# No byte of UTF-8. It parts texts: nothing is found across it.
_SEPARATOR = b"\xff"
# unicodedata takes quadratic time for a row of combining marks, and nothing else runs meanwhile.
_MAX_COMPOSED_LEN = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """The statistics.

    ngrams: uint64 (ngrams,), as NgramTable has them. weights: float16 (ngrams, columns), their log-likelihoods. prior:
    float32 (columns,). column_languages: the language of each column; one that is written in two scripts may have two.
    """

    ngrams: NDArray[np.uint64]
    weights: NDArray[np.float16]
    prior: NDArray[np.float32]
    column_languages: tuple[str, ...]


class LanguageIdentifier:
    """Scores languages for texts. Never changes, so any number of threads may use it at once."""

    def __init__(self, model: LanguageModel) -> None:
        """Raises ValueError when the n-grams are none."""
        self.languages: tuple[str, ...] = tuple(dict.fromkeys(model.column_languages))
        self._table = NgramTable(model.ngrams)
        self._weight_bits = model.weights.view(np.uint16)
        self._prior = model.prior
        # Adds up the columns of each language.
        self._fold = np.array(
            [[column == language for language in self.languages] for column in model.column_languages], np.float32
        )

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns how likely each text is in each language; shape (texts, languages), rows add up to 1.

        Reads the first MAX_TEXT_BYTES of a text, in UTF-8 and up to the last whole character. A text without any letter
        is NO_LANGUAGE for certain, if the model knows that. All languages are equally likely for a text in which
        nothing was found. What else is among the texts changes nothing.
        """
        contents = [_content(text) for text in texts]
        answers = np.full((len(texts), len(self.languages)), 1 / len(self.languages), np.float32)
        start = 0
        found = self._table.longest(_SEPARATOR.join(contents))
        for content, answer in zip(contents, answers, strict=True):
            ngrams, counts = _counted(found[start : start + len(content)])
            start += len(content) + 1
            if len(ngrams):
                weights = _HALVES.take(self._weight_bits.take(ngrams, axis=0))
                columns = np.log1p(counts) @ weights + self._prior
                answer[:] = _softmax(columns / np.sqrt(np.float32(len(content)))) @ self._fold
            elif not content and NO_LANGUAGE in self.languages:
                answer[:] = 0
                answer[self.languages.index(NO_LANGUAGE)] = 1
        return answers


def _content(text: str) -> bytes:
    """Returns what is read of a text, as the model was trained to see it; nothing where it has no letter."""
    # As many characters have at least as many bytes, and need not all be encoded to be cut.
    cut = text[:MAX_TEXT_BYTES].encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
    if not any(map(str.isalpha, cut)):
        return b""
    lowered = cut.lower() if cut.isupper() else cut
    return (lowered if lowered.isascii() else _composed(lowered)).encode()


def _composed(text: str) -> str:
    """Returns a text in Unicode's form NFC, but for rows of over a hundred characters without a space."""
    pieces = []
    start = 0
    while start < len(text):
        end = start + _MAX_COMPOSED_LEN
        if end < len(text):
            # Nothing composes with the space in front of it.
            space = text.rfind(" ", start + 1, end)
            end = space if space > 0 else end
        pieces.append(unicodedata.normalize("NFC", text[start:end]))
        start = end
    return "".join(pieces)


def _counted(found: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Returns the distinct n-grams in ascending order, and how often each is there."""
    ngrams = np.sort(found[found >= 0])
    if not len(ngrams):
        return ngrams, np.zeros(0, np.float32)
    changes = np.flatnonzero(ngrams[1:] != ngrams[:-1]) + 1
    bounds = np.concatenate(([0], changes, [len(ngrams)]))
    return ngrams[bounds[:-1]], (bounds[1:] - bounds[:-1]).astype(np.float32)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(scores - scores.max())
    shares: NDArray[np.float32] = exponentials / exponentials.sum()
    return shares
