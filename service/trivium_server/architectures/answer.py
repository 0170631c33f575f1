"""An answer under way: takes tokens from the engine's thread, gives merged events to one reader on the event loop."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from trivium_server.architectures.capabilities import (
    CandidateEnd,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    TextDelta,
    TokenLogprob,
)
from trivium_server.decoding.engine import Engine
from trivium_server.decoding.sampling import RankedToken
from trivium_server.decoding.sequence import DecodeRequest, EndReason, SampledToken, SequenceEnd
from trivium_server.errors import CallAborted, DeadlineExceeded, QueueTimeout
from trivium_server.text.assembler import TextAssembler

_FINISH_REASONS = {
    EndReason.STOP_TOKEN: FinishReason.STOP,
    EndReason.LISTENER_STOPPED: FinishReason.STOP_SEQUENCE,
    EndReason.MAX_TOKENS: FinishReason.MAX_OUTPUT_TOKENS,
    EndReason.CONTEXT_FULL: FinishReason.CONTEXT_FULL,
}


class DecodingFailedError(Exception):
    """The engine met a defect of its own or of the graph; its log says which."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    token: SampledToken


class Candidate:
    """The listener of one sequence. Deque operations are atomic, so the two threads need no lock."""

    def __init__(self, index: int, token_bytes: Sequence[bytes], assembler: TextAssembler, *, min_tokens: int) -> None:
        self.index = index
        self.is_over = False
        self.num_tokens = 0
        self.new_data: asyncio.Event | None = None
        self._token_bytes = token_bytes
        self._assembler = assembler
        self._min_tokens = min_tokens
        self._matched_stop = ""
        self._received: deque[_Piece | SequenceEnd] = deque()

    def on_token(self, token: SampledToken) -> bool:
        self.num_tokens += 1
        may_stop = self.num_tokens >= self._min_tokens
        assembled = self._assembler.feed(self._token_bytes[token.token_id], may_stop=may_stop)
        self._matched_stop = assembled.matched_stop
        self._received.append(_Piece(assembled.text, token))
        return bool(assembled.matched_stop)

    def on_end(self, end: SequenceEnd) -> None:
        self._received.append(end)

    def wake(self) -> None:
        if self.new_data is not None:
            self.new_data.set()

    def take(self) -> tuple[TextDelta | None, SequenceEnd | None]:
        """Returns what came since the last call, as one delta, and the end, if it came."""
        received = self._received
        texts: list[str] = []
        tokens: list[SampledToken] = []
        end: SequenceEnd | None = None
        while received and end is None:
            item = received.popleft()
            if isinstance(item, SequenceEnd):
                end = item
            else:
                texts.append(item.text)
                tokens.append(item.token)
        if end is not None:
            self.is_over = True
            if not self._matched_stop:
                texts.append(self._assembler.finish())
        text = "".join(texts)
        if not text and not tokens:
            return None, end
        delta = TextDelta(
            candidate_index=self.index,
            text=text,
            token_ids=tuple([token.token_id for token in tokens]),
            logprobs=tuple([self._logprob(token.ranked, token) for token in tokens if token.ranked is not None]),
        )
        return delta, end

    def finished(self, end: SequenceEnd) -> CandidateEnd:
        """Returns the event for an end that is none of the errors."""
        return CandidateEnd(
            candidate_index=self.index,
            reason=_FINISH_REASONS[end.reason],
            matched_stop_sequence=self._matched_stop,
            matched_stop_token_id=end.stop_token_id,
        )

    def _logprob(self, ranked: RankedToken, token: SampledToken | None = None) -> TokenLogprob:
        return TokenLogprob(
            token_id=ranked.token_id,
            token_bytes=self._token_bytes[ranked.token_id],
            logprob=ranked.logprob,
            alternatives=tuple(map(self._logprob, token.alternatives)) if token is not None else (),
        )


class Answer:
    """Implements capabilities.Generation over the engine."""

    def __init__(
        self,
        engine: Engine,
        request: DecodeRequest,
        candidates: Sequence[Candidate],
        *,
        model: str,
        input_characters: int,
        accepted_s: float,
    ) -> None:
        """accepted_s: when the call began, on the clock of time.monotonic(). The request must be submitted already."""
        self._engine = engine
        self._request = request
        self._candidates = candidates
        self._model = model
        self._input_characters = input_characters
        self._accepted_s = accepted_s
        self._new_data = asyncio.Event()
        for candidate in candidates:
            candidate.new_data = self._new_data
        # What came before there was an event to set.
        self._new_data.set()

    @property
    def stats(self) -> GenerationStats:
        request = self._request
        now = time.monotonic()
        started = request.started_s
        last = request.last_step_s
        return GenerationStats(
            input_tokens=len(request.prompt_ids),
            input_characters=self._input_characters,
            output_tokens=sum(candidate.num_tokens for candidate in self._candidates),
            preprocess_s=request.submitted_s - self._accepted_s,
            queue_s=(started if started is not None else now) - request.submitted_s,
            first_output_s=None if request.first_token_s is None else request.first_token_s - self._accepted_s,
            inference_s=0.0 if started is None or last is None else last - started,
            compute_s=request.compute_s,
            queue_position=self._engine.queue_position(request),
        )

    async def __aiter__(self) -> AsyncGenerator[GenerationEvent]:
        num_open = len(self._candidates)
        while num_open:
            await self._new_data.wait()
            self._new_data.clear()
            for candidate in self._candidates:
                if candidate.is_over:
                    continue
                delta, end = candidate.take()
                if delta is not None:
                    yield delta
                if end is not None:
                    num_open -= 1
                    yield self._finish(candidate, end)

    async def aclose(self) -> None:
        self._engine.cancel(self._request)

    def _finish(self, candidate: Candidate, end: SequenceEnd) -> CandidateEnd:
        match end.reason:
            case EndReason.QUEUE_TIMEOUT:
                raise QueueTimeout
            case EndReason.DEADLINE:
                raise DeadlineExceeded(round(self._request.deadline_s - self._accepted_s, 3))
            case EndReason.ABORTED | EndReason.CANCELLED:
                raise CallAborted(self._model)
            case EndReason.FAILED:
                raise DecodingFailedError("decoding failed")
        return candidate.finished(end)
