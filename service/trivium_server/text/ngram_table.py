"""Finds the byte n-grams of a text that a table knows."""

import numpy as np
from numpy.typing import NDArray

MAX_NGRAM_LEN = 7

_LENGTH_SHIFT = np.uint64(56)
_MAX_LOAD = 0.4
# A hundred thousand n-grams take about twenty.
_MAX_ROUNDS = 200
_WINDOW_LEN = 8
# No byte of UTF-8, so that nothing is found across a text's beginning.
_BEFORE = b"\xff" * (_WINDOW_LEN - 1)


class NgramTable:
    """A hash table in which each n-gram has two places (cuckoo hashing), so that looking one up never takes longer.

    Looks up all ends of all bytes of a text side by side. Never changes, so any number of threads may use it at once.
    """

    def __init__(self, ngrams: NDArray[np.uint64]) -> None:
        """ngrams: shape (n,), all different, n at least 1, of 1 to MAX_NGRAM_LEN bytes each.

        An n-gram is a number: its length in the highest byte, its bytes in the lowest ones, the last one lowest. Raises
        ValueError for what is none, or is there twice.
        """
        lengths = np.unique(ngrams >> _LENGTH_SHIFT)
        if not len(lengths) or lengths[0] < 1 or lengths[-1] > MAX_NGRAM_LEN:
            raise ValueError(f"n-grams must have 1 to {MAX_NGRAM_LEN} bytes")
        self._tags = (lengths << _LENGTH_SHIFT)[:, np.newaxis]
        self._masks = ((np.uint64(1) << (np.uint64(8) * lengths)) - np.uint64(1))[:, np.newaxis]
        if len(np.unique(ngrams)) != len(ngrams):
            raise ValueError("n-grams must all be different")
        random = np.random.default_rng(0)
        num_bits = int(np.ceil(np.log2(len(ngrams) / _MAX_LOAD)))
        # Some n-grams may have no way to settle. With other places they do, and the more easily the more there are.
        while not self._fill(ngrams, num_bits, random):
            num_bits += 1
        order = np.argsort(ngrams)
        self._indices: NDArray[np.int32] = order[
            np.searchsorted(ngrams, self._slots, sorter=order) % len(ngrams)
        ].astype(np.int32)

    def longest(self, content: bytes) -> NDArray[np.int32]:
        """Returns the index of the longest n-gram that ends at each byte, or -1 where none does."""
        windows = np.ndarray(len(content), ">u8", _BEFORE + content, strides=(1,)).astype(np.uint64)
        ngrams = windows & self._masks
        ngrams |= self._tags
        first = self._places(ngrams, 0)
        places = np.where(self._slots.take(first) == ngrams, first, self._places(ngrams, 1))
        rows, ends = np.nonzero(self._slots.take(places) == ngrams)
        found = np.full(len(content), -1, np.int32)
        # Rows go from short to long, and of several values for one place the last one stays.
        found[ends] = self._indices.take(places[rows, ends])
        return found

    def _places(self, ngrams: NDArray[np.uint64], which: int) -> NDArray[np.intp]:
        places: NDArray[np.uint64] = ngrams * self._multipliers[which]
        places >>= self._shift
        # The same bits as another type: nothing is copied.
        return places.view(np.intp)

    def _fill(self, ngrams: NDArray[np.uint64], num_bits: int, random: np.random.Generator) -> bool:
        """Puts every n-gram into one of its places; one that is put out by another goes to its other place."""
        self._multipliers = random.integers(1 << 63, size=2, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._shift = np.uint64(64 - num_bits)
        self._slots = np.zeros(1 << num_bits, np.uint64)
        places = np.stack([self._places(ngrams, which) for which in range(2)])
        chosen = np.zeros(len(ngrams), np.intp)
        homeless = np.arange(len(ngrams))
        for _ in range(_MAX_ROUNDS):
            self._slots[places[chosen[homeless], homeless]] = ngrams[homeless]
            homeless = np.flatnonzero((self._slots[places] != ngrams).all(axis=0))
            if not len(homeless):
                return True
            chosen[homeless] ^= 1
        return False
