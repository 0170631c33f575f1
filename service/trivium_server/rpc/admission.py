"""Decides which calls are let in, and knows when the last one has left."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from trivium_server.errors import QueueFull, ServerDraining

# Soon enough to be worth a retry, late enough that something has finished by then.
_RETRY_AFTER_S = 1.0
# Watches have no deadline: without a cap of their own they would use up what all calls share.
_MAX_WATCHING = 512


class Admission:
    """Counts inference calls. Lives on the event loop; not for other threads.

    Health, reflection, model and admin calls are not counted: an operator gets through to a server that is full.
    """

    def __init__(self, max_concurrent_calls: int) -> None:
        self._max_concurrent_calls = max_concurrent_calls
        self._in_flight = 0
        self._watching = 0
        self._is_open = True
        self._idle = asyncio.Event()
        self._idle.set()
        self._fences: set[asyncio.Timeout] = set()
        self._was_cut = False
        self._end_s = 0.0
        self._end_is_known = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Inference calls that were let in and have not ended."""
        return self._in_flight

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Lets one call in for the time of the block. Raises ServerDraining or QueueFull at once."""
        if not self._is_open:
            raise ServerDraining(_RETRY_AFTER_S)
        if self._in_flight >= self._max_concurrent_calls:
            raise QueueFull(self._max_concurrent_calls, _RETRY_AFTER_S)
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    @contextmanager
    def fenced(self, fence: asyncio.Timeout) -> Iterator[None]:
        """Lets `cut` end a call whose time the fence limits, for the time of the block."""
        self._fences.add(fence)
        try:
            yield
        finally:
            self._fences.discard(fence)

    def cut(self) -> None:
        """Ends every call that is fenced, also those that wait for their caller; `was_cut` tells why its time is up."""
        self._was_cut = True
        now_s = asyncio.get_running_loop().time()
        for fence in self._fences:
            if not fence.expired():
                fence.reschedule(now_s)

    @property
    def was_cut(self) -> bool:
        """Calls were ended before they were finished, because the server stops."""
        return self._was_cut

    def announce_end(self, end_s: float) -> None:
        """Tells calls in flight until when they may go on, on the clock of time.monotonic()."""
        self._end_s = end_s
        self._end_is_known.set()

    async def end_announced(self) -> float:
        """Waits until the server begins to drain; returns when it will cut the calls that are left."""
        await self._end_is_known.wait()
        return self._end_s

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Counts a stream that only watches, which may last for ever. Raises QueueFull when there are too many."""
        if self._watching >= _MAX_WATCHING:
            raise QueueFull(_MAX_WATCHING, _RETRY_AFTER_S)
        self._watching += 1
        try:
            yield
        finally:
            self._watching -= 1

    @property
    def is_open(self) -> bool:
        """Calls are let in."""
        return self._is_open

    def close(self) -> None:
        """From now on refuses every call with ServerDraining."""
        self._is_open = False

    async def wait_idle(self, timeout_s: float) -> bool:
        """Waits until no call is in flight; False when some still are after timeout_s."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return not self._in_flight
        return True
