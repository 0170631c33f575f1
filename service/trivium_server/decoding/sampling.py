"""Chooses the next token of one sequence from its logits.

Order: repetition penalty, frequency and presence penalty, logit bias, forbidden end tokens; then temperature, top-k,
top-p, min-p. Sources: CTRL, Keskar et al. 2019 (repetition penalty); Holtzman et al. 2020 (top-p); Nguyen et al. 2024
(min-p). All arithmetic is on one row, so a choice never depends on the other sequences of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import log_softmax, top_indices

Logits = NDArray[np.float32]

# How far below the likeliest token, in units of temperature, a token still counts: e^-32 is 1e-14, so all that
# lie beyond weigh together less than the last bit of a float.
_DEPTH = 32.0
# Where they are too many to be picked out, their weights are computed no lower than this: exp is slow where it
# underflows.
_FLOOR = np.float32(-80.0)
# Where top-p looks for the tokens that it keeps: first among the few that are nearly as likely as the likeliest.
_HEAD_DEPTHS = (6.0, 12.0, np.inf)
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


class NonFiniteLogitsError(Exception):
    """The graph produced NaN or infinity."""


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

    def choose(self, logits: Logits, forbidden: NDArray[np.intp] | None = None) -> int:
        """Returns the next token. May overwrite `logits`, shape (vocabulary,).

        forbidden: ids that must not be chosen now. Raises NonFiniteLogitsError.
        """
        # NaN and +inf both win an argmax, so one look at the winner finds them.
        best = int(logits.argmax())
        if not np.isfinite(logits[best]):
            raise NonFiniteLogitsError("the model produced logits that are not finite")
        adjusted = self._adjust(logits, forbidden)
        if adjusted is not None:
            logits, best = adjusted, int(adjusted.argmax())
        token = best if self._parameters.temperature == 0.0 else self._sample(logits, best)
        if self._counts is not None:
            self._counts[token] += 1
        if self._seen is not None:
            self._seen[token] = True
        return token

    def _adjust(self, logits: Logits, forbidden: NDArray[np.intp] | None) -> Logits | None:
        """Applies penalties, biases and prohibitions in place; None where there are none."""
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
        changed = self._seen is not None or self._counts is not None or len(self._bias_ids) or forbidden is not None
        return logits if changed else None

    def _sample(self, logits: Logits, best: int) -> int:
        p = self._parameters
        ids, weights = self._weigh(logits, best)
        if p.top_p < 1.0:
            ids, weights = _pick(ids, weights, _nucleus(weights, p.top_p))
        if p.min_p > 0.0:
            ids, weights = _pick(ids, weights, np.flatnonzero(weights >= p.min_p))
        place = draw(weights, self._random.random())
        return place if ids is None else int(ids[place])

    def _weigh(self, logits: Logits, best: int) -> tuple[NDArray[np.intp] | None, NDArray[np.float32]]:
        """Returns the tokens that may be drawn, None for all, and their probabilities relative to the likeliest."""
        p = self._parameters
        peak, scale = logits[best], np.float32(1.0 / max(p.temperature, 1e-4))
        if p.top_k:
            ids = top_indices(logits, p.top_k)
            return ids, np.exp((logits[ids] - peak) * scale)
        near = logits > peak - np.float32(_DEPTH) / scale
        if 8 * np.count_nonzero(near) < len(logits):
            ids = np.flatnonzero(near)
            return ids, np.exp((logits[ids] - peak) * scale)
        return None, np.exp(np.maximum((logits - peak) * scale, _FLOOR))


def _pick(
    ids: NDArray[np.intp] | None, weights: NDArray[np.float32], places: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    return places if ids is None else ids[places], weights[places]


def _nucleus(weights: NDArray[np.float32], top_p: float) -> NDArray[np.intp]:
    """Returns the places of the fewest largest weights that reach top_p of all, largest first."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    head = np.arange(len(weights))
    for depth in _HEAD_DEPTHS:
        head = np.flatnonzero(weights >= np.exp(np.float32(-depth)))
        if float(weights[head].sum(dtype=np.float64)) >= wanted:
            break
    order = head[np.argsort(-weights[head], kind="stable")]
    # Sums are in double, so that they hardly depend on their order.
    return order[: int(np.searchsorted(np.cumsum(weights[order], dtype=np.float64), wanted)) + 1]


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
