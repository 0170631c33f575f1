"""Answers of a language model, whole and streamed. All immutable; `raw` is the Protobuf message."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from trivium.call_info import CallInfo, ServedModel, Timing, Usage, parse_call_info
from trivium.v1 import common_pb2, generation_pb2

__all__ = [
    "Candidate",
    "CandidateFinished",
    "Completed",
    "Delta",
    "FinishReason",
    "GenerationEvent",
    "GenerationResult",
    "Heartbeat",
    "Started",
    "Token",
    "TokenCount",
    "TokenLogprob",
]


class FinishReason(StrEnum):
    """Why a candidate ended. A reason that this version does not know is UNSPECIFIED."""

    UNSPECIFIED = "UNSPECIFIED"
    STOP = "STOP"
    STOP_SEQUENCE = "STOP_SEQUENCE"
    MAX_OUTPUT_TOKENS = "MAX_OUTPUT_TOKENS"
    CONTEXT_FULL = "CONTEXT_FULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """The natural log-probability of a token, 0 or less, and of its likeliest alternatives.

    token_bytes are not always whole UTF-8 characters, and empty for a special token.
    """

    token_id: int
    token_bytes: bytes
    logprob: float
    alternatives: tuple["TokenLogprob", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One answer. logprobs and token_ids are empty unless they were asked for."""

    index: int
    text: str
    finish_reason: FinishReason
    matched_stop_sequence: str
    matched_stop_token_id: int | None
    logprobs: tuple[TokenLogprob, ...]
    token_ids: tuple[int, ...]
    raw: generation_pb2.Candidate = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationResult:
    """A whole answer. `text` and `finish_reason` are those of the first candidate."""

    response_id: str
    candidates: tuple[Candidate, ...]
    info: CallInfo
    raw: generation_pb2.GenerateResponse = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text of the first candidate."""
        return self.candidates[0].text if self.candidates else ""

    @property
    def finish_reason(self) -> FinishReason:
        """Why the first candidate ended."""
        return self.candidates[0].finish_reason if self.candidates else FinishReason.UNSPECIFIED

    @property
    def usage(self) -> Usage:
        """What the call used."""
        return self.info.usage

    @property
    def timing(self) -> Timing:
        """How long each stage took."""
        return self.info.timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The prompt was accepted. The first event of a stream."""

    response_id: str
    model: ServedModel
    input_tokens: int
    raw: generation_pb2.GenerationStarted = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """More of a candidate: what is new since its last delta. `text` may be empty where a character is not whole yet."""

    text: str
    candidate_index: int
    token_count: int
    logprobs: tuple[TokenLogprob, ...]
    token_ids: tuple[int, ...]
    raw: generation_pb2.ContentDelta = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateFinished:
    """A candidate ended; no delta follows for it."""

    candidate_index: int
    finish_reason: FinishReason
    matched_stop_sequence: str
    matched_stop_token_id: int | None
    raw: generation_pb2.CandidateFinished = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The whole answer was sent. The last event of a stream."""

    info: CallInfo
    raw: generation_pb2.GenerationCompleted = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Nothing new, the server still works. queue_position: requests ahead; None once the request runs."""

    server_time: datetime
    queue_position: int | None
    raw: common_pb2.Heartbeat = field(repr=False, compare=False)


GenerationEvent: TypeAlias = Started | Delta | CandidateFinished | Completed | Heartbeat
"""An event of a streamed answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of a prompt. token_bytes are not always whole UTF-8 characters; a special token's are its name."""

    id: int
    token_bytes: bytes
    is_special: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """How many tokens a prompt has, chat template included; `tokens` is empty unless asked for.

    context_limit: tokens that prompt and answer together may have, as the server is configured.
    """

    token_count: int
    context_limit: int
    tokens: tuple[Token, ...]
    info: CallInfo
    raw: generation_pb2.CountTokensResponse = field(repr=False, compare=False)


def parse_result(raw: generation_pb2.GenerateResponse) -> GenerationResult:
    """Wraps the message."""
    return GenerationResult(
        response_id=raw.response_id,
        candidates=tuple(_parse_candidate(candidate) for candidate in raw.candidates),
        info=parse_call_info(raw.info),
        raw=raw,
    )


def _parse_candidate(raw: generation_pb2.Candidate) -> Candidate:
    return Candidate(
        index=raw.index,
        text="".join(part.text for part in raw.message.parts),
        finish_reason=parse_finish_reason(raw.finish_reason),
        matched_stop_sequence=raw.matched_stop_sequence,
        matched_stop_token_id=raw.matched_stop_token_id if raw.HasField("matched_stop_token_id") else None,
        logprobs=tuple(parse_logprob(entry) for entry in raw.logprobs),
        token_ids=tuple(raw.token_ids),
        raw=raw,
    )


def parse_finish_reason(value: int) -> FinishReason:
    """Maps the enum; an unknown value becomes UNSPECIFIED."""
    known = generation_pb2.FinishReason.DESCRIPTOR.values_by_number.get(value)
    return FinishReason(known.name.removeprefix("FINISH_REASON_")) if known else FinishReason.UNSPECIFIED


def parse_logprob(raw: generation_pb2.TokenLogprob) -> TokenLogprob:
    """Wraps the message."""
    return TokenLogprob(
        token_id=raw.token_id,
        token_bytes=raw.token_bytes,
        logprob=raw.logprob,
        alternatives=tuple(parse_logprob(entry) for entry in raw.alternatives),
    )


def parse_delta(raw: generation_pb2.ContentDelta) -> Delta:
    """Wraps the message."""
    return Delta(
        text=raw.text,
        candidate_index=raw.candidate_index,
        token_count=raw.token_count,
        logprobs=tuple(parse_logprob(entry) for entry in raw.logprobs),
        token_ids=tuple(raw.token_ids),
        raw=raw,
    )


def parse_finished(raw: generation_pb2.CandidateFinished) -> CandidateFinished:
    """Wraps the message."""
    return CandidateFinished(
        candidate_index=raw.candidate_index,
        finish_reason=parse_finish_reason(raw.finish_reason),
        matched_stop_sequence=raw.matched_stop_sequence,
        matched_stop_token_id=raw.matched_stop_token_id if raw.HasField("matched_stop_token_id") else None,
        raw=raw,
    )


def parse_heartbeat(raw: common_pb2.Heartbeat) -> Heartbeat:
    """Wraps the message."""
    return Heartbeat(
        server_time=raw.server_time.ToDatetime(tzinfo=UTC),
        queue_position=raw.queue_position if raw.HasField("queue_position") else None,
        raw=raw,
    )


def parse_token_count(raw: generation_pb2.CountTokensResponse) -> TokenCount:
    """Wraps the message."""
    tokens = tuple(Token(id=t.id, token_bytes=t.token_bytes, is_special=t.is_special) for t in raw.tokens)
    return TokenCount(
        token_count=raw.token_count,
        context_limit=raw.context_limit,
        tokens=tokens,
        info=parse_call_info(raw.info),
        raw=raw,
    )
