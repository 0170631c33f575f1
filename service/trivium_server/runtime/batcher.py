"""Runs items of many callers in batches, on threads of its own.

A batch is what waits when a runner is free: nothing waits for company, and no timer holds a lone item back. fair_queue
says who shares a batch. Every caller has a window of tokens that may be under way, results that it has not taken
included; so memory is bounded by callers and windows, whatever they send, and one that stops reading stops being read.
Results cross to the event loop once per batch, and wake each caller once.

A run whose callers have all left is ended at its graph's next node.

While all runners are on bulk, one more, the express, runs what goes ahead of it: a query then shares the processor with
running batches, and does not wait for one to end, however long it is.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NoReturn

from trivium_server.errors import CallAborted, QueueFull
from trivium_server.runtime.batch_forming import BatchPolicy, Item
from trivium_server.runtime.caller import Caller, Job, Result
from trivium_server.runtime.fair_queue import FairQueue, Lane
from trivium_server.runtime.session import RunEndedError, RunToken
from trivium_server.runtime.workload import BusyClock, Workload

_log = logging.getLogger("trivium.models")

# While several runners are free they share what waits, unless a share would cost hardly more than the run itself.
_SMALLEST_SHARE = 4

# Budgets' worth of waiting items with which a lone caller's batches have little padding.
_CHOICE = 16

_STUCK_S = 5.0


class BatcherClosedError(Exception):
    """Opened after close, which the caller's own order of things must rule out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """A batch that ran. Padded tokens are what it cost, useful tokens what its items have."""

    num_items: int
    useful_tokens: int
    padded_tokens: int
    run_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatcherStats:
    """Where a batcher stands, and totals since it started."""

    num_callers: int
    num_waiting: int
    waiting_tokens: int
    num_running_items: int
    num_running_batches: int
    num_free_runners: int
    num_batches: int
    useful_tokens: int
    padded_tokens: int

    @property
    def num_accepted(self) -> int:
        """Items that have not ended."""
        return self.num_waiting + self.num_running_items


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch(Generic[Item, Result]):
    jobs: Sequence[Job[Item, Result]]
    callers: frozenset[Caller[Item, Result]] = frozenset()
    is_bulk: bool = False
    token: RunToken = field(default_factory=RunToken)


