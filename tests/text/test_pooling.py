"""Pooling against plain definitions, in double precision."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.numerics import NotFiniteError, sigmoid, softmax
from trivium_server.text.pooling import Pooling, pooled, shaped, token_weights

HIDDEN = 5

DEFINITIONS: dict[Pooling, Callable[[list[float]], float]] = {
    Pooling.MEAN: lambda column: math.fsum(column) / len(column),
    Pooling.CLS: lambda column: column[0],
    Pooling.LAST_TOKEN: lambda column: column[-1],
    Pooling.MAX: max,
    Pooling.MEAN_SQRT_LEN: lambda column: math.fsum(column) / math.sqrt(len(column)),
    Pooling.WEIGHTED_MEAN: lambda column: (
        math.fsum(place * value for place, value in enumerate(column, 1)) / sum(range(1, len(column) + 1))
    ),
}


def states_of(num_tokens: int) -> NDArray[np.float32]:
    return np.random.default_rng(num_tokens).normal(size=(num_tokens, HIDDEN)).astype(np.float32)


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("num_tokens", [1, 2, 3, 17, 512])
def test_pooling_is_its_definition(pooling: Pooling, num_tokens: int) -> None:
    states = states_of(num_tokens)
    vector = pooled(states, pooling)
    wanted = [DEFINITIONS[pooling]([float(value) for value in column]) for column in states.T]
    assert vector.dtype == np.float32
    assert vector.shape == (HIDDEN,)
    np.testing.assert_allclose(vector, wanted, atol=2e-6)


@pytest.mark.parametrize("pooling", Pooling)
def test_pooled_vector_does_not_keep_the_batch_alive(pooling: Pooling) -> None:
    assert pooled(states_of(3), pooling).base is None


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.data())
def test_cut_comes_before_the_length_is_made_one(values: list[float], data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, len(values)))
    vector = np.array(values, np.float32)
    cut = shaped(vector, dimensions=dimensions, normalize=False)
    unit = shaped(vector, dimensions=dimensions, normalize=True)
    assert cut.tolist() == values[:dimensions]
    length = math.sqrt(math.fsum(value * value for value in values[:dimensions]))
    if length > 1e-6:
        np.testing.assert_allclose(unit, [value / length for value in values[:dimensions]], atol=1e-6)
    else:
        assert np.isfinite(unit).all()


def test_vector_of_zeros_stays_one() -> None:
    assert shaped(np.zeros(3, np.float32), dimensions=None, normalize=True).tolist() == [0, 0, 0]


def test_token_vectors_are_cut_and_normalized_each() -> None:
    states = states_of(4)
    found = shaped(states, dimensions=2, normalize=True)
    for row, wanted in zip(found, states, strict=True):
        np.testing.assert_array_equal(row, shaped(wanted, dimensions=2, normalize=True))


def test_token_weights_are_the_largest_of_log_1_plus_relu() -> None:
    logits = np.array([[1.0, -2.0, 0.0, 3.0], [2.0, -1.0, 0.0, -4.0]], np.float32)
    ids, weights = token_weights(logits)
    assert ids.tolist() == [0, 3]
    np.testing.assert_allclose(weights, [math.log(3), math.log(4)], atol=1e-7)
    assert ids.dtype == np.int64
    assert weights.dtype == np.float32


@given(st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=8))
def test_probabilities_are_their_definitions(values: list[float]) -> None:
    logits = np.array(values, np.float32)
    largest = max(values)
    total = math.fsum(math.exp(value - largest) for value in values)
    np.testing.assert_allclose(softmax(logits), [math.exp(v - largest) / total for v in values], atol=1e-6)
    wanted = [1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v)) for v in values]
    np.testing.assert_allclose(sigmoid(logits), wanted, atol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    values = np.array([[1.0, bad]], np.float32)
    for function in (softmax, sigmoid, lambda v: shaped(v, dimensions=None, normalize=False)):
        with pytest.raises(NotFiniteError), np.errstate(all="ignore"):
            function(values)
    if bad != -math.inf:
        with pytest.raises(NotFiniteError), np.errstate(all="ignore"):
            token_weights(values)
