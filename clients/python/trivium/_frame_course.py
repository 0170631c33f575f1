"""Where a stream of frames stands. Pure; both kinds of streams share it.

A stream that breaks is not sent again: frames are of the moment, and a caller that wants to go on opens another.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from google.protobuf.duration_pb2 import Duration

from trivium._calls import duration
from trivium._error_base import TruncatedStream
from trivium._image_input import encoded
from trivium._vision_calls import ResultParser, parse_image_info
from trivium._vision_features import Feature
from trivium.call_info import CallInfo, parse_call_info
from trivium.v1 import common_pb2, vision_pb2
from trivium.vision import FrameAnalysis, VideoFrame

KEPT_BYTES = 64 * 1024 * 1024
"""Of the frames that have no result yet, the newest ones are kept for draw(), up to this."""


class FrameCourse:
    """What was sent, what has arrived, and what is owed. One side sends and another reads, at the same time.

    on_started: called when the server has accepted the setup. Nothing but the setup is sent before: a call that is sent
    again must find every frame still there, and grpc.aio would hide why it was refused.
    """

    def __init__(
        self, features: Sequence[Feature], request_id: str, limit_bytes: int, on_started: Callable[[], None]
    ) -> None:
        self._parse = ResultParser(features, request_id)
        self._limit_bytes = limit_bytes
        self._on_started = on_started
        self._next_sequence = 0
        self._next_frame = 0
        self._last_sent = self._last_answered = -1
        self._unanswered: deque[tuple[int, bytes]] = deque()
        self._kept_bytes = 0
        self._lock = threading.Lock()  # guards these two: of the blocking stream, the two sides are threads
        self.has_started = False
        self.is_source_over = False
        self.is_complete = False
        self.info: CallInfo | None = None
        self.analyzed_count = 0
        self.dropped_count = 0

    @property
    def is_owed_something(self) -> bool:
        """Whether it is the server's turn: to accept the setup, to answer a frame, or to end the stream."""
        return not self.has_started or self.is_source_over or self._last_sent > self._last_answered

    def begin_call(self) -> None:
        """The setup is sent, for the first time or again."""
        self._next_sequence = 0

    def request(self, given: object) -> vision_pb2.StreamAnalyzeImageRequest:
        """Builds the message of the next frame. Raises as encoded() does, ValueError for a number out of order."""
        frame = given if isinstance(given, VideoFrame) else None
        number = self._next_frame if frame is None or frame.frame_number is None else frame.frame_number
        if number < self._next_frame:
            raise ValueError(f"frame_number is {number}; it must be at least {self._next_frame} here")
        image = encoded(given if frame is None else frame.image, self._limit_bytes)
        time_s = None if frame is None else frame.media_time_s
        message = vision_pb2.VideoFrame(
            frame_number=number, media_time=duration(time_s), image=common_pb2.Media(content=image)
        )
        self._next_frame = number + 1
        return vision_pb2.StreamAnalyzeImageRequest(frame=message)

    def note_sent(self, request: vision_pb2.StreamAnalyzeImageRequest) -> None:
        """A frame goes out."""
        frame = request.frame
        with self._lock:
            self._unanswered.append((frame.frame_number, frame.image.content))
            self._kept_bytes += len(frame.image.content)
            while self._kept_bytes > KEPT_BYTES:
                self._forget_oldest()
            self._last_sent = frame.frame_number

    def _forget_oldest(self) -> bytes:
        image = self._unanswered.popleft()[1]
        self._kept_bytes -= len(image)
        return image

    def feed(self, response: vision_pb2.StreamAnalyzeImageResponse) -> FrameAnalysis | None:
        """Takes the next message. Raises TruncatedStream where one before it is missing."""
        if response.sequence != self._next_sequence:
            raise TruncatedStream(f"event {self._next_sequence} of the stream is missing; {response.sequence} came")
        self._next_sequence += 1
        match response.WhichOneof("event"):
            case "started":
                self.has_started = True
                self._on_started()
            case "frame":
                return self._analysis(response.frame)
            case "completed":
                self.info = parse_call_info(response.completed.info)
                self.analyzed_count = response.completed.analyzed_count
                self.dropped_count = response.completed.dropped_count
                self.is_complete = True
            case None:
                pass
        return None

    def end(self) -> None:
        """Raises TruncatedStream where `completed` did not arrive."""
        if not self.is_complete:
            raise TruncatedStream("the stream ended without its terminal event; frames may have no result")

    def _analysis(self, raw: vision_pb2.FrameResult) -> FrameAnalysis:
        self._last_answered = raw.frame_number
        self.analyzed_count += 1
        self.dropped_count += raw.dropped_before
        sent = self._sent(raw.frame_number)
        error = self._parse.error(raw) if raw.HasField("error") else None
        image = parse_image_info(raw.image) if error is None else None
        return FrameAnalysis(
            frame_number=raw.frame_number,
            media_time_s=_seconds(raw.media_time) if raw.HasField("media_time") else None,
            dropped_before=raw.dropped_before,
            image=image,
            results=() if image is None else self._parse.results(raw.results, image, None, sent),
            error=error,
            sent=sent,
            raw=raw,
        )

    def _sent(self, number: int) -> bytes:
        """Returns the image of a frame, nothing where it was not kept; those before it were dropped."""
        with self._lock:
            while self._unanswered and self._unanswered[0][0] < number:
                self._forget_oldest()
            is_there = self._unanswered and self._unanswered[0][0] == number
            return self._forget_oldest() if is_there else b""


def _seconds(given: Duration) -> float:
    return given.seconds + given.nanos / 1e9
