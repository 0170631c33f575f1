"""Who of those that wait is decoded next: those that take little before those that take much, within bounds."""

import asyncio
import bisect
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from trivium_server.architectures.image.memory_budget import MemoryBudget

# What waits comes in the order of when it came and of its bytes at this rate: the largest lets others pass for some
# seconds.
_BYTES_PER_S = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """The right to decode one image, in memory of its own."""

    num_bytes: int
    is_small: bool
    due_s: float
    has_come: asyncio.Future[None]


class Turns:
    """Threads and memory for images that are decoded. For the event loop, but for what it says of memory.

    As many large images are decoded at once as there are threads; one more thread is for small ones. A small one passes
    large ones that wait, for threads and for memory. Once a large one is due and lacks memory, small ones have no more
    of it than their share, so that it comes at last; once it is due, it has the next thread.
    """

    def __init__(self, num_threads: int, num_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.memory = MemoryBudget(num_bytes, self._on_given)
        self._num_threads = num_threads
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._small: list[Turn] = []
        self._large: list[Turn] = []
        self._num_running = 0
        self._num_large_running = 0

    async def take(self, num_bytes: int) -> Turn:
        """Waits for a thread and for memory, which may be no more than half of what there is in all.

        Pair it with `end` for the thread, and with memory.give for the memory. Cancelling it leaves the line.
        """
        self._loop = asyncio.get_running_loop()
        turn = Turn(
            num_bytes=num_bytes,
            is_small=self.memory.is_small(num_bytes),
            due_s=self._clock() + num_bytes / _BYTES_PER_S,
            has_come=self._loop.create_future(),
        )
        bisect.insort(self._line(turn), turn, key=lambda other: other.due_s)
        self._let_in()
        try:
            await turn.has_come
        except asyncio.CancelledError:
            if turn.has_come.cancelled():
                if turn in self._line(turn):
                    self._line(turn).remove(turn)
                self._let_in()
            else:
                self.end(turn)
                self.memory.give(num_bytes, was_small=turn.is_small)
            raise
        return turn

    def end(self, turn: Turn) -> None:
        """Gives the thread back."""
        self._num_running -= 1
        self._num_large_running -= not turn.is_small
        self._let_in()

    def _line(self, turn: Turn) -> list[Turn]:
        return self._small if turn.is_small else self._large

    def _let_in(self) -> None:
        while turn := self._next():
            self._line(turn).remove(turn)
            if turn.has_come.cancelled():
                continue
            self.memory.take(turn.num_bytes)
            self._num_running += 1
            self._num_large_running += not turn.is_small
            turn.has_come.set_result(None)

    def _next(self) -> Turn | None:
        if self._num_running > self._num_threads:
            return None
        large = self._large[0] if self._large else None
        is_due = large is not None and large.due_s <= self._clock()
        has_memory = large is not None and self.memory.has(large.num_bytes)
        has_thread = self._num_large_running < self._num_threads
        if is_due and has_memory and has_thread:
            return large
        if self._small and self.memory.has(self._small[0].num_bytes, within_share=is_due and not has_memory):
            return self._small[0]
        return large if has_memory and has_thread else None

    def _on_given(self) -> None:
        # On any thread: whoever comes into line later sees what was given.
        loop = self._loop
        if loop is not None and (self._small or self._large):
            # It may be closing.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._let_in)
