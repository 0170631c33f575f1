"""What Whisper may write next, and when what it wrote is to be believed.

Source: openai/whisper, whisper/decoding.py (SuppressTokens, SuppressBlank, ApplyTimestampRules) and
whisper/transcribe.py (decode_with_fallback).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.numerics import log_softmax

Floats = NDArray[np.float32]

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried one after the other until the answer is to be believed."""

_MAX_COMPRESSION = 2.4
_MIN_LOGPROB = -1.0
# What is less likely was drawn by lot.
_LEAST_LOGPROB = -2.0
_MAX_NO_SPEECH = 0.6
# OpenAI's program takes -1, and so hears "you" in noise and music. Of 169 recordings of speech, single words among
# them, tiny.en takes none for silence.
_SURE_LOGPROB = -0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Ids of a vocabulary: text below `eot`, control tokens behind it, then from first_timestamp on times in steps.

    never: not to be written at all. not_first: not as the first token. last_first_timestamp: the latest time with which
    an answer may begin.
    """

    eot: int
    first_timestamp: int
    last_first_timestamp: int
    never: tuple[int, ...]
    not_first: tuple[int, ...]

    def logprobs(self, logits: Floats, written: Sequence[int]) -> Floats:
        """Returns the natural logarithm of the probability of each next token, -inf for what may not come.

        logits: shape (vocabulary,). written: the answer so far, without the prompt.
        """
        allowed = logits.copy()
        allowed[list(self.never)] = -np.inf
        # Control tokens, but for the end.
        allowed[self.eot + 1 : self.first_timestamp] = -np.inf
        if not written:
            allowed[list(self.not_first)] = -np.inf
            allowed[: self.first_timestamp] = -np.inf
            allowed[self.last_first_timestamp + 1 :] = -np.inf
            return log_softmax(allowed)
        self._allow_pairs(allowed, written)
        logprobs = log_softmax(allowed)
        times, texts = logprobs[self.first_timestamp :], logprobs[: self.first_timestamp]
        # A time is likelier than any one text.
        if np.logaddexp.reduce(times) > texts.max():
            allowed[: self.first_timestamp] = -np.inf
            return log_softmax(allowed)
        return logprobs

    def _allow_pairs(self, allowed: Floats, written: Sequence[int]) -> None:
        """Times come in pairs, the end of a part and the beginning of the next, and do not go back."""
        is_time = written[-1] >= self.first_timestamp
        is_second = len(written) < 2 or written[-2] >= self.first_timestamp
        if is_time and is_second:
            allowed[self.first_timestamp :] = -np.inf
        elif is_time:
            allowed[: self.eot] = -np.inf
        times = [token for token in written if token >= self.first_timestamp]
        if times:
            # A part that has begun is not empty.
            next_time = times[-1] if is_time and not is_second else times[-1] + 1
            allowed[self.first_timestamp : next_time] = -np.inf

    def kept(self, written: Sequence[int]) -> tuple[int, int | None]:
        """Returns how many tokens of an answer count, and at which step of time what counts ends; None: at its end.

        What stands behind the last pair of times is a part whose end was not heard. An answer that ends with a lone
        time, or has no pairs, counts as a whole.
        """
        are_times = [token >= self.first_timestamp for token in written]
        pairs = [place for place in range(1, len(written)) if are_times[place - 1] and are_times[place]]
        ends_alone = are_times[-2:] == [False, True]
        if not pairs or ends_alone:
            return len(written), None
        return pairs[-1], written[pairs[-1] - 1] - self.first_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """tokens: the answer without its end. logprob: mean over them and the end. no_speech: that nobody speaks.

    was_looping: it went round in circles, but for the first round of which it was cut off.
    """

    tokens: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    logprob: float
    no_speech: float
    text: str
    was_looping: bool = False

    @property
    def is_silence(self) -> bool:
        """Whether nobody spoke: the model says so, and is not sure of its words, or repeats them."""
        return self.no_speech > _MAX_NO_SPEECH and (self.logprob < _SURE_LOGPROB or self.is_repetitive)

    @property
    def is_believable(self) -> bool:
        """Whether no warmer answer is to be tried."""
        return self.is_silence or (self.logprob >= _MIN_LOGPROB and not self.is_repetitive)

    @property
    def is_repetitive(self) -> bool:
        return self.was_looping or compression_ratio(self.text) > _MAX_COMPRESSION


def most_believable(answers: Sequence[Answer]) -> Answer:
    """Returns the likeliest of those that neither go round in circles nor were drawn by lot, or of all."""
    better = [each for each in answers if not each.is_repetitive and each.logprob >= _LEAST_LOGPROB]
    return max(better or answers, key=lambda each: each.logprob)


def compression_ratio(text: str) -> float:
    """Returns how much smaller a text can be written; it is large for one that repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
