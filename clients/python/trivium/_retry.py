"""When a failed call is sent again. Pure: clock and randomness are passed in. gRPC's own retries are switched off,
because they cannot see RetryInfo; this is the only place that retries."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from trivium._error_base import TransportError
from trivium._status import Failure

__all__ = ["Attempts", "Deadline", "RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a client sends a failed call again.

    Sent again are calls that failed with UNAVAILABLE, unless TLS could not be agreed on, calls whose connection was
    lost, and calls that failed with RESOURCE_EXHAUSTED where the server said when to come back; never past the call's
    deadline. Streams whose answer had begun go on where it can be made again: text with a seed or temperature 0 and
    without log-probabilities, and texts to embed; their attempts are counted anew after each progress. Other streams
    are not sent again then. The wait is random between half and all of initial_backoff_s, doubled at each attempt up to
    max_backoff_s, and never shorter than what the server asks for; a server that asks for more than max_retry_after_s
    gets no retry.

    max_attempts counts the first one: 1 switches retries off. All times are in seconds.
    """

    max_attempts: int = 4
    initial_backoff_s: float = 0.2
    max_backoff_s: float = 5.0
    max_retry_after_s: float = 30.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}; it must be at least 1")
        for name in ("initial_backoff_s", "max_backoff_s", "max_retry_after_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")


class Deadline:
    """When what a caller asked for must be over, whatever number of calls it takes. Counts from its making."""

    def __init__(self, timeout_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if timeout_s is None else clock() + timeout_s

    def remaining_s(self) -> float | None:
        """Returns the seconds that are left, 0 at least; None is without limit."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def at_most(self, timeout_s: float | None) -> "Deadline":
        """Returns this one, or one in timeout_s seconds, whichever is earlier."""
        limits = [limit for limit in (self.remaining_s(), timeout_s) if limit is not None]
        return Deadline(min(limits, default=None), self._clock)


class Attempts:
    """The attempts of one call: counts them, within its deadline. Not shared between calls."""

    def __init__(
        self,
        policy: RetryPolicy,
        deadline: Deadline,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._policy = policy
        self._deadline = deadline
        self._uniform = uniform
        self._made = 0

    def begin(self) -> float | None:
        """Counts an attempt and returns the seconds that it may take; None is without limit."""
        self._made += 1
        return self._deadline.remaining_s()

    def renew(self) -> None:
        """The attempt at hand brought the call forward: it counts as the first one."""
        self._made = 1

    def delay_before_retry(self, failure: Failure) -> float | None:
        """Returns the seconds to wait before the next attempt, None when there must not be one."""
        if self._made >= self._policy.max_attempts or not _is_retriable(failure):
            return None
        delay = self._delay(failure)
        remaining = self._deadline.remaining_s()
        if delay is None or (remaining is not None and delay >= remaining):
            return None
        return delay

    def _delay(self, failure: Failure) -> float | None:
        if failure.pushback_ms is not None:
            pushback = failure.pushback_ms / 1000
            if not 0 <= pushback <= self._policy.max_retry_after_s:
                return None
            # Spread on top: callers that were refused together must not come back together.
            return pushback * self._uniform(1.0, 1.2)
        exponent = min(self._made - 1, 30)  # 2**30 is past every limit; more would only overflow
        ceiling = min(self._policy.max_backoff_s, self._policy.initial_backoff_s * 2**exponent)
        backoff = self._uniform(ceiling / 2, ceiling)
        wanted = failure.error.retry_after_s
        if wanted is None:
            return backoff
        if wanted > self._policy.max_retry_after_s:
            return None
        return max(backoff, wanted * self._uniform(1.0, 1.2))


def _is_retriable(failure: Failure) -> bool:
    error = failure.error
    if failure.is_lasting:
        return False
    if isinstance(error, TransportError) or error.code is grpc.StatusCode.UNAVAILABLE:
        return True
    has_retry_info = error.retry_after_s is not None
    return error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and has_retry_info
