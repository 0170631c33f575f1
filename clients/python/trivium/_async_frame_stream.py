"""The asynchronous client's stream of frames."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence

from trivium._async_embed_stream import iterate
from trivium._async_responses import AsyncResponses
from trivium._async_transport import AsyncStream, AsyncTransport
from trivium._calls import STREAM_ANALYZE_IMAGE, StreamCall
from trivium._frame_course import FrameCourse
from trivium._image_input import ImageInput
from trivium._retry import Deadline
from trivium._vision_features import Feature
from trivium.call_info import CallInfo
from trivium.settings import CallOptions
from trivium.v1 import vision_pb2
from trivium.vision import FrameAnalysis, VideoFrame

__all__ = ["AsyncFrameStream"]

_Request = vision_pb2.StreamAnalyzeImageRequest
_Response = vision_pb2.StreamAnalyzeImageResponse


class AsyncFrameStream(AsyncStream[_Request, _Response, FrameAnalysis]):
    """The results of a stream of frames, one FrameAnalysis for each that was not dropped, in their order. Iterate it.

        async for frame in client.vision.analyze_stream(camera, "detect", frame_policy="latest_only"):
            await show(frame.draw())

    A task takes the frames from the iterable and sends them while results arrive; with EVERY_FRAME only as fast as they
    are analysed. The call is sent when the first result is asked for. Reading to the end, leaving its `async with`
    block, breaking out of the `async for` loop, cancelling the task that reads, and aclose() each end the call, at the
    server too, and the task that takes the frames. Not for several tasks at once, except aclose().

    A frame that the server cannot read fails alone: its result has the error. Iterating raises what the iterable
    raised, and what a frame is refused with before it is sent, after the results of the frames before it;
    StreamIdleTimeout where a frame was sent and no result came for the idle limit; ConnectionLost where the connection
    broke; and any other TriviumError.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        frames: Iterable[ImageInput | VideoFrame] | AsyncIterable[ImageInput | VideoFrame],
        setup: vision_pb2.StreamAnalyzeImageSetup,
        features: Sequence[Feature],
        options: CallOptions,
        prepare: Callable[[Deadline], Awaitable[None]],
    ) -> None:
        limit_bytes = transport.settings.max_message_bytes
        self._frames = frames
        self._setup = setup
        self._source_error: BaseException | None = None
        self._gate = asyncio.Event()  # of the call under way; open from `started` on, and once it is over
        self._course = FrameCourse(features, options.request_id, limit_bytes, self._accepted)
        self._limit: asyncio.Timeout | None = None
        self._sender: asyncio.Task[object] | None = None
        call: StreamCall[_Request, _Response, FrameAnalysis]
        call = StreamCall(STREAM_ANALYZE_IMAGE, _Request(), self._course)
        super().__init__(transport, call, options, prepare)

    async def __aiter__(self) -> AsyncGenerator[FrameAnalysis, None]:
        events = self._events()
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
        if self._source_error is not None:
            raise self._source_error

    def _accepted(self) -> None:
        self._gate.set()

    @property
    def info(self) -> CallInfo | None:
        """What the call did. None before the end."""
        return self._course.info

    @property
    def analyzed_count(self) -> int:
        """How many frames have a result so far, those that failed included."""
        return self._course.analyzed_count

    @property
    def dropped_count(self) -> int:
        """How many frames were dropped so far."""
        return self._course.dropped_count

    def _close(self) -> None:
        super()._close()
        self._gate.set()
        if self._sender is not None:
            self._sender.cancel()  # gRPC leaves it waiting for the next frame where the server ended the call

    def _open(self, timeout_s: float | None) -> AsyncResponses[_Response]:
        self._gate.set()  # ends what gave the call before its requests
        self._gate = asyncio.Event()
        self._course.begin_call()
        return self._transport.open_both(STREAM_ANALYZE_IMAGE, self._requests(self._gate), self._options, timeout_s)

    async def _timed_read(self, responses: AsyncResponses[_Response]) -> _Response:
        async with asyncio.timeout(None) as limit:
            self._limit = limit
            self._watch()
            try:
                return await responses.read()
            finally:
                self._limit = None

    def _watch(self) -> None:
        """The idle limit counts while this side reads and the server owes something."""
        idle_s, limit = self._options.idle_timeout_s, self._limit
        if idle_s is None or limit is None or limit.when() is not None:
            return
        if self._course.is_owed_something:
            limit.reschedule(asyncio.get_running_loop().time() + idle_s)

    def _may_send(self, gate: asyncio.Event) -> bool:
        return gate is self._gate and self._course.has_started and not self._state.is_closed

    async def _requests(self, gate: asyncio.Event) -> AsyncIterator[_Request]:
        """Gives a call what it sends. Runs in a task of gRPC's."""
        yield _Request(setup=self._setup)
        await gate.wait()
        if not self._may_send(gate):
            return
        self._sender = asyncio.current_task()
        try:
            async for given in iterate(self._frames):
                request = await asyncio.to_thread(self._course.request, given)
                self._course.note_sent(request)
                self._watch()
                yield request
        except Exception as raised:  # noqa: BLE001  # whatever the caller's iterable raises is raised to the caller
            self._source_error = raised
        self._sender = None
        self._course.is_source_over = True
        self._watch()
