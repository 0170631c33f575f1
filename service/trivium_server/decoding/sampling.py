"""Chooses the next token of one sequence from its logits.

Order: repetition penalty, frequency and presence penalty, logit bias, forbidden end tokens; then temperature, top-k,
top-p, min-p. Sources: CTRL, Keskar et al. 2019 (repetition penalty); Holtzman et al. 2020 (top-p); Nguyen et al. 2024
(min-p). All arithmetic is on one row, so a choice never depends on the other sequences of a batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import log_softmax, top_indices

Logits = NDArray[np.float32]
Weights = NDArray[np.float32]

# Below it the likeliest token is as good as certain, and its inverse stays far from infinity.
_LEAST_TEMPERATURE = 1e-4
# Where the tokens that the cuts leave are looked for: first among the few whose weight is at least e^-depth.
_HEAD_DEPTHS = (6.0, 12.0)
# All tokens of less weight than e^-depth together weigh less than float32 can tell from nothing.
_WHOLE_DEPTH = 25.0
# So many tokens are sorted in less time than the whole vocabulary is weighed. Above this temperature they are more.
_FEW = 2048
_COOL = 0.5
_BLOCK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParameters:
    """How tokens are chosen; ranges as in the contract, already checked. seed None draws from the system's entropy."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedToken:
    """A token and its log-probability under the model itself."""

    token_id: int
    logprob: float


class Sampler:
    """The state of one sequence's sampling. Used by the engine's thread alone."""

    def __init__(
        self, parameters: SamplingParameters, *, prompt_ids: Sequence[int], vocabulary_size: int, stream: int = 0
    ) -> None:
        """stream: distinguishes the candidates of one request, which share its seed."""
        self._parameters = parameters
        self._random = np.random.default_rng(None if parameters.seed is None else [parameters.seed, stream])
        self._bias_ids = np.fromiter(parameters.logit_bias.keys(), np.intp)
        self._bias = np.fromiter(parameters.logit_bias.values(), np.float32)
        self._counts: NDArray[np.int32] | None = None
        self._seen: NDArray[np.bool_] | None = None
        if parameters.frequency_penalty or parameters.presence_penalty:
            self._counts = np.zeros(vocabulary_size, np.int32)
        if parameters.repetition_penalty != 1.0:
            self._seen = np.zeros(vocabulary_size, np.bool_)
            self._seen[list(prompt_ids)] = True

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken, so that no distribution is needed."""
        return self._parameters.temperature == 0.0

    def adjust(self, logits: Logits, forbidden: NDArray[np.intp] | None = None) -> None:
        """Applies penalties, biases and prohibitions to logits, shape (vocabulary,), in place.

        forbidden: ids that must not be chosen now.
        """
        p = self._parameters
        if self._seen is not None:
            ids = np.flatnonzero(self._seen)
            values = logits[ids]
            logits[ids] = np.where(values > 0, values / p.repetition_penalty, values * p.repetition_penalty)
        if self._counts is not None:
            ids = np.flatnonzero(self._counts)
            logits[ids] -= p.frequency_penalty * self._counts[ids] + p.presence_penalty
        if len(self._bias_ids):
            logits[self._bias_ids] += self._bias
        if forbidden is not None:
            logits[forbidden] = -np.inf

    def draw(self, logits: Logits) -> int | None:
        """Returns a token by its probability at this sampler's temperature; None where there are no finite logits.

        logits: shape (vocabulary,).
        """
        peak = logits.max()  # NaN where one of them is
        if not math.isfinite(peak):
            return None
        if self.is_greedy:
            return int(logits.argmax())
        uniform = self._random.random()
        if not self._cuts:
            return draw(self._weights(logits, peak), uniform)
        kept, masses = self._kept(logits, peak)
        # Below the total even where the product rounds up, so that what is found has weight.
        target = min(uniform * masses[-1], np.nextafter(masses[-1], 0.0))
        return int(kept[np.searchsorted(masses, target, side="right")])

    def count(self, token: int) -> None:
        """Takes note of a token that was chosen, for the penalties."""
        if self._counts is not None:
            self._counts[token] += 1
        if self._seen is not None:
            self._seen[token] = True

    @property
    def _cuts(self) -> bool:
        p = self._parameters
        return p.top_k > 0 or p.top_p < 1.0 or p.min_p > 0.0

    @property
    def _temperature(self) -> float:
        return max(self._parameters.temperature, _LEAST_TEMPERATURE)

    def _weights(self, logits: Logits, peak: np.float32) -> Weights:
        """Returns probabilities but for a factor: the likeliest token weighs 1."""
        weights = logits - peak
        weights *= np.float32(1 / self._temperature)
        np.exp(weights, out=weights)
        return weights

    def _kept(self, logits: Logits, peak: np.float32) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Returns the tokens that top-k, top-p and min-p leave, likeliest first, and their weights, summed up."""
        p = self._parameters
        ids, total = self._head(logits, peak)
        values = logits[ids]
        # By logits, since weights round to equal more often.
        order = np.argsort(-values, kind="stable")
        if p.top_k:
            order = order[: p.top_k]
        weights = self._weights(values[order], peak)
        masses = np.cumsum(weights, dtype=np.float64)
        end = len(masses)
        if p.top_p < 1.0:
            end = 1 + int(np.searchsorted(masses, p.top_p * (masses[-1] if total is None else total)))
        if p.min_p > 0.0:
            end = min(end, int(np.count_nonzero(weights >= np.float32(p.min_p))))
        return ids[order[:end]], masses[:end]

    def _head(self, logits: Logits, peak: np.float32) -> tuple[NDArray[np.intp], np.floating | None]:
        """Returns tokens among which are all that the cuts leave.

        And the weight of the whole vocabulary, where top-p needs it and these tokens are not nearly all of it.
        """
        p = self._parameters
        if p.top_k:
            return self._among_top_k(logits, peak), None
        if p.top_p == 1.0:
            # A little lower, where rounding cannot cut.
            return np.flatnonzero(self._are_near(logits, peak, 0.01 - math.log(p.min_p))), None
        if self._temperature <= _COOL:
            are_near = self._are_near(logits, peak, _WHOLE_DEPTH)
            if np.count_nonzero(are_near) <= _FEW:
                return np.flatnonzero(are_near), None
        weights = self._weights(logits, peak)
        total = weights.sum()
        for depth in _HEAD_DEPTHS:
            head = np.flatnonzero(weights >= np.float32(math.exp(-depth)))
            if weights[head].sum(dtype=np.float64) >= p.top_p * total:
                return head, total
        return np.arange(len(logits)), total

    def _among_top_k(self, logits: Logits, peak: np.float32) -> NDArray[np.intp]:
        """Returns tokens among which are the top k."""
        top_k = self._parameters.top_k
        for depth in _HEAD_DEPTHS:
            are_near = self._are_near(logits, peak, depth)
            if np.count_nonzero(are_near) >= top_k:
                return np.flatnonzero(are_near)
        return top_indices(logits, top_k)

    def _are_near(self, logits: Logits, peak: np.float32, depth: float) -> NDArray[np.bool_]:
        """Tells of each token whether it weighs at least e^-depth."""
        return logits >= peak - np.float32(depth * self._temperature)


