"""The decode engine: continuous batching of all sequences of one model, on one thread of its own.

Every turn of its loop takes what was submitted or cancelled, ends what is over, reads one chunk of a prompt, decodes
one token of every running sequence, and samples. The listeners on the event loop are told when the next run begins, or
when there is none: onnxruntime releases the GIL while it runs. Sequences join and leave between turns; a cancelled one
is gone within one.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from trivium_server.decoding.decoder import Decoder, Logits
from trivium_server.decoding.sampling import choose, rank
from trivium_server.decoding.scheduler import PrefillChunk, Scheduler
from trivium_server.decoding.sequence import (
    DecodeRequest,
    EndReason,
    SampledToken,
    Sequence,
    SequenceEnd,
    TokenListener,
)
from trivium_server.errors import QueueFull
from trivium_server.runtime.session import RunEndedError, RunToken
from trivium_server.runtime.workload import BusyClock, Workload

_log = logging.getLogger("trivium.models")


class EngineClosedError(Exception):
    """Submitted after close, which the caller's own order of things must rule out."""


class Engine:
    """Submits and cancels from the event loop; everything else happens on the engine's thread.

    Accepts as many sequences as there are slots, and queue_size more that wait.
    """

    def __init__(self, decoder: Decoder, *, queue_size: int, prefill_chunk_tokens: int) -> None:
        self._decoder = decoder
        # Once the event loop is awake it wants the interpreter's lock, which is free while the graph runs.
        decoder.before_run = self._wake_listeners
        self._scheduler = Scheduler(slots=decoder.cache.slots, prefill_chunk_tokens=prefill_chunk_tokens)
        self._prefill_chunk_tokens = prefill_chunk_tokens
        self._limit = decoder.cache.slots + queue_size
        self._inbox: queue.SimpleQueue[DecodeRequest | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._num_accepted = 0
        # Sequences whose prompt is being read, or that decode.
        self._begun = BusyClock()
        self._num_steps = 0
        self._num_step_rows = 0
        self._service_s = 0.0
        self._abort = False
        # Whose tokens the present run makes, and what ends it where nobody wants them any more.
        self._in_run: SequenceOf[DecodeRequest] = ()
        self._token = RunToken()
        self._touched: set[TokenListener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="decode-engine", daemon=True)
        # Set whenever the last accepted sequence ends, and when the thread does.
        self._drained = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def num_accepted(self) -> int:
        """Sequences that were accepted and have not ended."""
        return self._num_accepted

    @property
    def num_live_slots(self) -> int:
        """KV slots in use."""
        return self._decoder.cache.num_live

    @property
    def workload(self) -> Workload:
        """How busy the slots are; a run is a decoding step, and an item a sequence in it."""
        with self._lock:
            waiting = self._num_accepted - self._begun.num_busy
            return Workload(
                num_places=self.slots,
                num_busy=self._begun.num_busy,
                busy_s=self._begun.seconds,
                num_waiting=waiting,
                waiting_runs=waiting,
                num_runs=self._num_steps,
                num_items=self._num_step_rows,
            )

    @property
    def slots(self) -> int:
        """Sequences that can decode together."""
        return self._decoder.cache.slots

    @property
    def capacity(self) -> int:
        """Tokens of prompt and answer that a sequence may have at most."""
        return self._decoder.cache.capacity

    def warm_up(self) -> None:
        """Runs every shape that traffic will use once. Call before `start`. Raises SessionError and GraphError."""
        self._decoder.warm_up(self._prefill_chunk_tokens)

    def start(self) -> None:
        """Starts the thread. Call from the event loop on which listeners are to be woken."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, request: DecodeRequest) -> None:
        """Queues a request. Raises QueueFull, and then nothing was done."""
        num = len(request.sequences)
        with self._lock:
            if self._abort:
                raise EngineClosedError("the engine is closed")
            if self._num_accepted + num > self._limit:
                retry_after_s = round(min(max(self._service_s, 0.1), 10.0), 1)
                raise QueueFull(self._limit, retry_after_s, unit="candidate sequences")
            self._num_accepted += num
        self._inbox.put(request)

    def cancel(self, request: DecodeRequest) -> None:
        """Ends a request's sequences with CANCELLED within one decoding step. Harmless when they have ended.

        A step of which nobody else wants anything is ended at its graph's next node.
        """
        request.is_cancelled = True
        with self._lock:
            self._end_unwanted_run()

    def queue_position(self, request: DecodeRequest) -> int | None:
        """Returns how many requests wait before this one; None when it no longer waits."""
        if request.started_s is not None:
            return None
        try:
            return self._scheduler.waiting.index(request)
        except (ValueError, RuntimeError):
            # Still in the inbox, or the deque changed while it was searched: behind all that wait.
            return len(self._scheduler.waiting)

    async def close(self, grace_s: float) -> None:
        """Lets accepted sequences finish for grace_s seconds, ends the rest with ABORTED, and joins the thread."""
        if not self._thread.is_alive():
            return
        try:
            async with asyncio.timeout(grace_s):
                while self._num_accepted:
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            _log.warning("%d sequences did not finish within %g s and are aborted", self._num_accepted, grace_s)
        finally:
            self._abort = True
            with self._lock:
                self._token.end()
            self._inbox.put(None)
        await self._stopped.wait()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._call_soon(self._stopped.set)

    def _serve(self) -> None:
        while not self._abort:
            self._take_inbox()
            try:
                self._end_what_is_over()
                chunk = self._scheduler.next_chunk()
                if chunk is not None:
                    self._prefill(chunk)
                if self._scheduler.running:
                    self._decode()
            except RunEndedError:
                pass  # All that were in the run are over, as the next turn finds.
            except Exception:  # noqa: BLE001  whatever one step meets must not take the server down with it
                _log.exception("a decoding step failed; its calls end with an internal error")
                self._end_all(EndReason.FAILED)
        self._take_waiting()
        self._end_all(EndReason.ABORTED)
        self._wake_listeners()

    @contextmanager
    def _run_for(self, requests: SequenceOf[DecodeRequest]) -> Iterator[None]:
        """Runs the graph in the block, which RunEndedError leaves once all of these requests are cancelled."""
        with self._lock:
            self._in_run = requests
            self._end_unwanted_run()
        try:
            with self._token.governs():
                yield
        finally:
            with self._lock:
                self._in_run = ()
                if self._token.is_ended:
                    self._token = RunToken()

    def _end_unwanted_run(self) -> None:
        if self._in_run and all(request.is_cancelled for request in self._in_run):
            self._token.end()

    def _take_inbox(self) -> None:
        if self._scheduler.is_idle and not self._abort:
            self._wake_listeners()
            self._accept(self._inbox.get())
        self._take_waiting()

    def _take_waiting(self) -> None:
        while True:
            try:
                self._accept(self._inbox.get_nowait())
            except queue.Empty:
                return

    def _accept(self, request: DecodeRequest | None) -> None:
        if request is not None:
            self._scheduler.add(request)

    def _end_what_is_over(self) -> None:
        now = time.monotonic()
        for request in self._scheduler.drop_hopeless(now):
            self._end_request(request, EndReason.CANCELLED if request.is_cancelled else EndReason.QUEUE_TIMEOUT)
        prefilling = self._scheduler.prefilling
        if prefilling is not None and (over := _over(prefilling, now)):
            self._scheduler.stop_prefilling()
            self._end_request(prefilling, over)
        for slot in range(len(self._scheduler.running) - 1, -1, -1):
            request, _ = self._scheduler.running[slot]
            if over := _over(request, now):
                self._leave(slot, SequenceEnd(reason=over))

    def _prefill(self, chunk: PrefillChunk) -> None:
        request = chunk.request
        started = time.monotonic()
        if request.started_s is None:
            request.started_s = started
            with self._lock:
                self._begun.begin(len(request.sequences))
        ids = request.prompt_ids[chunk.start : chunk.end]
        with self._run_for((request,)):
            logits = self._decoder.prefill(ids, chunk.start, want_logits=chunk.is_last)
        elapsed = time.monotonic() - started
        request.compute_s += elapsed
        request.last_step_s = started + elapsed
        self._scheduler.chunk_done(chunk, elapsed)
        if logits is not None:
            self._join(request, logits)

    def _join(self, request: DecodeRequest, logits: Logits) -> None:
        """Gives every candidate a slot and its first token, from the same logits."""
        request.first_token_s = time.monotonic()
        slots = []
        for sequence in request.sequences:
            slots.append(self._decoder.cache.append_staged(len(request.prompt_ids)))
            self._scheduler.running.append((request, sequence))
        self._decoder.cache.release_staging()
        self._advance(slots, np.repeat(logits[None], len(slots), axis=0))

    def _decode(self) -> None:
        running = self._scheduler.running
        started = time.monotonic()
        min_rows = 2 if any(request.is_reproducible for request, _ in running) else 1
        with self._run_for([request for request, _ in running]):
            logits = self._decoder.decode([sequence.last_token for _, sequence in running], min_rows=min_rows)
        ended = time.monotonic()
        self._num_steps += 1
        self._num_step_rows += len(running)
        share = (ended - started) / len(running)
        for request, _ in running:
            request.compute_s += share
            request.last_step_s = ended
        self._advance(range(len(running)), logits)

    def _advance(self, slots: SequenceOf[int], logits: Logits) -> None:
        """Samples the next token of the sequences in these slots, in rising order, and lets go of those that end.

        logits: shape (len(slots), vocabulary); overwritten.
        """
        sequences = [self._scheduler.running[slot][1] for slot in slots]
        originals = [
            row.copy() if sequence.top_logprobs is not None else None
            for sequence, row in zip(sequences, logits, strict=True)
        ]
        tokens = choose([(sequence.sampler, sequence.forbidden) for sequence in sequences], logits)
        ends: list[tuple[int, SequenceEnd]] = []
        for slot, token, original in zip(slots, tokens, originals, strict=True):
            end = self._take_token(*self._scheduler.running[slot], token, original)
            if end is not None:
                ends.append((slot, end))
        # From the highest slot down, so that the sequence that moves into a freed slot is one that stays.
        for slot, end in reversed(ends):
            self._leave(slot, end)

    def _take_token(
        self, request: DecodeRequest, sequence: Sequence, token: int | None, original: NDArray[np.float32] | None
    ) -> SequenceEnd | None:
        """Hands over a token; returns how the sequence ended with it, if it did. None: its logits were not finite."""
        if token is None:
            _log.error("a sequence got logits that are not finite; its call ends with an internal error")
            return SequenceEnd(reason=EndReason.FAILED)
        stop = sequence.stop
        if token in stop.end_ids:
            return SequenceEnd(reason=EndReason.STOP_TOKEN, stop_token_id=token)
        sequence.last_token = token
        sequence.num_tokens += 1
        listener = sequence.listener
        self._touched.add(listener)
        if original is None:
            sampled = SampledToken(token_id=token)
        else:
            ranked, alternatives = rank(original, token, sequence.top_logprobs or 0)
            sampled = SampledToken(token_id=token, ranked=ranked, alternatives=alternatives)
        if listener.on_token(sampled):
            return SequenceEnd(reason=EndReason.LISTENER_STOPPED)
        if sequence.num_tokens >= stop.max_tokens:
            return SequenceEnd(reason=EndReason.MAX_TOKENS)
        if len(request.prompt_ids) + sequence.num_tokens >= self._decoder.cache.capacity:
            return SequenceEnd(reason=EndReason.CONTEXT_FULL)
        return None

    def _leave(self, slot: int, end: SequenceEnd) -> None:
        """Frees a slot; the last running sequence moves into it, as the cache moves its keys and values."""
        running = self._scheduler.running
        request, sequence = running[slot]
        self._decoder.cache.remove(slot)
        last = running.pop()
        if slot < len(running):
            running[slot] = last
        self._end(request, sequence, end)

    def _end(self, request: DecodeRequest, sequence: Sequence, end: SequenceEnd) -> None:
        self._touched.add(sequence.listener)
        sequence.listener.on_end(end)
        if request.started_s is not None:
            elapsed = time.monotonic() - request.started_s
            self._service_s += 0.2 * (elapsed / self._decoder.cache.slots - self._service_s)
        with self._lock:
            self._num_accepted -= 1
            if request.started_s is not None:
                self._begun.end()
        if self._num_accepted == 0:
            self._call_soon(self._drained.set)

    def _end_request(self, request: DecodeRequest, reason: EndReason) -> None:
        for sequence in request.sequences:
            self._end(request, sequence, SequenceEnd(reason=reason))

    def _end_all(self, reason: EndReason) -> None:
        for slot in range(len(self._scheduler.running) - 1, -1, -1):
            self._leave(slot, SequenceEnd(reason=reason))
        prefilling = self._scheduler.stop_prefilling()
        if prefilling is not None:
            self._end_request(prefilling, reason)
        if reason is EndReason.ABORTED:
            while self._scheduler.waiting:
                self._end_request(self._scheduler.waiting.popleft(), reason)

    def _wake_listeners(self) -> None:
        """Crosses to the event loop, once for all that were touched since the last time."""
        if self._touched:
            touched, self._touched = self._touched, set()
            self._call_soon(lambda: _wake(touched))

    def _call_soon(self, callback: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)


def _wake(listeners: set[TokenListener]) -> None:
    for listener in listeners:
        listener.wake()


def _over(request: DecodeRequest, now_s: float) -> EndReason | None:
    if request.is_cancelled:
        return EndReason.CANCELLED
    return EndReason.DEADLINE if now_s >= request.deadline_s else None
