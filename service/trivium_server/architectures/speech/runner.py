"""Runs one model for many callers, on a bounded number of threads, the most urgent work first.

What is asked for while all threads are busy waits in a line for each urgency; which line is next is decided when a
thread is free. A run is of one item, or of some that wait in the same line, where company gains something.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar

from trivium_server.architectures.speech_capabilities import SpeechMeter, Urgency
from trivium_server.config import Config
from trivium_server.errors import (
    CallAborted,
    DeadlineExceeded,
    QueueFull,
    QueueTimeout,
    TriviumError,
    UnsupportedFeature,
)
from trivium_server.numerics import NotFiniteError
from trivium_server.runtime.session import RunEndedError, RunToken, SessionError
from trivium_server.runtime.workload import BusyClock, Workload

_logger = logging.getLogger("trivium.models")

Item = TypeVar("Item")
Result = TypeVar("Result")

_CLOSE_S = 5.0
_ITEMS_PER_CALL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStats:
    """What waits and what runs now, in items."""

    num_waiting: int
    num_running: int

    @property
    def num_accepted(self) -> int:
        return self.num_waiting + self.num_running


class _Job(Generic[Item, Result]):
    __slots__ = ("asked_s", "began_s", "compute_s", "ended", "ended_s", "is_dropped", "item", "run", "urgency")

    def __init__(self, item: Item, urgency: Urgency, ended: "asyncio.Future[Result]") -> None:
        self.item = item
        self.urgency = urgency
        self.ended = ended
        self.asked_s = time.monotonic()
        self.began_s: float | None = None
        self.run: _Run[Item, Result] | None = None
        self.is_dropped = False
        self.ended_s = 0.0
        self.compute_s = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Run(Generic[Item, Result]):
    jobs: Sequence[_Job[Item, Result]]
    token: RunToken = field(default_factory=RunToken)


def max_waiting(config: Config) -> int:
    """Returns how many items of one model may wait: each call has but some of them at a time."""
    return (config.speech.max_callers + config.speech.max_streams) * _ITEMS_PER_CALL


class SpeechRunner(Generic[Item, Result]):
    """One model's threads, and the lines before them. Calls are made on the event loop."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        model: str,
        num_runners: int,
        max_items: int,
        max_waiting: int,
    ) -> None:
        """run: gets 1 to max_items items, on several threads at the same time, and returns as many outcomes.

        What it raises, every item of the run ends with. At most max_waiting items wait. model is named in errors.
        """
        self._run = run
        self._model = model
        self._max_items = max_items
        self._max_waiting = max_waiting
        self._lines: dict[Urgency, OrderedDict[_Job[Item, Result], None]] = {each: OrderedDict() for each in Urgency}
        self._next_patient = Urgency.INTERIM
        self._num_free = 0
        self._num_running = 0
        self._runs = BusyClock()
        self._num_runs = 0
        self._num_items = 0
        self._s_per_item = 0.0
        self._is_closed = False
        self._num_alive = 0
        self._stopped = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # Guards all of the above.
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        # Of calls that have not ended, for close.
        self._calls: set[asyncio.Future[Result]] = set()
        self._threads = [
            threading.Thread(target=self._serve, name=f"speech-runner-{number}", daemon=True)
            for number in range(num_runners)
        ]

    @property
    def stats(self) -> RunnerStats:
        """For tests and telemetry."""
        with self._lock:
            return RunnerStats(num_waiting=self._num_waiting(), num_running=self._num_running)

    @property
    def workload(self) -> Workload:
        """How busy the threads are."""
        with self._lock:
            waiting = self._num_waiting()
            return Workload(
                num_places=len(self._threads),
                num_busy=self._runs.num_busy,
                busy_s=self._runs.seconds,
                num_waiting=waiting,
                waiting_runs=waiting / self._max_items,
                num_runs=self._num_runs,
                num_items=self._num_items,
            )

    @property
    def num_runners(self) -> int:
        return len(self._threads)

    async def start(self, rehearse: Callable[[], None]) -> None:
        """Calls rehearse on a thread, which runs the model once, and then starts the runners. Raises what it raises."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(rehearse)
        self._num_alive = len(self._threads)
        for thread in self._threads:
            thread.start()

    async def close(self, grace_s: float) -> None:
        """Ends calls with CallAborted after at most grace_s seconds, and stops the threads.

        A run that takes long is left to its thread, which does not keep the process alive.
        """
        if self._calls and grace_s > 0:
            await asyncio.wait(self._calls, timeout=grace_s)
        with self._lock:
            self._is_closed = True
            for line in self._lines.values():
                line.clear()
            self._has_work.notify_all()
        for call in list(self._calls):
            if not call.done():
                call.set_exception(CallAborted(self._model))
        if self._num_alive:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await self._stopped.wait()
            except TimeoutError:
                left = self._num_alive
                _logger.error("%d runners of %s do not return; their threads are left behind", left, self._model)
                return
        # The model has this runner, and what runs has the model: left so, its memory would wait for a collection.
        self._run = _no_more

    async def run(self, item: Item, *, urgency: Urgency, deadline_s: float, meter: SpeechMeter) -> Result:
        """Returns what the run made of an item.

        Cancelling it, and the deadline, drop an item that waits; a run that has begun is ended at its graph's next node
        where nobody else waits for what it makes.
        Raises QueueFull, QueueTimeout, DeadlineExceeded, CallAborted, and what the run ended with: SessionError and
        NotFiniteError as UnsupportedFeature, for sound that the model cannot be run on.
        """
        ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        job = _Job(item, urgency, ended)
        if deadline_s <= job.asked_s:
            raise QueueTimeout
        self._add(job)
        self._calls.add(ended)
        try:
            async with asyncio.timeout(deadline_s - job.asked_s):
                return await ended
        except TimeoutError:
            if job.began_s is None:
                raise QueueTimeout from None
            raise DeadlineExceeded(round(deadline_s - job.asked_s, 3)) from None
        finally:
            self._calls.discard(ended)
            self._drop(job)
            if job.began_s is not None and job.ended_s:
                meter.note_run(asked_s=job.asked_s, began_s=job.began_s, ended_s=job.ended_s, compute_s=job.compute_s)

    def _add(self, job: _Job[Item, Result]) -> None:
        with self._lock:
            if self._is_closed:
                raise CallAborted(self._model)
            waiting = self._num_waiting()
            if waiting >= self._max_waiting:
                wait_s = self._s_per_item * waiting / len(self._threads)
                raise QueueFull(self._max_waiting, round(min(max(wait_s, 0.1), 10.0), 1))
            self._lines[job.urgency][job] = None
            self._has_work.notify()

    def _drop(self, job: _Job[Item, Result]) -> None:
        with self._lock:
            self._lines[job.urgency].pop(job, None)
            job.is_dropped = True
            if job.run is not None and all(other.is_dropped for other in job.run.jobs):
                job.run.token.end()

    def _num_waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    def _serve(self) -> None:
        try:
            # No name keeps a run's items here while the runner waits for the next.
            while self._run_next(self._take()):
                pass
        finally:
            with self._lock:
                self._num_alive -= 1
                is_last = not self._num_alive
            if is_last:
                self._call_soon(self._stopped.set)

    def _call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _take(self) -> _Run[Item, Result]:
        """Waits for work and takes some of it; empty when there is to be no more."""
        with self._lock:
            while not self._is_closed:
                if line := self._next_line():
                    share = -(-len(line) // (self._num_free + 1))
                    run = _Run([line.popitem(last=False)[0] for _ in range(min(self._max_items, share))])
                    began_s = time.monotonic()
                    for job in run.jobs:
                        job.began_s, job.run = began_s, run
                    self._num_running += len(run.jobs)
                    self._runs.begin()
                    return run
                self._num_free += 1
                self._has_work.wait()
                self._num_free -= 1
        return _Run(())

    def _next_line(self) -> OrderedDict[_Job[Item, Result], None]:
        if self._lines[Urgency.LIVE]:
            return self._lines[Urgency.LIVE]
        first = self._next_patient
        other = Urgency.FILE if first is Urgency.INTERIM else Urgency.INTERIM
        if self._lines[first]:
            self._next_patient = other
            return self._lines[first]
        return self._lines[other]

    def _run_next(self, run: _Run[Item, Result]) -> bool:
        jobs = run.jobs
        if not jobs:
            return False
        began_s = time.monotonic()
        with run.token.governs():
            outcomes = self._outcomes([job.item for job in jobs])
        ended_s = time.monotonic()
        share_s = (ended_s - began_s) / len(jobs)
        for job in jobs:
            job.compute_s, job.ended_s = share_s, ended_s
        with self._lock:
            for job in jobs:
                job.run = None  # They would keep each other, in a cycle, until it is collected.
            self._num_running -= len(jobs)
            self._runs.end()
            self._num_runs += 1
            self._num_items += len(jobs)
            if not run.token.is_ended:
                self._s_per_item += 0.2 * (share_s - self._s_per_item)
        self._call_soon(_end, jobs, outcomes)
        return True

    def _outcomes(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            return self._run(items)
        except NotFiniteError:
            return [UnsupportedFeature("audio", "what the model makes of it is not finite")] * len(items)
        except SessionError as error:
            _logger.warning("a model cannot be run on a piece of sound: %s", error)
            return [UnsupportedFeature("audio", "the model cannot be run on it")] * len(items)
        except RunEndedError:
            return [CallAborted(self._model)] * len(items)
        except TriviumError as error:
            return [error] * len(items)
        except Exception as error:  # whatever one run meets must not take the runner down with it
            _logger.exception("a run failed; its calls end with what it raised")
            return [error] * len(items)


def _no_more(_items: Sequence[object]) -> NoReturn:
    raise AssertionError("a closed runner takes no work")


def _end(jobs: Sequence[_Job[Item, Result]], outcomes: Sequence[Result | Exception]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.ended.done():
            continue
        if isinstance(outcome, Exception):
            job.ended.set_exception(outcome)
        else:
            job.ended.set_result(outcome)
