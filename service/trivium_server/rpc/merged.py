"""Events of several tasks as one stream."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Merged(Generic[Event]):
    """Takes events with `put`, which waits until the one before was taken, and yields them with `events`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(1)
        self._news = asyncio.Event()

    async def put(self, event: Event) -> None:
        """Adds an event. For the tasks of `events`."""
        await self._queue.put(event)
        self._news.set()

    async def events(
        self, main: Coroutine[object, object, None], *others: Coroutine[object, object, None]
    ) -> AsyncGenerator[Event]:
        """Runs these together, and yields what they put until `main` has ended.

        What one of them raises is raised here, after the events that were put before. Wrap it in contextlib.aclosing:
        leaving cancels all of them, and waits for them.
        """
        tasks = [asyncio.create_task(coroutine) for coroutine in (main, *others)]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                while not self._queue.empty():
                    yield self._queue.get_nowait()
                    # Lets the next one come, so that what it raises instead is not heard before it.
                    await asyncio.sleep(0)
                for task in tasks:
                    if task.done():
                        task.result()
                if tasks[0].done() and self._queue.empty():
                    return
                if self._queue.empty():
                    await self._news.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
