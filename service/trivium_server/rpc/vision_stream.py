"""A stream of frames: read as its policy says, answered in their order.

A reader takes frames from the caller, and the caller's own task takes what becomes of them and writes it. Where every
frame counts, the reader starts on each at once, so that one is decoded while another is analysed, and waits while
several were not taken. Where only the latest counts, the reader never waits, and keeps one.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias

from trivium.v1 import vision_pb2 as pb
from trivium_server.errors import FieldViolation, InvalidArgument, StreamProtocolViolation

MAX_FRAMES_AHEAD = 4
"""Frames of one stream that are under way, those included whose results were not taken; with every frame."""

Analyze: TypeAlias = Callable[[pb.VideoFrame], Awaitable[pb.FrameResult]]


class FrameStream:
    """One stream, after its setup. requests: the messages that follow. analyze: what it raises ends the stream."""

    def __init__(
        self, requests: AsyncIterator[pb.StreamAnalyzeImageRequest], analyze: Analyze, *, latest_only: bool
    ) -> None:
        self.num_analyzed = 0
        self.num_dropped = 0
        self._requests = requests
        self._analyze = analyze
        self._latest_only = latest_only

    async def results(self) -> AsyncGenerator[pb.FrameResult]:
        """Yields what became of each frame that was not dropped.

        Raises StreamProtocolViolation or InvalidArgument for a message of the caller, once the results of the frames
        before it were yielded, and what analyze raises. Wrap it in contextlib.aclosing.
        """
        source = self._latest() if self._latest_only else self._each()
        async with contextlib.aclosing(source) as results:
            async for result in results:
                self.num_analyzed += 1
                yield result

    async def _each(self) -> AsyncGenerator[pb.FrameResult]:
        room = asyncio.Semaphore(MAX_FRAMES_AHEAD)
        # One place more, for the end.
        begun: asyncio.Queue[asyncio.Future[pb.FrameResult] | None] = asyncio.Queue(MAX_FRAMES_AHEAD + 1)
        tasks: set[asyncio.Future[pb.FrameResult]] = set()

        async def read() -> None:
            try:
                async with contextlib.aclosing(self._frames()) as frames:
                    await room.acquire()
                    async for frame in frames:
                        task = asyncio.ensure_future(self._analyze(frame))
                        tasks.add(task)
                        begun.put_nowait(task)
                        await room.acquire()
            finally:
                begun.put_nowait(None)

        reader = asyncio.create_task(read(), name="frames to analyze")
        try:
            while (task := await begun.get()) is not None:
                yield await task
                tasks.discard(task)
                room.release()
            await reader
        finally:
            await _cancelled([reader, *tasks])

    async def _latest(self) -> AsyncGenerator[pb.FrameResult]:
        waiting: list[pb.VideoFrame] = []
        news = asyncio.Event()
        num_dropped = 0

        async def read() -> None:
            nonlocal num_dropped
            try:
                async with contextlib.aclosing(self._frames()) as frames:
                    async for frame in frames:
                        num_dropped += len(waiting)
                        waiting[:] = [frame]
                        news.set()
            finally:
                news.set()

        reader = asyncio.create_task(read(), name="frames to analyze")
        try:
            while True:
                if not waiting:
                    if reader.done():
                        break
                    news.clear()
                    await news.wait()
                    continue
                frame = waiting.pop()
                dropped_before, num_dropped = num_dropped, 0
                self.num_dropped += dropped_before
                result = await self._analyze(frame)
                result.dropped_before = dropped_before
                yield result
            await reader
        finally:
            await _cancelled([reader])

    async def _frames(self) -> AsyncGenerator[pb.VideoFrame]:
        last: int | None = None
        async for request in self._requests:
            match request.WhichOneof("request"):
                case "frame":
                    number = request.frame.frame_number
                    if last is not None and number <= last:
                        problem = f"is {number}; it must be greater than {last}, that of the frame before"
                        raise InvalidArgument(FieldViolation("frame.frame_number", problem))
                    last = number
                    yield request.frame
                case "setup":
                    raise StreamProtocolViolation("setup", "came again; only the first message may be a setup")
                case None:
                    raise InvalidArgument(FieldViolation("request", "is required: one of setup, frame"))


async def _cancelled(tasks: Iterable[asyncio.Future[pb.FrameResult] | asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