def choose(samplers: Sequence[tuple[Sampler, NDArray[np.intp] | None]], logits: Logits) -> list[int | None]:
    """Returns each sampler's next token, None where its logits, after its adjustments, are not finite.

    samplers: each with the ids that it must not choose now, if any. logits: shape (len(samplers), vocabulary);
    overwritten.
    """
    tokens = []
    for (sampler, forbidden), row in zip(samplers, logits, strict=True):
        sampler.adjust(row, forbidden)
        token = sampler.draw(row)
        if token is not None:
            sampler.count(token)
        tokens.append(token)
    return tokens


def draw(weights: NDArray[np.float32], uniform: float) -> int:
    """Returns an index with probability proportional to its weight. uniform: in [0, 1).

    Inverts the cumulative sum in two levels, first of blocks, then inside one, which spares summing up the whole
    vocabulary one by one.
    """
    starts = np.arange(0, len(weights), _BLOCK)
    ends = np.cumsum(np.add.reduceat(weights, starts), dtype=np.float64)
    # Below the total even where the product rounds up, so that what is found has weight.
    target = min(uniform * ends[-1], np.nextafter(ends[-1], 0.0))
    block = int(np.searchsorted(ends, target, side="right"))
    start = int(starts[block])
    part = weights[start : start + _BLOCK]
    before = ends[block - 1] if block else 0.0
    place = int(np.searchsorted(np.cumsum(part, dtype=np.float64), target - before, side="right"))
    # The two ways to sum up a block may differ in the last bit; a token without weight is never drawn.
    return start + min(place, int(np.flatnonzero(part)[-1]))


def rank(logits: Logits, chosen: int, num_alternatives: int) -> tuple[RankedToken, tuple[RankedToken, ...]]:
    """Returns the chosen token's log-probability and those of the likeliest tokens, likeliest first.

    logits: shape (vocabulary,), as the model gave them.
    """
    logprobs = log_softmax(logits)
    best = top_indices(logits, num_alternatives)
    alternatives = tuple(RankedToken(token_id=int(i), logprob=float(logprobs[i])) for i in best)
    return RankedToken(token_id=chosen, logprob=float(logprobs[chosen])), alternatives
