"""Makes one vector of a text out of a model's output for its tokens. Every function sees the text's own tokens only."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import finite

# As torch.nn.functional.normalize has it: a vector of zeros stays one.
_SMALLEST_LENGTH = 1e-12


class Pooling(Enum):
    """Which tokens make a vector; values are the words of sentence-transformers' pooling_mode."""

    MEAN = "mean"
    CLS = "cls"
    LAST_TOKEN = "lasttoken"  # noqa: S105  no password
    MAX = "max"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"
    WEIGHTED_MEAN = "weightedmean"


def pooled(states: NDArray[np.float32], pooling: Pooling) -> NDArray[np.float32]:
    """Returns the vector of a text, shape (hidden,), from its token vectors, shape (tokens, hidden), tokens >= 1.

    WEIGHTED_MEAN weighs the n-th token with n, as Muennighoff 2022 does (SGPT).
    """
    count = len(states)
    vector: NDArray[np.float32]
    match pooling:
        case Pooling.MEAN:
            vector = states.sum(axis=0) / np.float32(count)
        case Pooling.CLS:
            vector = states[0].copy()
        case Pooling.LAST_TOKEN:
            vector = states[-1].copy()
        case Pooling.MAX:
            vector = states.max(axis=0)
        case Pooling.MEAN_SQRT_LEN:
            vector = states.sum(axis=0) / np.float32(count**0.5)
        case Pooling.WEIGHTED_MEAN:
            weights = np.arange(1, count + 1, dtype=np.float32) * np.float32(2 / (count * (count + 1)))
            vector = (states * weights[:, None]).sum(axis=0)
    return vector


def shaped(vectors: NDArray[np.float32], *, dimensions: int | None, normalize: bool) -> NDArray[np.float32]:
    """Returns vectors, shape (…, n), cut to their first dimensions and then divided by their Euclidean length.

    A new array, which keeps nothing else alive. Raises NotFiniteError.
    """
    cut = np.array(vectors[..., :dimensions], np.float32)
    if normalize:
        cut /= np.maximum(np.sqrt(np.square(cut).sum(axis=-1, keepdims=True)), np.float32(_SMALLEST_LENGTH))
    return finite(cut)


def token_weights(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Returns the ids with a weight, ascending, and their weights: max over tokens of log(1 + relu(logit)).

    logits: shape (tokens, vocabulary). Source: Formal et al. 2021, SPLADE v2. Raises NotFiniteError.
    """
    # Both functions grow with the logit, so they need only be worked out for the largest.
    weights = finite(np.log1p(np.maximum(logits.max(axis=0), np.float32(0))))
    ids = np.flatnonzero(weights)
    return ids.astype(np.int64), weights[ids]
