"""How tokens are chosen and when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import TypedDict

from trivium.v1 import generation_pb2

__all__ = ["Sampling", "SamplingOptions"]


class SamplingOptions(TypedDict, total=False):
    """The keyword arguments of `generate` and `stream` that shape the answer: the fields of Sampling, and

    top_logprobs: the log-probability of every token and of this many alternatives, 0 to 20. None: none at all.
    include_token_ids: the ids of the generated tokens.
    include_stop_sequence: the matched stop sequence stays at the end of the text.

    What is not given takes the model's own default, which Model.default_sampling shows.
    """

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    max_output_tokens: int | None
    min_output_tokens: int | None
    stop_sequences: Sequence[str]
    stop_token_ids: Sequence[int]
    seed: int | None
    candidate_count: int | None
    logit_bias: Mapping[int, float]
    top_logprobs: int | None
    include_token_ids: bool
    include_stop_sequence: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when to stop. None: the model's default.

    temperature: sharpness of the distribution, 0 to 2; at 0 the likeliest token is always taken.
    top_p: keeps the fewest likeliest tokens that together reach this probability, over 0 and up to 1.
    top_k: keeps this many of the likeliest tokens, 0 to 1000000; at 0 all.
    min_p: keeps tokens at least this likely, relative to the likeliest, 0 to 1.
    repetition_penalty: weakens every token already in prompt or answer, 0.1 to 10; at 1 nothing changes.
    frequency_penalty: taken off a logit for each time the token is in the answer, -2 to 2.
    presence_penalty: taken off a logit if the token is in the answer, -2 to 2.
    max_output_tokens: ends each candidate after this many tokens, at least 1.
    min_output_tokens: forbids every stop until this many tokens exist.
    stop_sequences: ends a candidate whose text contains one, at most 16 of 1 to 256 bytes.
    stop_token_ids: ends a candidate when one is chosen, at most 64.
    seed: makes the answer repeatable, 0 to 2**64-1.
    candidate_count: independent answers to generate, 1 to 8.
    logit_bias: added to the logits of these tokens, -100 to 100, at most 1024 of them.

    The server checks the ranges and answers InvalidArgumentField with the field and its limit.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_output_tokens: int | None = None
    min_output_tokens: int | None = None
    stop_sequences: Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    seed: int | None = None
    candidate_count: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


_OTHER_NAMES = {
    "max_tokens": "max_output_tokens",
    "max_new_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "max_length": "max_output_tokens",
    "min_tokens": "min_output_tokens",
    "min_new_tokens": "min_output_tokens",
    "stop": "stop_sequences",
    "n": "candidate_count",
    "num_return_sequences": "candidate_count",
    "logprobs": "top_logprobs",
}
"""What other libraries call our options."""

_ELSEWHERE = {
    "messages": "messages are the first argument, as a prompt of any other kind",
    "prompt_tokens": "token ids are the first argument, as TokenPrompt(ids)",
    "system": "system instructions are a message, or part of a Conversation",
    "stream": "client.text.stream(...) streams",
}
"""What other libraries have as an option, and we do not."""

_SAMPLING_NAMES = frozenset(entry.name for entry in fields(Sampling))
_OUTPUT_NAMES = frozenset(SamplingOptions.__annotations__) - _SAMPLING_NAMES


def apply_options(built: generation_pb2.GenerationInput, sampling: Sampling | None, options: SamplingOptions) -> None:
    """Writes `sampling`, overridden by `options`, into the message.

    Raises TypeError for an option that does not exist or has the wrong type, ValueError for a number that its field
    cannot hold; ranges are the server's to check.
    """
    given: dict[str, object] = dict(options)
    if unknown := sorted(given.keys() - _SAMPLING_NAMES - _OUTPUT_NAMES):
        raise TypeError(f"unknown option {unknown[0]!r}{_hint(unknown[0])}")
    base = sampling or Sampling()
    for name in _SAMPLING_NAMES:
        _set_field(built.sampling, name, given.get(name, getattr(base, name)))
    for name in _OUTPUT_NAMES & given.keys():
        _set_field(built.output, name, given[name])


def _hint(unknown: str) -> str:
    if unknown in _ELSEWHERE:
        return f": {_ELSEWHERE[unknown]}"
    close = get_close_matches(unknown, _SAMPLING_NAMES | _OUTPUT_NAMES, n=1)
    meant = _OTHER_NAMES.get(unknown) or (close[0] if close else None)
    return f"; did you mean {meant!r}?" if meant else ""


def _set_field(
    owner: generation_pb2.SamplingParameters | generation_pb2.GenerationOutputOptions, name: str, value: object
) -> None:
    if value is None:
        return
    if isinstance(value, str):
        # No option is a text: this is a list of one, or a number that was read from somewhere.
        meant = f"a list of texts, such as [{value!r}]" if name == "stop_sequences" else "no text"
        raise TypeError(f"{name}: {value!r} cannot be sent; it takes {meant}")
    try:
        if isinstance(value, Mapping):
            getattr(owner, name).update(value)
        elif isinstance(value, Sequence):
            getattr(owner, name).extend(value)
        else:
            setattr(owner, name, value)
    except (TypeError, ValueError, AttributeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: {value!r} cannot be sent: {error}") from None


def parse_sampling(raw: generation_pb2.SamplingParameters) -> Sampling:
    """Wraps the message; a field that is absent in it is None."""

    def optional(name: str) -> object:
        return getattr(raw, name) if raw.HasField(name) else None  # type: ignore[arg-type]  # stubs want literals

    repeated = {
        "stop_sequences": tuple(raw.stop_sequences),
        "stop_token_ids": tuple(raw.stop_token_ids),
        "logit_bias": dict(raw.logit_bias),
    }
    single = {name: optional(name) for name in _SAMPLING_NAMES - repeated.keys()}
    return replace(Sampling(), **single, **repeated)  # type: ignore[arg-type]  # names come from the dataclass itself
