"""One caller of a batcher: hands in items within a window, takes what they ended with."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from trivium_server.errors import DeadlineExceeded, QueueTimeout
from trivium_server.runtime.batch_forming import Item
from trivium_server.runtime.fair_queue import Lane

Result = TypeVar("Result")


# The place of an item among its caller's items, from 0, and its result or what went wrong with it.
Ended = tuple[int, Result | Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerStats:
    """What a caller's items have cost so far.

    queue_s: until the first of them ran. inference_s: from then until the last result. compute_s: their share, by
    tokens, of the runners' time.
    """

    num_items: int
    tokens: int
    queue_s: float
    inference_s: float
    compute_s: float


class Job(Generic[Item, Result]):
    """An item under way, and whose it is."""

    __slots__ = ("caller", "index", "item", "length")

    def __init__(self, caller: "Caller[Item, Result]", index: int, item: Item) -> None:
        self.caller = caller
        self.index = index
        self.item = item
        self.length = item.length


class Caller(Generic[Item, Result]):
    """A context manager: leaving it drops what still waits. For the event loop; one all() or stream() at a time.

    Both raise QueueTimeout or DeadlineExceeded when the deadline passes while something waits, and CallAborted when the
    batcher is closed. An item that fails ends with its exception in place of its result, and leaves the others alone.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        window_tokens: int,
        submit: Callable[[Sequence[Job[Item, Result]]], None],
        leave: Callable[[], None],
    ) -> None:
        self.lane = lane
        self._window_tokens = window_tokens
        self._submit = submit
        self._leave = leave
        self._opened_s = time.monotonic()
        self._num_submitted = 0
        self._num_under_way = 0
        self._tokens_under_way = 0
        self._tokens = 0
        self._started_s: float | None = None
        self._ended_s = 0.0
        self._compute_s = 0.0
        self._failure: Exception | None = None
        self._has_left = False
        self._feeder: asyncio.Task[None] | None = None
        # Appended to by runners, drained on the event loop; deque operations are atomic.
        self._received: deque[tuple[Job[Item, Result], Result | Exception]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._has_left = True
        if self._feeder is not None:
            self._feeder.cancel()
        self._leave()
        self._received.clear()

    @property
    def stats(self) -> CallerStats:
        started = self._started_s
        return CallerStats(
            num_items=self._num_submitted - self._num_under_way,
            tokens=self._tokens,
            queue_s=(time.monotonic() if started is None else started) - self._opened_s,
            inference_s=0.0 if started is None else max(0.0, self._ended_s - started),
            compute_s=self._compute_s,
        )

    async def all(self, items: Iterable[Item]) -> list[Result | Exception]:
        """Returns what each item ended with, in the order of the items, however many they are.

        Takes from items on the event loop, no more at a time than the window holds.
        """
        first = self._num_submitted
        outcomes: dict[int, Result | Exception] = {}
        source = iter(items)
        item = next(source, None)
        while item is not None or self._num_under_way:
            fitting = []
            while item is not None and self._take_room(item.length):
                fitting.append(item)
                item = next(source, None)
            self._send(fitting)
            while not self._received:
                await self._wait()
            outcomes.update(self._take())
        return [outcomes[index] for index in range(first, self._num_submitted)]

    async def stream(self, items: AsyncIterable[Item]) -> AsyncGenerator[Sequence[Ended[Result]], None]:
        """Yields items as they end, in no order, many at once where many ended at once; none is empty.

        Reads items while the window has room, and so pauses when the results are not taken. What items raises ends the
        stream. Wrap it in contextlib.aclosing.
        """
        self._feeder = asyncio.create_task(self._feed(items))
        self._feeder.add_done_callback(self._on_fed)
        try:
            while True:
                if self._received:
                    yield self._take()
                elif not self._feeder.done():
                    await self._wait()
                else:
                    self._feeder.result()
                    if not self._num_under_way:
                        return
                    await self._wait()
        finally:
            self._feeder.cancel()
            await asyncio.wait([self._feeder], timeout=1.0)

    async def _feed(self, items: AsyncIterable[Item]) -> None:
        async for item in items:
            while not self._take_room(item.length):
                self._room.clear()
                await self._room.wait()
            self._send([item])

    def _on_fed(self, feeder: asyncio.Task[None]) -> None:
        if not feeder.cancelled():
            # Marks it as seen: a stream that ends for another reason does not ask for it.
            feeder.exception()
        self.wake()

    def _take_room(self, length: int) -> bool:
        """Books an item into the window; one that is longer than the whole window goes alone."""
        if self._tokens_under_way and self._tokens_under_way + length > self._window_tokens:
            return False
        self._tokens_under_way += length
        return True

    def _send(self, items: Sequence[Item]) -> None:
        if items:
            first = self._num_submitted
            self._num_submitted += len(items)
            self._num_under_way += len(items)
            self._submit([Job(self, index, item) for index, item in enumerate(items, first)])

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._news.clear()
        await self._news.wait()

    def _take(self) -> list[Ended[Result]]:
        ended = []
        while self._received:
            job, outcome = self._received.popleft()
            ended.append((job.index, outcome))
            self._tokens_under_way -= job.length
            self._tokens += job.length
        self._num_under_way -= len(ended)
        self._room.set()
        return ended

    def put(self, job: Job[Item, Result], outcome: Result | Exception, *, compute_s: float) -> None:
        """Ends an item. For runners, under the batcher's lock; wake must follow on the event loop."""
        if not self._has_left:
            self._received.append((job, outcome))
            self._compute_s += compute_s
            self._ended_s = time.monotonic()

    def started(self, now_s: float) -> None:
        """Notes that the first item runs. For runners."""
        if self._started_s is None:
            self._started_s = now_s

    def expire(self) -> None:
        """Ends the call because its deadline passed while something waited; wake must follow on the event loop."""
        if self._started_s is None:
            self.fail(QueueTimeout())
        else:
            self.fail(DeadlineExceeded(round(self.lane.deadline_s - self._opened_s, 3)))

    def fail(self, error: Exception) -> None:
        """Ends the call, once; wake must follow on the event loop."""
        if self._failure is None:
            self._failure = error

    def wake(self) -> None:
        self._news.set()
