"""Runs a model on the images of many callers: each run alone on one of a bounded number of threads.

Batches of images gain nothing on a CPU (measured: a classifier takes as long for each of 16 images as for one), and
pages of text differ in size. So a run is of one image, or one part of it, and what makes its input from the pixels is
done on the same thread: then as many inputs are in memory as there are runs.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from trivium_server.architectures.vision_capabilities import VisionMeter
from trivium_server.errors import CallAborted, TriviumError, UnsupportedFeature
from trivium_server.numerics import NotFiniteError
from trivium_server.runtime.batch_forming import BatchPolicy
from trivium_server.runtime.batcher import Batcher, BatcherClosedError, BatcherStats
from trivium_server.runtime.caller import Caller
from trivium_server.runtime.session import SessionError
from trivium_server.runtime.workload import Workload

_logger = logging.getLogger("trivium.models")

Prepared = TypeVar("Prepared")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWork(Generic[Prepared, Made]):
    """One run of a model on an image, or on a part of one.

    prepare: makes the input from the pixels. infer: runs the graph on it, and reads what comes out. Both are called on
    the same runner's thread. They may raise a TriviumError, which is what the call ends with; SessionError and
    NotFiniteError, an input that the model cannot be run on. cost: what the run costs, compared with others of the same
    model; such as the pixels of the input in thousands, at least 1.
    """

    prepare: Callable[[], Prepared]
    infer: Callable[[Prepared], Made]
    cost: int


class ImageRunner:
    """One model's threads and its queue. Calls are made on the event loop."""

    def __init__(self, *, model: str, usual_cost: int, num_runners: int, max_callers: int) -> None:
        """usual_cost: of all runs for one image of a common size; calls that ask for no more go ahead of larger ones.

        At most max_callers calls are open at a time. model is named in errors.
        """
        self._model = model
        self._batcher: Batcher[_Runnable, None] = Batcher(
            _run_each,
            model=model,
            policy=BatchPolicy(budget_tokens=usual_cost, run_overhead_tokens=0, max_items=1),
            num_runners=num_runners,
            max_callers=max_callers,
        )

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry: what waits and what runs. Its tokens are costs."""
        return self._batcher.stats

    @property
    def workload(self) -> Workload:
        """How busy the runners are."""
        return self._batcher.workload

    async def start(self, rehearse: Callable[[], None]) -> None:
        """Calls rehearse on a thread, which runs the model once, and then starts the runners. Raises what it raises."""
        await asyncio.to_thread(rehearse)
        self._batcher.start()

    async def close(self, grace_s: float) -> None:
        """Ends running calls with CallAborted after at most grace_s seconds, and stops the threads."""
        await self._batcher.close(grace_s)

    @contextlib.contextmanager
    def call(self, deadline_s: float, meter: VisionMeter) -> Iterator["ImageCall"]:
        """Lets a call in until it is left, which drops what waits of it and brings its meter up to date.

        Raises QueueFull and CallAborted.
        """
        try:
            caller = self._batcher.open(deadline_s)
        except BatcherClosedError as error:
            raise CallAborted(self._model) from error
        with caller:
            call = ImageCall(caller, meter)
            try:
                yield call
            finally:
                call.update_meter()

    async def run(self, work: ImageWork[Prepared, Made], *, deadline_s: float, meter: VisionMeter) -> Made:
        """Makes a call of one run. Raises as `call` and `ImageCall.all` do."""
        with self.call(deadline_s, meter) as call:
            return await call.run(work)


class ImageCall:
    """One call of a runner: any number of runs, one `run` or `all` at a time."""

    def __init__(self, caller: Caller["_Runnable", None], meter: VisionMeter) -> None:
        self._caller = caller
        self._meter = meter
        self._clock = _Clock()

    async def run(self, work: ImageWork[Prepared, Made]) -> Made:
        """As `all`, of one."""
        (made,) = await self.all([work])
        return made

    async def all(self, works: Iterable[ImageWork[Prepared, Made]]) -> list[Made]:
        """Returns what each work made, in their order; they run at the same time where runners are free.

        works is read on the event loop as there is room for more. Raises QueueTimeout, DeadlineExceeded, CallAborted;
        UnsupportedFeature where the model cannot be run on one of them, and what else one of them raised.
        """
        tasks: list[_Task[Prepared, Made]] = []

        def taken() -> Iterator[_Runnable]:
            for work in works:
                task = _Task(work, self._clock)
                tasks.append(task)
                yield task

        for outcome in await self._caller.all(taken()):
            if outcome is not None:
                raise outcome
        return [task.made() for task in tasks]

    def update_meter(self) -> None:
        """Brings the meter up to date."""
        stats = self._caller.stats
        meter, clock = self._meter, self._clock
        meter.preprocess_s += clock.preprocess_s
        meter.queue_s += stats.queue_s
        meter.inference_s += clock.inference_s
        meter.compute_s += stats.compute_s
        self._clock = _Clock()


class _Clock:
    """What a call's runs took. Runners add to it; each addition is to one field."""

    def __init__(self) -> None:
        self._prepared: list[float] = []
        self._begun: list[float] = []
        self._ended: list[float] = []

    def note(self, asked_s: float, prepared_s: float, ended_s: float) -> None:
        self._prepared.append(prepared_s - asked_s)
        self._begun.append(prepared_s)
        self._ended.append(ended_s)

    @property
    def preprocess_s(self) -> float:
        return sum(self._prepared)

    @property
    def inference_s(self) -> float:
        return max(self._ended, default=0.0) - min(self._begun, default=0.0)


class _Runnable(Protocol):
    @property
    def length(self) -> int: ...

    def run(self) -> None: ...


class _Task(Generic[Prepared, Made]):
    """A work on its way through the queue, and then what it made."""

    __slots__ = ("_clock", "_made", "_work", "length")

    def __init__(self, work: ImageWork[Prepared, Made], clock: _Clock) -> None:
        self.length = work.cost
        self._work = work
        self._clock = clock
        self._made: list[Made] = []

    def run(self) -> None:
        asked_s = time.monotonic()
        prepared = self._work.prepare()
        prepared_s = time.monotonic()
        try:
            self._made.append(self._work.infer(prepared))
        finally:
            self._clock.note(asked_s, prepared_s, time.monotonic())

    def made(self) -> Made:
        """Returns what the run made, which must have ended well."""
        (made,) = self._made
        return made


def _run_each(tasks: Iterable[_Runnable]) -> list[Exception | None]:
    return [_error_of(task) for task in tasks]


def _error_of(task: _Runnable) -> Exception | None:
    try:
        task.run()
    except TriviumError as error:
        return error
    except NotFiniteError:
        return UnsupportedFeature("image", "what the model makes of it is not finite")
    except SessionError as error:
        _logger.warning("a model cannot be run on an image: %s", error)
        return UnsupportedFeature("image", "the model cannot be run on it")
    return None
