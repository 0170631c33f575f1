"""The blocking client's streams of speech: sound in and text out, and text in and sound out."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from trivium._calls import STREAM_RECOGNIZE, STREAM_SYNTHESIZE, Method, StreamCall
from trivium._error_base import CallCancelledError
from trivium._retry import Deadline
from trivium._speech_course import (
    KEEP_ALIVE_S,
    EventT,
    RecognitionCourse,
    RequestT,
    ResponseT,
    SpeechCourse,
    SynthesisCourse,
    marker_request,
    speaking_request,
)
from trivium._speech_format import GoAway
from trivium._speech_heard import RecognitionEvent, RecognitionMarker, RecognitionReady, TranscriptUpdate
from trivium._speech_input import SoundChunk
from trivium._speech_spoken import AudioChunk, SynthesisEvent, SynthesisMarker, SynthesisReady
from trivium._sync_transport import Responses, SyncStream, SyncTransport
from trivium.call_info import CallInfo
from trivium.settings import CallOptions
from trivium.v1 import speech_pb2

__all__ = ["SpeechStream", "TranscriptStream"]

_ItemT = TypeVar("_ItemT")
_AHEAD = 8
"""So many messages are taken from the caller's iterable before they are sent."""


class _Outbox(Generic[_ItemT]):
    """What is to be sent, in its order. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[_ItemT] = deque()
        self._is_over = False

    def put(self, item: _ItemT, *, limit: int | None = None) -> bool:
        """Adds an item, with a limit once fewer than that many are there. False where nothing is sent any more."""
        with self._changed:
            while limit is not None and len(self._waiting) >= limit and not self._is_over:
                self._changed.wait()
            if not self._is_over:
                self._waiting.append(item)
                self._changed.notify_all()
            return not self._is_over

    def take(self, idle: _ItemT | None) -> _ItemT | None:
        """Waits for an item. None after the last; `idle`, where it is given, after KEEP_ALIVE_S without any."""
        with self._changed:
            while not self._waiting and not self._is_over:
                if not self._changed.wait(None if idle is None else KEEP_ALIVE_S):
                    return idle
            self._changed.notify_all()
            return self._waiting.popleft() if self._waiting else None

    def end(self, *, drop: bool = False) -> None:
        """Nothing is added any more. drop: what is there is not sent either."""
        with self._changed:
            self._is_over = True
            if drop:
                self._waiting.clear()
            self._changed.notify_all()


class SyncSpeechStream(SyncStream[RequestT, ResponseT, EventT]):
    """A stream whose requests come from an iterable, and from methods that any thread may call."""

    def __init__(
        self,
        transport: SyncTransport,
        method: Method[RequestT, ResponseT],
        source: Iterable[object],
        course: SpeechCourse[RequestT, ResponseT, EventT],
        options: CallOptions,
        prepare: Callable[[Deadline], None],
    ) -> None:
        self._source = source
        self._source_error: BaseException | None = None
        self._gate = threading.Event()  # of the call under way; open from `ready` on, and once it is over
        self._outbox: _Outbox[RequestT] = _Outbox()
        self._duplex = course
        self._lock = threading.Lock()  # guards the idle watch
        self._is_reading = False
        course.on_started = self._accepted
        super().__init__(transport, StreamCall(method, course.setup, course), options, prepare)

    @property
    def info(self) -> CallInfo | None:
        """What the call did. None before the end."""
        return self._duplex.info

    @property
    def duration_s(self) -> float | None:
        """How long the sound is, in seconds. None before the end."""
        return self._duplex.duration_s

    @property
    def go_away(self) -> GoAway | None:
        """What the server said last about the end of this stream, where it will end it soon; else None."""
        return self._duplex.go_away

    def events(self) -> Iterator[EventT]:
        """Iterates all events."""
        try:
            yield from self._events()
        except CallCancelledError:
            if self._source_error is None:
                raise
        if self._source_error is not None:
            raise self._source_error

    def finish(self) -> None:
        """Ends the sending: what the iterable gives from here on is not sent. From any thread, and more than once.

        What was sent is answered to its end, so that iterating goes on until that has arrived.
        """
        self._outbox.end()

    def close(self) -> None:
        super().close()
        self._outbox.end(drop=True)
        self._gate.set()

    def _say(self, request: RequestT) -> bool:
        return self._outbox.put(request)

    def _accepted(self) -> None:
        threading.Thread(target=self._pull, name="trivium-speech-source", daemon=True).start()
        self._gate.set()

    def _pull(self) -> None:
        """Reads the source. Runs in a thread of its own, so that nothing waits for it that is said meanwhile."""
        try:
            for given in self._source:
                for request in self._duplex.requests(given):
                    if not self._outbox.put(request, limit=_AHEAD):
                        return
        except BaseException as raised:  # noqa: BLE001  # whatever the caller's iterable raises is raised to the caller
            self._source_error = raised
            if self._duplex.needs_whole_source:
                self.close()
        self._outbox.end()

    def _open(self, timeout_s: float | None) -> Responses[ResponseT]:
        self._gate.set()  # ends what gave the call before its requests
        self._gate = threading.Event()
        self._duplex.begin_call()
        if self._state.is_closed:  # by another thread, which set the gate of the call before
            self._gate.set()
        return self._transport.open_both(self._call.method, self._requests(self._gate), self._options, timeout_s)

    def _requests(self, gate: threading.Event) -> Iterator[RequestT]:
        """Gives a call what it sends. Runs in a thread of gRPC's."""
        yield self._duplex.setup
        gate.wait()
        if gate is not self._gate or not self._duplex.has_started:
            return
        while (request := self._outbox.take(self._duplex.keep_alive)) is not None:
            yield request
        self._duplex.is_source_over = True
        with self._lock:
            self._watch()

    def _timed_next(self, responses: Responses[ResponseT]) -> ResponseT:
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
        is_owed = self._is_reading and self._duplex.is_owed_something
        if self._wait is not None and self._wait.since is None and is_owed:
            self._wait.begin()


