"""The blocking client's stream of frames."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from trivium._calls import STREAM_ANALYZE_IMAGE, StreamCall
from trivium._frame_course import FrameCourse
from trivium._image_input import ImageInput
from trivium._retry import Deadline
from trivium._sync_transport import Responses, SyncStream, SyncTransport
from trivium._vision_features import Feature
from trivium.call_info import CallInfo
from trivium.settings import CallOptions
from trivium.v1 import vision_pb2
from trivium.vision import FrameAnalysis, VideoFrame

__all__ = ["FrameStream"]

_Request = vision_pb2.StreamAnalyzeImageRequest
_Response = vision_pb2.StreamAnalyzeImageResponse


class FrameStream(SyncStream[_Request, _Response, FrameAnalysis]):
    """The results of a stream of frames, one FrameAnalysis for each that was not dropped, in their order. Iterate it.

        for frame in client.vision.analyze_stream(camera, "detect", frame_policy="latest_only"):
            show(frame.draw())

    A thread takes the frames from the iterable and sends them while results arrive; with EVERY_FRAME only as fast as
    they are analysed. The call is sent when the first result is asked for. Reading to the end, leaving its `with`
    block, breaking out of the `for` loop and close() each end the call, at the server too, and the thread as soon as
    the iterable returns. Not for several threads at once, except close().

    A frame that the server cannot read fails alone: its result has the error. Iterating raises what the iterable
    raised, and what a frame is refused with before it is sent, after the results of the frames before it;
    StreamIdleTimeout where a frame was sent and no result came for the idle limit; ConnectionLost where the connection
    broke; and any other TriviumError.
    """

    def __init__(
        self,
        transport: SyncTransport,
        frames: Iterable[ImageInput | VideoFrame],
        setup: vision_pb2.StreamAnalyzeImageSetup,
        features: Sequence[Feature],
        options: CallOptions,
        prepare: Callable[[Deadline], None],
    ) -> None:
        limit_bytes = transport.settings.max_message_bytes
        self._frames = frames
        self._setup = setup
        self._source_error: BaseException | None = None
        self._gate = threading.Event()  # of the call under way; open from `started` on, and once it is over
        self._course = FrameCourse(features, options.request_id, limit_bytes, self._accepted)
        self._lock = threading.Lock()  # guards the idle watch
        self._is_reading = False
        call: StreamCall[_Request, _Response, FrameAnalysis]
        call = StreamCall(STREAM_ANALYZE_IMAGE, _Request(), self._course)
        super().__init__(transport, call, options, prepare)

    def __iter__(self) -> Iterator[FrameAnalysis]:
        yield from self._events()
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

    def close(self) -> None:
        super().close()
        self._gate.set()

    def _open(self, timeout_s: float | None) -> Responses[_Response]:
        self._gate.set()  # ends what gave the call before its requests
        self._gate = threading.Event()
        self._course.begin_call()
        if self._state.is_closed:  # by another thread, which set the gate of the call before
            self._gate.set()
        return self._transport.open_both(STREAM_ANALYZE_IMAGE, self._requests(self._gate), self._options, timeout_s)

    def _timed_next(self, responses: Responses[_Response]) -> _Response:
        with self._lock:
            self._is_reading = True
            self._watch()
        try:
            return next(responses)
        finally:
            with self._lock:
                self._is_reading = False
                if self._wait is not None:
                    self._wait.end()

    def _watch(self) -> None:
        """The idle limit counts while this side reads and the server owes something."""
        is_owed = self._is_reading and self._course.is_owed_something
        if self._wait is not None and self._wait.since is None and is_owed:
            self._wait.begin()

    def _may_send(self, gate: threading.Event) -> bool:
        return gate is self._gate and self._course.has_started and not self._state.is_closed

    def _requests(self, gate: threading.Event) -> Iterator[_Request]:
        """Gives a call what it sends. Runs in a thread of gRPC's."""
        yield _Request(setup=self._setup)
        gate.wait()
        if not self._may_send(gate):
            return
        try:
            for given in self._frames:
                if not self._may_send(gate):
                    return
                request = self._course.request(given)
                self._course.note_sent(request)
                with self._lock:
                    self._watch()
                yield request
        except GeneratorExit:
            raise  # the call is over
        except BaseException as raised:  # noqa: BLE001  # whatever the caller's iterable raises is raised to the caller
            self._source_error = raised
        self._course.is_source_over = True
        with self._lock:
            self._watch()
