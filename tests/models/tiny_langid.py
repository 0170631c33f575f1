"""A py3langid model of six n-grams, made as its authors make theirs: an automaton with its equal rows kept once."""

import io
import lzma
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NGRAMS = (b"ab", b"abc", b"bc", b"ca", "é".encode(), b"xbcy")
CLASSES = ("en", "kik", "sr", "sr")

Arrays = dict[str, NDArray[np.generic]]


def tiny_arrays(ngrams: Sequence[bytes] = NGRAMS, classes: Sequence[str] = CLASSES) -> Arrays:
    """The arrays of model.npz, by their names there."""
    texts = sorted(
        {ngram[:end] for ngram in ngrams for end in range(len(ngram) + 1)}, key=lambda text: (len(text), text)
    )
    states = {text: state for state, text in enumerate(texts)}
    moves = [[states[_end_in(states, text + bytes([byte]))] for byte in range(256)] for text in texts]
    rows, row_of_state = np.unique(np.array(moves, np.uint32), axis=0, return_inverse=True)
    found = [_end_in(dict.fromkeys(ngrams), text) for text in texts]
    random = np.random.default_rng(3)
    return {
        "ptc": random.normal(-8, 2, (len(ngrams), len(classes))).astype(np.float16),
        "pc": random.normal(5, 1, len(classes)).astype(np.float32),
        "classes": np.array(classes),
        "nextmove": rows.ravel(),
        "nextmove_row": row_of_state.ravel().astype(np.uint16),
        "out_feat": np.array([ngrams.index(text) if text else -1 for text in found], np.int32),
    }


def packed(arrays: Arrays) -> bytes:
    """The content of model.npz.xz."""
    archive = io.BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the keyword allow_pickle for one of them
    return lzma.compress(archive.getvalue(), preset=0)


def _end_in(known: dict[bytes, object] | dict[bytes, int], text: bytes) -> bytes:
    """The longest end of a text that is known; empty where none is."""
    return next((text[start:] for start in range(len(text)) if text[start:] in known), b"")
