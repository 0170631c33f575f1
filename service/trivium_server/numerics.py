"""Small numeric functions that several rooms use."""

import numpy as np
from numpy.typing import NDArray


class NotFiniteError(ArithmeticError):
    """A model's output holds a NaN or an infinity."""


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


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns 1 / (1 + exp(-x)), without overflow. Raises NotFiniteError."""
    small = np.exp(-np.abs(finite(logits)))
    result: NDArray[np.float32] = np.where(logits >= 0, 1, small) / (1 + small)
    return result.astype(np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns probabilities over the last axis. Raises NotFiniteError."""
    exponentials = np.exp(finite(logits) - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the values. Raises NotFiniteError when one of them is none."""
    if not np.isfinite(values).all():
        raise NotFiniteError
    return values
