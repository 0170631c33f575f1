"""A request to continue a prompt, and the sequences, one per candidate, that it becomes."""

import time
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trivium_server.decoding.sampling import RankedToken, Sampler, SamplingParameters


class EndReason(Enum):
    """Why a sequence ended."""

    STOP_TOKEN = auto()
    LISTENER_STOPPED = auto()
    MAX_TOKENS = auto()
    CONTEXT_FULL = auto()
    CANCELLED = auto()
    QUEUE_TIMEOUT = auto()
    DEADLINE = auto()
    ABORTED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceEnd:
    """How a sequence ended. stop_token_id is set for STOP_TOKEN."""

    reason: EndReason
    stop_token_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledToken:
    """A generated token; log-probabilities only where they were asked for."""

    token_id: int
    ranked: RankedToken | None = None
    alternatives: tuple[RankedToken, ...] = ()


class TokenListener(Protocol):
    """Receives the tokens of one sequence. Never blocks: the engine waits for nobody."""

    def on_token(self, token: SampledToken) -> bool:
        """Takes the next token; returns True to end the sequence with it. Called on the engine's thread."""
        ...

    def on_end(self, end: SequenceEnd) -> None:
        """The sequence ended. Called exactly once, last, on the engine's thread."""
        ...

    def wake(self) -> None:
        """Something was received. Called on the event loop, at most once per decoding step."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StopConditions:
    """When a sequence ends by itself. end_ids end it only once min_tokens were generated."""

    max_tokens: int
    min_tokens: int
    end_ids: frozenset[int]


class Sequence:
    """One candidate. The engine's thread alone touches it, once submitted."""

    def __init__(
        self, listener: TokenListener, sampler: Sampler, stop: StopConditions, *, top_logprobs: int | None
    ) -> None:
        self.listener = listener
        self.sampler = sampler
        self.stop = stop
        self.top_logprobs = top_logprobs
        self.num_tokens = 0
        self.last_token = -1
        self._end_ids = np.array(sorted(stop.end_ids), np.intp)

    @property
    def forbidden(self) -> NDArray[np.intp] | None:
        """Ids that must not be chosen next."""
        return self._end_ids if self.num_tokens < self.stop.min_tokens and len(self._end_ids) else None


class DecodeRequest:
    """A prompt, its candidates, and what they cost. Times are on the clock of time.monotonic().

    The submitter may read the counters at any time; the engine's thread alone writes them.
    """

    def __init__(
        self,
        prompt_ids: SequenceOf[int],
        *,
        listeners: SequenceOf[TokenListener],
        sampling: SamplingParameters,
        stop: StopConditions,
        deadline_s: float,
        vocabulary_size: int,
        top_logprobs: int | None = None,
    ) -> None:
        """Ids must be in the vocabulary and leave room for at least one token in a slot."""
        self.prompt_ids: NDArray[np.int64] = np.array(prompt_ids, np.int64)
        self.deadline_s = deadline_s
        # Who asks for a seed wants the same text in any company; who does not wants speed.
        self.is_reproducible = sampling.seed is not None
        self.sequences = [
            Sequence(
                listener,
                Sampler(sampling, prompt_ids=prompt_ids, vocabulary_size=vocabulary_size, stream=index),
                stop,
                top_logprobs=top_logprobs,
            )
            for index, listener in enumerate(listeners)
        ]
        self.is_cancelled = False
        self.num_prefilled = 0
        # Requests that came later and started earlier.
        self.num_passes = 0
        self.submitted_s = time.monotonic()
        self.started_s: float | None = None
        self.first_token_s: float | None = None
        self.last_step_s: float | None = None
        self.compute_s = 0.0
