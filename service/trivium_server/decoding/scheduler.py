"""Decides what the engine runs next. Pure: no threads, no model, the time is passed in.

Requests wait in order of arrival; one that needs more slots than are free lets a few others past. One at a time is read
in (prefilled), in chunks, with a decoding step of all running sequences between two chunks, so that a long prompt
delays a running stream by one chunk and not by the whole prompt. A request starts when there are slots for all its
candidates.
"""

import itertools
from collections import deque
from dataclasses import dataclass

from trivium_server.decoding.sequence import DecodeRequest, Sequence

# Shorter chunks tell the cost of a run, not that of a token.
_TELLING_CHUNK = 32

# A prompt that has the machine to itself is read in bigger chunks, which cost less per token.
_UNCONTENDED_CHUNKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillChunk:
    """Tokens [start, end) of a prompt; is_last when they complete it."""

    request: DecodeRequest
    start: int
    end: int

    @property
    def is_last(self) -> bool:
        return self.end == len(self.request.prompt_ids)


class Scheduler:
    """The waiting, the one being read in, and the running. running[i] decodes in KV slot i."""

    def __init__(self, *, slots: int, prefill_chunk_tokens: int) -> None:
        self._slots = slots
        self._chunk_tokens = prefill_chunk_tokens
        self.waiting: deque[DecodeRequest] = deque()
        self.prefilling: DecodeRequest | None = None
        self.running: list[tuple[DecodeRequest, Sequence]] = []
        self._prefill_s_per_token = 0.0

    @property
    def is_idle(self) -> bool:
        return not (self.waiting or self.prefilling or self.running)

    def add(self, request: DecodeRequest) -> None:
        self.waiting.append(request)

    def drop_hopeless(self, now_s: float) -> list[DecodeRequest]:
        """Removes and returns the waiting requests that were cancelled or cannot have a token before their deadline."""
        dropped = [r for r in self.waiting if r.is_cancelled or now_s + self._prefill_estimate_s(r) >= r.deadline_s]
        if any(not r.is_cancelled and now_s < r.deadline_s for r in dropped):
            # What is dropped is not measured: without new measurements the estimate must not stay too high for good.
            self._prefill_s_per_token *= 0.9
        if dropped:
            self.waiting = deque(r for r in self.waiting if r not in dropped)
        return dropped

    def next_chunk(self) -> PrefillChunk | None:
        """Returns the next piece of prompt to read, from a new request if none is under way and one fits."""
        if self.prefilling is None:
            self.prefilling = self._take_waiting()
        request = self.prefilling
        if request is None:
            return None
        start, total = request.num_prefilled, len(request.prompt_ids)
        size = self._chunk_tokens
        # Boundaries that depend on the load could change a rounding; a reproducible request has fixed ones.
        if not self.running and not request.is_reproducible:
            size *= _UNCONTENDED_CHUNKS
        # Attention kernels differ for a single query; a prompt is never cut so that one token is left alone.
        end = total if total - start <= size + 1 else start + size
        return PrefillChunk(request=request, start=start, end=end)

    def chunk_done(self, chunk: PrefillChunk, elapsed_s: float) -> None:
        """Records a chunk; a completed request is no longer prefilling, and the caller puts it into running."""
        chunk.request.num_prefilled = chunk.end
        num_tokens = chunk.end - chunk.start
        if num_tokens >= _TELLING_CHUNK:
            self._prefill_s_per_token += 0.2 * (elapsed_s / num_tokens - self._prefill_s_per_token)
        if chunk.is_last:
            self.prefilling = None

    def stop_prefilling(self) -> DecodeRequest | None:
        """Gives up the request that is being read in and returns it."""
        request, self.prefilling = self.prefilling, None
        return request

    def _take_waiting(self) -> DecodeRequest | None:
        """Removes and returns the first request that fits. Each lets at most as many others past as there are slots."""
        for index, request in enumerate(self.waiting):
            if self._fits(request):
                del self.waiting[index]
                for passed in itertools.islice(self.waiting, index):
                    passed.num_passes += 1
                return request
            if request.num_passes >= self._slots:
                return None
        return None

    def _fits(self, request: DecodeRequest) -> bool:
        return len(self.running) + len(request.sequences) <= self._slots

    def _prefill_estimate_s(self, request: DecodeRequest) -> float:
        # Half of what the last prompts took: a request that might make it is let try.
        return 0.5 * self._prefill_s_per_token * len(request.prompt_ids)
