"""A language model small enough to be reckoned by hand."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from trivium_server.text.language_id import LanguageModel

COLUMNS = ("en", "sr", "zxx", "sr")
NGRAMS = (b"th", b"the", b"da", "да".encode(), b"<t", "é".encode())
# Each n-gram speaks for one column; `th` for two of them alike.
WEIGHTS = (
    (-1.0, -9.0, -9.0, -1.0),
    (-1.0, -9.0, -9.0, -9.0),
    (-9.0, -1.0, -9.0, -9.0),
    (-9.0, -9.0, -9.0, -1.0),
    (-9.0, -9.0, -1.0, -9.0),
    (-9.0, -1.0, -9.0, -9.0),
)
PRIOR = (0.5, 0.25, 0.0, 0.25)


def numbered(ngrams: Iterable[bytes]) -> NDArray[np.uint64]:
    """N-grams as the folder has them."""
    return np.array([len(ngram) << 56 | int.from_bytes(ngram, "big") for ngram in ngrams], np.uint64)


def tiny_model(columns: tuple[str, ...] = COLUMNS) -> LanguageModel:
    return LanguageModel(
        ngrams=numbered(NGRAMS),
        weights=np.array(WEIGHTS, np.float16),
        prior=np.array(PRIOR, np.float32),
        column_languages=columns,
    )
