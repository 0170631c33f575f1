"""Sampling, against plain definitions of each step."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.decoding.sampling import Sampler, SamplingParameters, choose, draw, rank

V = 200


def pick(chooser: Sampler, logits: NDArray[np.float32], forbidden: NDArray[np.intp] | None = None) -> int | None:
    return choose([(chooser, forbidden)], logits[None].copy())[0]


def logits_of(seed: int, size: int = V) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=size, scale=3).astype(np.float32)


def sampler(parameters: SamplingParameters, prompt: list[int] | None = None, stream: int = 0) -> Sampler:
    return Sampler(parameters, prompt_ids=prompt or [0], vocabulary_size=V, stream=stream)


def allowed(logits: NDArray[np.float32], p: SamplingParameters) -> dict[int, float]:
    """The tokens that may be drawn and their probabilities, by the book."""
    weights = np.exp((logits.astype(np.float64) - logits.max()) / p.temperature)
    order = sorted(range(len(logits)), key=lambda index: (-logits[index], index))
    if p.top_k:
        order = order[: p.top_k]
    if p.top_p < 1:
        total = sum(weights[index] for index in order)
        kept, mass = [], 0.0
        for index in order:
            kept.append(index)
            mass += weights[index]
            if mass >= p.top_p * total:
                break
        order = kept
    order = [index for index in order if weights[index] >= p.min_p]
    total = sum(weights[index] for index in order)
    return {index: float(weights[index] / total) for index in order}


CASES = [
    SamplingParameters(temperature=1.0),
    SamplingParameters(temperature=0.5),
    SamplingParameters(temperature=2.0, top_p=0.9),
    SamplingParameters(temperature=1.0, top_p=0.3),
    SamplingParameters(temperature=1.0, top_k=5),
    SamplingParameters(temperature=1.0, top_k=V + 100),
    SamplingParameters(temperature=1.5, min_p=0.2),
    SamplingParameters(temperature=1.5, top_k=20, top_p=0.8, min_p=0.05),
    # So flat that it is not the few likeliest tokens that decide.
    SamplingParameters(temperature=20.0),
    SamplingParameters(temperature=20.0, top_p=0.8),
    SamplingParameters(temperature=20.0, top_k=100),
    SamplingParameters(temperature=20.0, min_p=0.6),
    SamplingParameters(temperature=20.0, top_k=150, top_p=0.9, min_p=0.6),
]


@pytest.mark.parametrize("parameters", CASES)
def test_draws_follow_the_distribution(parameters: SamplingParameters) -> None:
    seeded = SamplingParameters(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=parameters.top_k,
        min_p=parameters.min_p,
        seed=11,
    )
    logits, chooser, n = logits_of(3), sampler(seeded), 4000
    drawn = [pick(chooser, logits) for _ in range(n)]
    counts = np.bincount([token for token in drawn if token is not None], minlength=V)
    expected = allowed(logits, parameters)
    assert set(np.flatnonzero(counts)) <= set(expected)
    for index, probability in expected.items():
        # Five standard deviations of a binomial draw.
        assert abs(counts[index] - n * probability) <= 5 * np.sqrt(n * probability) + 1


@given(seed=st.integers(0, 2**64 - 1), stream=st.integers(0, 7), row=st.integers(0, 99))
def test_same_seed_same_tokens(seed: int, stream: int, row: int) -> None:
    parameters = SamplingParameters(temperature=1.3, top_p=0.95, seed=seed)
    first, second = (sampler(parameters, stream=stream) for _ in range(2))
    assert [pick(first, logits_of(row + i)) for i in range(5)] == [pick(second, logits_of(row + i)) for i in range(5)]


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 0.25, 1.0]), min_size=1, max_size=1200).filter(any),
    uniform=st.sampled_from([0.0, 1e-300, 0.5, float(np.nextafter(1.0, 0.0))]),
)
def test_what_is_drawn_has_weight(weights: list[float], uniform: float) -> None:
    drawn = draw(np.array(weights, np.float32), uniform)
    assert weights[drawn] > 0
    assert sum(weights[:drawn]) <= uniform * sum(weights) + 1e-6


@given(p=st.sampled_from(CASES), row=st.integers(0, 99))
def test_a_row_is_the_same_in_any_company(p: SamplingParameters, row: int) -> None:
    seeded = dataclasses.replace(p, seed=row)
    rows = np.stack([logits_of(row + i) for i in range(8)])
    together = choose([(sampler(seeded), None) for _ in rows], rows.copy())
    assert [pick(sampler(seeded), logits) for logits in rows] == together


def test_candidates_of_one_seed_differ() -> None:
    parameters = SamplingParameters(temperature=2.0, seed=1)
    drawn = [tuple(pick(sampler(parameters, stream=s), np.zeros(V, np.float32)) for _ in range(8)) for s in range(8)]
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("temperature", [0.0, 1e-30])
def test_no_temperature_takes_the_likeliest(temperature: float) -> None:
    logits = logits_of(5)
    assert pick(sampler(SamplingParameters(temperature=temperature)), logits) == logits.argmax()


def test_ties_take_the_lowest_id() -> None:
    assert pick(sampler(SamplingParameters(temperature=1.0, top_k=1)), np.zeros(V, np.float32)) == 0


def test_repetition_penalty_covers_prompt_and_answer() -> None:
    chooser = sampler(SamplingParameters(temperature=0.0, repetition_penalty=10.0), prompt=[3])
    logits = np.full(V, 1.0, np.float32)
    logits[[3, 4, 5]] = 9.0, 8.0, -0.5
    assert [pick(chooser, logits) for _ in range(2)] == [4, 0]


def test_frequency_grows_with_count_and_presence_does_not() -> None:
    logits = np.zeros(V, np.float32)
    logits[[1, 2]] = 3.0, 1.5
    frequency = sampler(SamplingParameters(temperature=0.0, frequency_penalty=1.0))
    presence = sampler(SamplingParameters(temperature=0.0, presence_penalty=1.0))
    assert [pick(frequency, logits) for _ in range(4)] == [1, 1, 2, 1]
    assert [pick(presence, logits) for _ in range(4)] == [1, 1, 1, 1]


def test_bias_and_prohibition() -> None:
    chooser = sampler(SamplingParameters(temperature=0.0, logit_bias={7: 100.0, 8: 50.0}))
    assert pick(chooser, logits_of(1)) == 7
    assert pick(chooser, logits_of(1), np.array([7])) == 8


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_token_where_logits_are_not_finite(bad: float) -> None:
    logits = logits_of(1)
    logits[9] = bad
    for temperature in (0.0, 1.0):
        chooser = sampler(SamplingParameters(temperature=temperature))
        assert pick(chooser, logits) is None
        both = choose([(chooser, None), (chooser, None)], np.stack([logits, logits_of(2)]))
        assert both[0] is None
        assert both[1] is not None


def test_rank_is_the_models_own_log_softmax() -> None:
    logits = logits_of(2)
    chosen, alternatives = rank(logits, 5, 3)
    reference = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
    assert chosen.logprob == pytest.approx(reference[5], abs=1e-5)
    assert [token.token_id for token in alternatives] == list(np.argsort(-logits)[:3])
    assert [token.logprob for token in alternatives] == pytest.approx(sorted(reference)[:-4:-1], abs=1e-5)
