"""Small numeric functions that several rooms use."""

import numpy as np
from numpy.typing import NDArray


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the natural logarithm of the softmax over the last axis, computed stably. Same shape."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def top_indices(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Returns the indices of the k largest of a vector, largest first, lower index first among equals.

    k may exceed the length; then all indices are returned.
    """
    k = min(k, len(values))
    if k == 0:
        return np.zeros(0, np.intp)
    threshold = np.partition(values, len(values) - k)[len(values) - k]
    # All that tie with the k-th take part in the sort, so that the choice among equals never depends on partitioning.
    candidates = np.flatnonzero(values >= threshold)
    order = np.argsort(-values[candidates], kind="stable")
    return candidates[order[:k]]
