"""Ranges of request fields, and the list of what is wrong with a request."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration

from trivium_server.errors import (
    FieldViolation,
    InputTooLarge,
    InputTooLong,
    InvalidArgument,
    TriviumError,
    UnsupportedFeature,
)

_T = TypeVar("_T")


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


# Every numeric parameter. Where the model's own limit is lower, it is checked beside this.
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
    "rerank.top_n": Range(1, 2**31 - 1),
    "classify.top_k": Range(1, 128),
    "classify.min_score": Range(-1, 1),
    "extract.min_score": Range(0, 1),
    "detect.top_k": Range(1, 128),
    "detect.min_score": Range(0, 1),
    "vision.max_results": Range(1, 1000),
    "vision.share": Range(0, 1),
    "speech.sample_rate_hertz": Range(8000, 48_000),
    "speech.channel_count": Range(1, 8),
    "speech.interim_period": Range(0.1, 10),
    "speech.speech_start_timeout": Range(1, 3600),
    "speech.trailing_silence": Range(0.1, 5),
    "speech.activity_threshold": Range(0.05, 0.95),
    "speech.speaking_rate": Range(0.5, 2),
    "speech.volume_gain_db": Range(-40, 20),
    "list.page_size": Range(0, 1000),
}

# How many items a list may have, and how many bytes a text.
MAX_ITEMS = {
    "conversation.messages": 1024,
    "conversation.messages.parts": 64,
    "sampling.stop_sequences": 16,
    "sampling.stop_token_ids": 64,
    "sampling.logit_bias": 1024,
    "embed.items": 2048,
    "rerank.documents": 1000,
    "compare.targets": 2048,
    "analyse.items": 512,
    "classify.candidate_labels": 128,
    "vision.features": 16,
    "speech.language_codes": 16,
    "speech.caption_formats": 2,
}
MAX_STOP_SEQUENCE_BYTES = 256
MAX_TEXT_BYTES = 1024 * 1024
MAX_ITEM_ID_BYTES = 256
MAX_LABEL_BYTES = 1024
MAX_PROMPT_LEN = 1000
"""Characters of what helps a recogniser of speech."""

# Of google.protobuf.Duration: about 10000 years, and less than a second in nanoseconds.
_MOST_SECONDS = 315_576_000_000
_MOST_NANOS = 999_999_999


def seconds(value: Duration) -> float:
    """Returns a valid duration in seconds."""
    return value.ToNanoseconds() / 1e9


class Violations:
    """Collects what is wrong with a request, so that the caller hears of everything at once."""

    def __init__(self) -> None:
        self._errors: list[InvalidArgument | InputTooLarge | InputTooLong | UnsupportedFeature] = []

    def add(self, path: str, description: str) -> None:
        """Notes a wrong field."""
        self._errors.append(InvalidArgument(FieldViolation(path, description)))

    def too_large(self, path: str, actual: int, limit: int, unit: str) -> None:
        """Notes a field with too many bytes or items."""
        self._errors.append(InputTooLarge(path, actual, limit, unit))

    def too_long(self, path: str, actual: int, limit: int) -> None:
        """Notes a prompt with too many tokens."""
        self._errors.append(InputTooLong(path, actual, limit))

    def unsupported(self, path: str, description: str) -> None:
        """Notes a field that asks for what the model cannot do."""
        self._errors.append(UnsupportedFeature(path, description))

    def text(self, path: str, text: str, max_bytes: int = MAX_TEXT_BYTES) -> None:
        """Checks that a text has 1 to max_bytes bytes in UTF-8."""
        if not text:
            self.add(path, "is empty")
        self.size(path, text, max_bytes)

    def size(self, path: str, text: str, max_bytes: int) -> None:
        """Checks that a text has at most max_bytes bytes in UTF-8."""
        # A character has at most four bytes: few texts have to be encoded to be measured.
        if 4 * len(text) > max_bytes:
            num_bytes = len(text) if text.isascii() else len(text.encode())
            if num_bytes > max_bytes:
                self.too_large(path, num_bytes, max_bytes, "bytes")

    def choice(self, path: str, value: int, choices: Mapping[int, _T], enum: str) -> _T | None:
        """Returns what a value of an enum chooses; None for one that is none of them, which is noted."""
        if value not in choices:
            self.add(path, f"{value} is no known {enum}")
        return choices.get(value)

    def number(self, name: str, value: float, path: str = "") -> None:
        """Checks a value against RANGES. The path is `input.<name>` unless given."""
        allowed = RANGES[name]
        if not allowed.admits(value):
            self.add(path or f"input.{name}", f"is {value:.10g}; it must be {allowed}")

    def duration(self, value: Duration, path: str, name: str = "") -> None:
        """Checks that a duration is valid and, where a name is given, its seconds against RANGES."""
        in_range = abs(value.seconds) <= _MOST_SECONDS and abs(value.nanos) <= _MOST_NANOS
        if not in_range or value.seconds * value.nanos < 0:
            self.add(path, "is no valid google.protobuf.Duration")
        elif name and not RANGES[name].admits(seconds(value)):
            self.add(path, f"is {seconds(value):.10g} s; it must be {RANGES[name]} s")

    def count(self, name: str, actual: int, path: str = "", *, at_least: int = 0) -> bool:
        """Checks the length of a list against MAX_ITEMS; its items are worth a look only if it returns True.

        at_least: 1 for a list that may not be empty.

        The path is `input.<name>` unless given.
        """
        if actual < at_least:
            self.add(path or f"input.{name}", f"is empty; it must have {at_least} to {MAX_ITEMS[name]}")
        if actual <= MAX_ITEMS[name]:
            return True
        self.too_large(path or f"input.{name}", actual, MAX_ITEMS[name], "items")
        return False

    def raise_if_any(self) -> None:
        """Raises what was found, see `error`."""
        error = self.error()
        if error:
            raise error

    def error(self) -> TriviumError | None:
        """Returns what was found: None, the one error itself, or one InvalidArgument with all of them."""
        if len(self._errors) > 1:
            return InvalidArgument(*(violation for error in self._errors for violation in error.violations))
        return self._errors[0] if self._errors else None