class Batcher(Generic[Item, Result]):
    """Callers open, submit and leave on the event loop; batches run on the runners' threads."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        model: str,
        policy: BatchPolicy,
        num_runners: int,
        max_callers: int,
        window_tokens: int | None = None,
        on_batch: Callable[[BatchRecord], None] = lambda _: None,
    ) -> None:
        """run gets the items of a batch and returns as many outcomes, in their order. Runners call it at the same time.

        What it raises, every item of the batch ends with. At most max_callers are open at a time, each with
        window_tokens under way; the default keeps all runners busy and leaves enough to choose from. on_batch is called
        on a runner's thread. model is named in errors.
        """
        self._run = run
        self._model = model
        self._policy = policy
        self._window_tokens = window_tokens or (num_runners + _CHOICE) * policy.budget_tokens
        self._max_callers = max_callers
        self._on_batch = on_batch
        self._queue: FairQueue[Job[Item, Result]] = FairQueue(policy)
        self._callers: dict[Lane, Caller[Item, Result]] = {}
        # Guards everything below, the queue and the callers.
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        self._express_has_work = threading.Condition(self._lock)
        self._num_runners = num_runners
        self._num_bulk_batches = 0
        self._num_free = 0
        self._num_running_items = 0
        self._runs = BusyClock()
        self._running: set[_Batch[Item, Result]] = set()
        self._num_batches = 0
        self._num_items = 0
        self._useful_tokens = 0
        self._padded_tokens = 0
        self._s_per_token = 0.0
        self._abort = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._serve, args=(self._next_batch,), name=f"batch-runner-{number}", daemon=True)
            for number in range(num_runners)
        ]
        self._threads.append(
            threading.Thread(target=self._serve, args=(self._next_express_batch,), name="batch-express", daemon=True)
        )
        self._num_alive = 0
        self._deserted = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def stats(self) -> BatcherStats:
        with self._lock:
            return BatcherStats(
                num_callers=len(self._callers),
                num_waiting=self._queue.num_waiting,
                waiting_tokens=self._queue.waiting_tokens,
                num_running_items=self._num_running_items,
                num_running_batches=self._runs.num_busy,
                num_free_runners=self._num_free,
                num_batches=self._num_batches,
                useful_tokens=self._useful_tokens,
                padded_tokens=self._padded_tokens,
            )

    @property
    def workload(self) -> Workload:
        """How busy the runners are."""
        with self._lock:
            waiting_runs = min(self._queue.waiting_tokens / self._policy.budget_tokens, len(self._callers))
            return Workload(
                num_places=self._num_runners,
                num_busy=self._runs.num_busy,
                busy_s=self._runs.seconds,
                num_waiting=self._queue.num_waiting,
                waiting_runs=waiting_runs,
                num_runs=self._num_batches,
                num_items=self._num_items,
                useful_tokens=self._useful_tokens,
                padded_tokens=self._padded_tokens,
            )

    def start(self) -> None:
        """Starts the runners. Call from the event loop on which callers are to be woken."""
        self._loop = asyncio.get_running_loop()
        self._num_alive = len(self._threads)
        for thread in self._threads:
            thread.start()

    def open(self, deadline_s: float) -> Caller[Item, Result]:
        """Lets a caller in until it leaves. deadline_s is on the clock of time.monotonic().

        Raises QueueFull when there are as many as may be, and then nothing was done.
        """
        lane = Lane(deadline_s)
        caller = Caller[Item, Result](
            lane,
            window_tokens=self._window_tokens,
            submit=lambda jobs: self._submit(lane, jobs),
            leave=lambda: self._leave(lane),
        )
        with self._lock:
            if self._abort:
                raise BatcherClosedError("the batcher is closed")
            if len(self._callers) >= self._max_callers:
                raise QueueFull(self._max_callers, self._retry_after_s())
            self._callers[lane] = caller
        return caller

    async def close(self, grace_s: float, *, stuck_s: float = _STUCK_S) -> None:
        """Lets callers finish and leave for grace_s seconds, ends the rest with CallAborted, and joins the threads.

        A run that takes stuck_s more is left to its thread, which does not keep the process alive.
        """
        if not self._num_alive:
            return
        try:
            async with asyncio.timeout(grace_s):
                while self._callers:
                    self._deserted.clear()
                    await self._deserted.wait()
        except TimeoutError:
            _log.warning("%d callers did not finish within %g s and are aborted", len(self._callers), grace_s)
        finally:
            self._end_all()
        try:
            async with asyncio.timeout(stuck_s):
                await self._stopped.wait()
        except TimeoutError:
            _log.error("%d runners do not return; their threads are left behind", self._num_alive)
        else:
            for thread in self._threads:
                thread.join()
            # The model has this batcher, and what runs has the model: left so, its memory would wait for a collection.
            self._run = _no_more

    def _end_all(self) -> None:
        with self._lock:
            self._abort = True
            for lane, caller in self._callers.items():
                self._queue.drop(lane)
                caller.fail(CallAborted(self._model))
                caller.wake()
            for batch in self._running:
                batch.token.end()
            self._has_work.notify_all()
            self._express_has_work.notify_all()

    def _submit(self, lane: Lane, jobs: Sequence[Job[Item, Result]]) -> None:
        with self._lock:
            # A caller that was aborted learns it when it waits for its results.
            if lane in self._callers and not self._abort:
                self._queue.add(lane, jobs)
                self._has_work.notify(len(jobs))
                self._express_has_work.notify()

    def _leave(self, lane: Lane) -> None:
        with self._lock:
            self._queue.drop(lane)
            self._callers.pop(lane, None)
            for batch in self._running:
                if all(caller.lane not in self._callers for caller in batch.callers):
                    batch.token.end()
        if not self._callers:
            self._deserted.set()

    def _serve(self, next_batch: Callable[[], _Batch[Item, Result]]) -> None:
        try:
            # No name keeps a batch here while the runner waits for the next.
            while self._run_batch(next_batch()):
                pass
        finally:
            with self._lock:
                self._num_alive -= 1
                is_last = not self._num_alive
            if is_last:
                self._call_soon(self._stopped.set)

    def _next_batch(self) -> _Batch[Item, Result]:
        """Waits for work and takes a batch of it; empty when there is to be no more."""
        with self._lock:
            while not self._abort:
                self._end_expired()
                is_bulk = not self._queue.is_next_ahead
                if jobs := self._queue.take(self._budget_tokens()):
                    return self._begin(jobs, is_bulk=is_bulk)
                self._num_free += 1
                self._has_work.wait()
                self._num_free -= 1
        return _Batch(jobs=())

    def _next_express_batch(self) -> _Batch[Item, Result]:
        """The same for the express, which has work while all others are on bulk."""
        with self._lock:
            while not self._abort:
                if self._num_bulk_batches == self._num_runners and (jobs := self._queue.take_ahead()):
                    return self._begin(jobs, is_bulk=False)
                self._express_has_work.wait()
        return _Batch(jobs=())

    def _begin(self, jobs: Sequence[Job[Item, Result]], *, is_bulk: bool) -> _Batch[Item, Result]:
        self._runs.begin()
        self._num_running_items += len(jobs)
        self._num_bulk_batches += is_bulk
        if is_bulk and self._queue.has_ahead:
            self._express_has_work.notify()
        batch = _Batch(jobs=jobs, callers=frozenset(job.caller for job in jobs), is_bulk=is_bulk)
        self._running.add(batch)
        return batch

    def _budget_tokens(self) -> int:
        share = self._queue.waiting_tokens // (self._num_free + 1)
        smallest = _SMALLEST_SHARE * self._policy.run_overhead_tokens
        return min(self._policy.budget_tokens, max(share, smallest))

    def _end_expired(self) -> None:
        expired = [self._callers[lane] for lane in self._queue.drop_expired(time.monotonic())]
        for caller in expired:
            caller.expire()
        self._wake(expired)

    def _run_batch(self, batch: _Batch[Item, Result]) -> bool:
        """Runs a batch and hands out its results; returns whether there was one."""
        jobs = batch.jobs
        if not jobs:
            return False
        useful = sum(job.length for job in jobs)
        padded = max(job.length for job in jobs) * len(jobs)
        started = time.monotonic()
        for caller in batch.callers:
            caller.started(started)
        outcomes = self._outcomes(batch)
        elapsed = time.monotonic() - started
        with self._lock:
            self._runs.end()
            self._running.discard(batch)
            self._num_bulk_batches -= batch.is_bulk
            self._num_running_items -= len(jobs)
            self._num_batches += 1
            self._num_items += len(jobs)
            self._useful_tokens += useful
            self._padded_tokens += padded
            if not batch.token.is_ended:
                self._s_per_token += 0.2 * (elapsed / useful - self._s_per_token)
            for job, outcome in zip(jobs, outcomes, strict=True):
                job.caller.put(job, outcome, compute_s=elapsed * job.length / useful)
        self._wake(batch.callers)
        try:
            self._on_batch(BatchRecord(num_items=len(jobs), useful_tokens=useful, padded_tokens=padded, run_s=elapsed))
        except Exception:  # noqa: BLE001  a runner outlives whatever watches it
            _log.exception("a batch could not be recorded")
        return True

    def _outcomes(self, batch: _Batch[Item, Result]) -> Sequence[Result | Exception]:
        jobs = batch.jobs
        try:
            with batch.token.governs():
                outcomes = self._run([job.item for job in jobs])
            if len(outcomes) != len(jobs):
                raise ValueError(f"a run of {len(jobs)} items returned {len(outcomes)} results")
        except RunEndedError:
            return [CallAborted(self._model)] * len(jobs)
        except Exception as error:  # noqa: BLE001  whatever one run meets must not take the runner down with it
            _log.exception("a batch failed; its items end with what it raised")
            return [error] * len(jobs)
        return outcomes

    def _retry_after_s(self) -> float:
        wait_s = self._s_per_token * self._queue.waiting_tokens / self._num_runners
        return round(min(max(wait_s, 0.1), 10.0), 1)

    def _wake(self, callers: Iterable[Caller[Item, Result]]) -> None:
        """Crosses to the event loop once, whatever the number of callers."""
        woken = list(callers)
        if woken:
            self._call_soon(lambda: _wake_all(woken))

    def _call_soon(self, callback: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)


def _wake_all(callers: Iterable[Caller[Item, Result]]) -> None:
    for caller in callers:
        caller.wake()


def _no_more(_items: Sequence[object]) -> NoReturn:
    raise AssertionError("a closed batcher takes no work")
