"""Ranges of request fields, and the list of what is wrong with a request."""

import math
from dataclasses import dataclass

from trivium_server.errors import FieldViolation, InputTooLarge, InputTooLong, InvalidArgument


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be; `above` excludes the lower end. NaN and infinity are in no range."""

    low: float
    high: float
    above: bool = False

    def admits(self, value: float) -> bool:
        return math.isfinite(value) and value <= self.high and (value > self.low if self.above else value >= self.low)

    def __str__(self) -> str:
        return f"over {self.low:g} and up to {self.high:.10g}" if self.above else f"{self.low:g} to {self.high:.10g}"


# Every numeric parameter of TextGenerationService. Where the model's own limit is lower, it is checked beside this.
RANGES = {
    "sampling.temperature": Range(0, 2),
    "sampling.top_p": Range(0, 1, above=True),
    "sampling.top_k": Range(0, 1_000_000),
    "sampling.min_p": Range(0, 1),
    "sampling.repetition_penalty": Range(0.1, 10),
    "sampling.frequency_penalty": Range(-2, 2),
    "sampling.presence_penalty": Range(-2, 2),
    "sampling.max_output_tokens": Range(1, 2**31 - 1),
    "sampling.min_output_tokens": Range(0, 2**31 - 1),
    "sampling.candidate_count": Range(1, 8),
    "sampling.logit_bias": Range(-100, 100),
    "output.top_logprobs": Range(0, 20),
    "stream.min_tokens_per_event": Range(1, 1024),
}

# How many items a list may have, and how many bytes a stop sequence.
MAX_ITEMS = {
    "conversation.messages": 1024,
    "conversation.messages.parts": 64,
    "sampling.stop_sequences": 16,
    "sampling.stop_token_ids": 64,
    "sampling.logit_bias": 1024,
}
MAX_STOP_SEQUENCE_BYTES = 256


class Violations:
    """Collects what is wrong with a request, so that the caller hears of everything at once."""

    def __init__(self) -> None:
        self._errors: list[InvalidArgument | InputTooLarge | InputTooLong] = []

    def add(self, path: str, description: str) -> None:
        """Notes a wrong field."""
        self._errors.append(InvalidArgument(FieldViolation(path, description)))

    def too_large(self, path: str, actual: int, limit: int, unit: str) -> None:
        """Notes a field with too many bytes or items."""
        self._errors.append(InputTooLarge(path, actual, limit, unit))

    def too_long(self, path: str, actual: int, limit: int) -> None:
        """Notes a prompt with too many tokens."""
        self._errors.append(InputTooLong(path, actual, limit))

    def number(self, name: str, value: float, path: str = "") -> None:
        """Checks a value against RANGES. The path is `input.<name>` unless given."""
        allowed = RANGES[name]
        if not allowed.admits(value):
            self.add(path or f"input.{name}", f"is {value:.10g}; it must be {allowed}")

    def count(self, name: str, actual: int, path: str = "") -> bool:
        """Checks the length of a list against MAX_ITEMS; its items are worth a look only if it returns True.

        The path is `input.<name>` unless given.
        """
        if actual <= MAX_ITEMS[name]:
            return True
        self.too_large(path or f"input.{name}", actual, MAX_ITEMS[name], "items")
        return False

    def raise_if_any(self) -> None:
        """Raises what was found: the one error itself, or one InvalidArgument with all of them."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise InvalidArgument(*(violation for error in self._errors for violation in error.violations))