class TranscriptStream(
    SyncSpeechStream[speech_pb2.StreamRecognizeRequest, speech_pb2.StreamRecognizeResponse, RecognitionEvent]
):
    r"""What is said in live sound, while it is spoken. Iterating it gives TranscriptUpdate.

        for update in client.speech.stream(microphone, sample_rate_hz=16000):
            print(update.text, end="\n" if update.is_final else "\r")

    A thread takes the chunks from the iterable, and another sends them while results arrive; a server that is behind
    holds them back. An iterable may pause for as long as it likes: the server is told that it is still there. The call
    is sent when the first event is asked for. Reading to the end, leaving its `with` block, breaking out of the `for`
    loop and close() each end the call, at the server too, and the threads as soon as the iterable returns. Not for
    several threads at once, except close(), finish(), finalize() and keep_alive().

    Iterating raises what the iterable raised, and what a chunk is refused with before it is sent, after the results of
    the chunks before it; StreamIdleTimeout where the server owed an answer for the idle limit; ConnectionLost where the
    connection broke; TruncatedStream where the end is missing; and any other TriviumError.
    """

    def __init__(
        self,
        transport: SyncTransport,
        chunks: Iterable[SoundChunk | RecognitionMarker],
        course: RecognitionCourse,
        options: CallOptions,
        prepare: Callable[[Deadline], None],
    ) -> None:
        self._course = course
        super().__init__(transport, STREAM_RECOGNIZE, chunks, course, options, prepare)

    def __iter__(self) -> Iterator[TranscriptUpdate]:
        for event in self.events():
            if isinstance(event, TranscriptUpdate):
                yield event

    @property
    def ready(self) -> RecognitionReady | None:
        """The model, and the format in which sound is expected. None until the server accepted the stream."""
        return self._course.ready

    @property
    def text(self) -> str:
        """The final texts so far, with a space between two; also after a failure."""
        return " ".join(self._course.final_texts)

    def finalize(self) -> None:
        """Asks for a final result for what was given so far; the stream goes on. From any thread."""
        self._say(marker_request(RecognitionMarker.FINALIZE))

    def keep_alive(self) -> None:
        """Says that the caller is still there while it has nothing to send. From any thread."""
        self._say(marker_request(RecognitionMarker.KEEP_ALIVE))


class SpeechStream(
    SyncSpeechStream[speech_pb2.StreamSynthesizeRequest, speech_pb2.StreamSynthesizeResponse, SynthesisEvent]
):
    """The sound of a text that is spoken while it is written. Iterating it gives AudioChunk.

        for chunk in client.speech.speak_stream(answer_of_a_model):
            play(chunk.audio)

    A thread takes the fragments from the iterable, and another sends them while sound arrives. The call is sent when
    the first event is asked for. Reading to the end, leaving its `with` block, breaking out of the `for` loop and
    close() each end the call, at the server too, and the threads as soon as the iterable returns. Not for several
    threads at once, except close(), finish(), flush() and interrupt().

    Iterating raises as TranscriptStream does.
    """

    def __init__(
        self,
        transport: SyncTransport,
        fragments: Iterable[str | SynthesisMarker],
        course: SynthesisCourse,
        options: CallOptions,
        prepare: Callable[[Deadline], None],
    ) -> None:
        self._course = course
        super().__init__(transport, STREAM_SYNTHESIZE, fragments, course, options, prepare)

    def __iter__(self) -> Iterator[AudioChunk]:
        for event in self.events():
            if isinstance(event, AudioChunk):
                yield event

    @property
    def ready(self) -> SynthesisReady | None:
        """The model, and the format of the sound. None until the server accepted the stream."""
        return self._course.ready

    def flush(self) -> None:
        """Speaks what was given so far without waiting for the end of its sentence. From any thread."""
        self._say(speaking_request(SynthesisMarker.FLUSH))

    def interrupt(self) -> bool:
        """Forgets what was given and is not spoken yet; a SpeechInterrupted among events() says what. From any thread.

        Of sound without a header, what the server had made ahead is left out, too, so that the next AudioChunk is of
        what the iterable gives later. False once the iterable has ended: then all text is with the server, which cannot
        be told any more, and close() stops the sound.
        """
        if not self._say(speaking_request(SynthesisMarker.INTERRUPT)):
            return False
        self._course.interrupt()
        return True
