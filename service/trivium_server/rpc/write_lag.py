"""Ends a stream whose reader takes nothing while something waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from trivium_server.errors import StreamStalled


class WriteLag:
    """The writes of one stream, each of which may wait for its reader for limit_s seconds.

    grpc.aio returns from a write once HTTP/2's flow control has room for the message: measured, up to 4 MB of them
    before the reader has read one. One timer watches all writes, so that a token pays for no timer of its own.
    """

    __slots__ = ("_limit_s", "_send", "_since_s", "_timer", "_watch")

    def __init__(self, send: Callable[[bytes], Awaitable[None]], limit_s: float) -> None:
        self._send = send
        self._limit_s = limit_s
        self._since_s: float | None = None
        self._watch = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, raw: bytes) -> None:
        """Sends a message; within `limited` only."""
        self._since_s = time.monotonic()
        await self._send(raw)
        self._since_s = None

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Raises StreamStalled out of the block when a write in it has waited for too long. To be entered once."""
        self._look()
        try:
            async with self._watch:
                yield
        except TimeoutError:
            if self._watch.expired():
                raise StreamStalled(self._limit_s) from None
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _look(self) -> None:
        """Ends the block, or comes again when it may be time for it."""
        loop = asyncio.get_running_loop()
        waited_s = 0.0 if self._since_s is None else time.monotonic() - self._since_s
        if waited_s >= self._limit_s:
            self._watch.reschedule(loop.time())
        else:
            self._timer = loop.call_later(self._limit_s - waited_s, self._look)
