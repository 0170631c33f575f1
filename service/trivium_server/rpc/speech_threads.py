"""Threads for sound: those that decode and encode it, and one that keeps what is sent in pieces."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
# A thread that is still at work when its call is cancelled is waited for as long.
_LEAVE_S = 5.0


class SpeechThreads:
    """Shared by all calls of a server. For the event loop."""

    def __init__(self, num_coders: int) -> None:
        self.coders: Executor = ThreadPoolExecutor(num_coders, thread_name_prefix="sound")
        # One, so that what is done with a file is done in order.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="sound-files")

    async def code(self, work: Callable[[], _T]) -> _T:
        """Decodes or encodes. A call that is cancelled leaves once the work is done: what it works on may be closed."""
        return await _finished(self.coders, work)

    async def write(self, work: Callable[[], _T]) -> _T:
        """Does something with a temporary file; in the order of the calls, as `later`."""
        return await _finished(self._disk, work)

    def later(self, work: Callable[[], object]) -> None:
        """Does something with a temporary file, for which nobody waits."""
        try:
            self._disk.submit(work)
        except RuntimeError:  # the server stops, and takes no more work
            work()

    def close(self) -> None:
        """Takes no more work; what was begun is finished."""
        self.coders.shutdown(wait=False)
        self._disk.shutdown(wait=False)


async def _finished(pool: Executor, work: Callable[[], _T]) -> _T:
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future], timeout=_LEAVE_S)
        if future.done() and not future.cancelled():
            future.exception()  # nobody is left to hear of it
        raise
