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

# Tokens this far below the likeliest one, in units of temperature, are left out of the first sort: e^-16 is 1e-7.
_HEAD_DEPTH = 16.0


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
        # Unnormalised probabilities, relative to the likeliest token, in double so that sums do not depend on order.
        peak = float(logits[best])
        scale = 1.0 / max(p.temperature, 1e-4)
        if p.top_k:
            ids = top_indices(logits, p.top_k)
            weights = np.exp((logits[ids].astype(np.float64) - peak) * scale)
            total = float(weights.sum())
        elif p.top_p < 1.0:
            ids, weights, total = self._head(logits, peak, scale)
        else:
            ids = np.arange(len(logits))
            weights = np.exp((logits.astype(np.float64) - peak) * scale)
            total = float(weights.sum())
        if p.top_p < 1.0:
            kept = int(np.searchsorted(np.cumsum(weights), p.top_p * total)) + 1
            ids, weights = ids[:kept], weights[:kept]
        if p.min_p > 0.0:
            likely = weights >= p.min_p
            ids, weights = ids[likely], weights[likely]
        cumulative = np.cumsum(weights)
        drawn = np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right")
        return int(ids[min(int(drawn), len(ids) - 1)])

    def _head(self, logits: Logits, peak: float, scale: float) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
        """Returns ids and weights of the likeliest tokens in order, enough to reach top_p, and the weight of all."""
        all_weights = np.exp((logits - np.float32(peak)) * np.float32(scale))
        total = float(all_weights.sum(dtype=np.float64))
        head = np.flatnonzero(logits > peak - _HEAD_DEPTH / scale)
        if float(all_weights[head].sum(dtype=np.float64)) < self._parameters.top_p * total:
            head = np.arange(len(logits))
        ids = head[np.argsort(-logits[head], kind="stable")]
        return ids, all_weights[ids].astype(np.float64), total


def rank(logits: Logits, chosen: int, num_alternatives: int) -> tuple[RankedToken, tuple[RankedToken, ...]]:
    """Returns the chosen token's log-probability and those of the likeliest tokens, likeliest first.

    logits: shape (vocabulary,), as the model gave them.
    """
    logprobs = log_softmax(logits)
    best = top_indices(logits, num_alternatives)
    alternatives = tuple(RankedToken(token_id=int(i), logprob=float(logprobs[i])) for i in best)
    return RankedToken(token_id=chosen, logprob=float(logprobs[chosen])), alternatives
