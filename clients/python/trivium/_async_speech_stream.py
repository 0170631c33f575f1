"""The asynchronous client's streams of speech: sound in and text out, and text in and sound out."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from trivium._async_embed_stream import iterate
from trivium._async_responses import AsyncResponses
from trivium._async_transport import AsyncStream, AsyncTransport
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
from trivium.call_info import CallInfo
from trivium.settings import CallOptions
from trivium.v1 import speech_pb2

__all__ = ["AsyncSpeechStream", "AsyncTranscriptStream"]

_ItemT = TypeVar("_ItemT")
_AHEAD = 8
"""So many messages are taken from the caller's iterable before they are sent."""


class _Outbox(Generic[_ItemT]):
    """What is to be sent, in its order. For one event loop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._waiting: deque[_ItemT] = deque()
        self._is_over = False

    def put(self, item: _ItemT) -> bool:
        """Adds an item. False where nothing is sent any more."""
        if not self._is_over:
            self._waiting.append(item)
            self._changed.set()
        return not self._is_over

    async def has_room(self) -> bool:
        """Waits until few enough items are there. False where nothing is sent any more."""
        while len(self._waiting) >= _AHEAD and not self._is_over:
            await self._change()
        return not self._is_over

    async def take(self, idle: _ItemT | None) -> _ItemT | None:
        """Waits for an item. None after the last; `idle`, where it is given, after KEEP_ALIVE_S without any."""
        try:
            async with asyncio.timeout(None if idle is None else KEEP_ALIVE_S):
                while not self._waiting and not self._is_over:
                    await self._change()
        except TimeoutError:
            return idle
        self._changed.set()
        return self._waiting.popleft() if self._waiting else None

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def end(self, *, drop: bool = False) -> None:
        """Nothing is added any more. drop: what is there is not sent either."""
        self._is_over = True
        if drop:
            self._waiting.clear()
        self._changed.set()


class BaseAsyncSpeechStream(AsyncStream[RequestT, ResponseT, EventT]):
    """A stream whose requests come from an iterable, and from methods that any task may call."""

    def __init__(
        self,
        transport: AsyncTransport,
        method: Method[RequestT, ResponseT],
        source: Iterable[object] | AsyncIterable[object],
        course: SpeechCourse[RequestT, ResponseT, EventT],
        options: CallOptions,
        prepare: Callable[[Deadline], Awaitable[None]],
    ) -> None:
        self._source = source
        self._source_error: BaseException | None = None
        self._gate = asyncio.Event()  # of the call under way; open from `ready` on, and once it is over
        self._outbox: _Outbox[RequestT] = _Outbox()
        self._duplex = course
        self._limit: asyncio.Timeout | None = None
        self._puller: asyncio.Task[None] | None = None
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

    async def events(self) -> AsyncGenerator[EventT, None]:
        """Iterates all events."""
        events = self._events()
        try:
            async for event in events:
                yield event
        except CallCancelledError:
            if self._source_error is None:
                raise
        finally:
            await events.aclose()
        if self._source_error is not None:
            raise self._source_error

    def finish(self) -> None:
        """Ends the sending: what the iterable gives from here on is not sent. From any task, and more than once.

        What was sent is answered to its end, so that iterating goes on until that has arrived.
        """
        self._outbox.end()

    def _close(self) -> None:
        super()._close()
        self._outbox.end(drop=True)
        self._gate.set()
        if self._puller is not None:
            self._puller.cancel()

    def _say(self, request: RequestT) -> bool:
        return self._outbox.put(request)

    def _accepted(self) -> None:
        self._puller = asyncio.create_task(self._pull())
        self._gate.set()

    async def _pull(self) -> None:
        """Reads the source. A task of its own, so that nothing waits for it that is said meanwhile."""
        try:
            async for given in iterate(self._source):
                for request in self._duplex.requests(given):
                    if not await self._outbox.has_room():
                        return
                    self._outbox.put(request)
        except Exception as raised:  # noqa: BLE001  # whatever the caller's iterable raises is raised to the caller
            self._source_error = raised
            if self._duplex.needs_whole_source:
                self._puller = None  # it ends by itself
                self._close()
        self._outbox.end()

    def _open(self, timeout_s: float | None) -> AsyncResponses[ResponseT]:
        self._gate.set()  # ends what gave the call before its requests
        self._gate = asyncio.Event()
        self._duplex.begin_call()
        return self._transport.open_both(self._call.method, self._requests(self._gate), self._options, timeout_s)

    async def _requests(self, gate: asyncio.Event) -> AsyncIterator[RequestT]:
        """Gives a call what it sends. Runs in a task of gRPC's."""
        yield self._duplex.setup
        await gate.wait()
        if gate is not self._gate or not self._duplex.has_started:
            return
        while (request := await self._outbox.take(self._duplex.keep_alive)) is not None:
            yield request
        self._duplex.is_source_over = True
        self._watch()

    async def _timed_read(self, responses: AsyncResponses[ResponseT]) -> ResponseT:
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
        if self._duplex.is_owed_something:
            limit.reschedule(asyncio.get_running_loop().time() + idle_s)


class AsyncTranscriptStream(
    BaseAsyncSpeechStream[speech_pb2.StreamRecognizeRequest, speech_pb2.StreamRecognizeResponse, RecognitionEvent]
):
    r"""What is said in live sound, while it is spoken. Iterating it gives TranscriptUpdate.

        async for update in client.speech.stream(microphone, sample_rate_hz=16000):
            print(update.text, end="\n" if update.is_final else "\r")

    A task takes the chunks from the iterable, and another sends them while results arrive; a server that is behind
    holds them back. An iterable may pause for as long as it likes: the server is told that it is still there. The call
    is sent when the first event is asked for. Reading to the end, leaving its `async with`
    block, breaking out of the `async for` loop, cancelling the task that reads, and aclose() each end the call, at the
    server too, and the tasks. Not for several tasks at once, except aclose(), finish(), finalize() and keep_alive().

    Iterating raises what the iterable raised, and what a chunk is refused with before it is sent, after the results of
    the chunks before it; StreamIdleTimeout where the server owed an answer for the idle limit; ConnectionLost where the
    connection broke; TruncatedStream where the end is missing; and any other TriviumError.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        chunks: Iterable[SoundChunk | RecognitionMarker] | AsyncIterable[SoundChunk | RecognitionMarker],
        course: RecognitionCourse,
        options: CallOptions,
        prepare: Callable[[Deadline], Awaitable[None]],
    ) -> None:
        self._course = course
        super().__init__(transport, STREAM_RECOGNIZE, chunks, course, options, prepare)

    async def __aiter__(self) -> AsyncGenerator[TranscriptUpdate, None]:
        async with contextlib.aclosing(self.events()) as events:
            async for event in events:
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
        """Asks for a final result for what was given so far; the stream goes on. From any task."""
        self._say(marker_request(RecognitionMarker.FINALIZE))

    def keep_alive(self) -> None:
        """Says that the caller is still there while it has nothing to send. From any task."""
        self._say(marker_request(RecognitionMarker.KEEP_ALIVE))


class AsyncSpeechStream(
    BaseAsyncSpeechStream[speech_pb2.StreamSynthesizeRequest, speech_pb2.StreamSynthesizeResponse, SynthesisEvent]
):
    """The sound of a text that is spoken while it is written. Iterating it gives AudioChunk.

        async for chunk in client.speech.speak_stream(answer_of_a_model):
            await play(chunk.audio)

    A task takes the fragments from the iterable, and another sends them while sound arrives. The call is sent when the
    first event is asked for. Reading to the end, leaving its `async with` block, breaking out of the `async for` loop,
    cancelling the task that reads, and aclose() each end the call, at the server too, and the tasks. Not for several
    tasks at once, except aclose(), finish(), flush() and interrupt().

    Iterating raises as AsyncTranscriptStream does.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        fragments: Iterable[str | SynthesisMarker] | AsyncIterable[str | SynthesisMarker],
        course: SynthesisCourse,
        options: CallOptions,
        prepare: Callable[[Deadline], Awaitable[None]],
    ) -> None:
        self._course = course
        super().__init__(transport, STREAM_SYNTHESIZE, fragments, course, options, prepare)

    async def __aiter__(self) -> AsyncGenerator[AudioChunk, None]:
        async with contextlib.aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, AudioChunk):
                    yield event

    @property
    def ready(self) -> SynthesisReady | None:
        """The model, and the format of the sound. None until the server accepted the stream."""
        return self._course.ready

    def flush(self) -> None:
        """Speaks what was given so far without waiting for the end of its sentence. From any task."""
        self._say(speaking_request(SynthesisMarker.FLUSH))

    def interrupt(self) -> bool:
        """Forgets what was given and is not spoken yet; a SpeechInterrupted among events() says what. From any task.

        Of sound without a header, what the server had made ahead is left out, too, so that the next AudioChunk is of
        what the iterable gives later. False once the iterable has ended: then all text is with the server, which cannot
        be told any more, and aclose() stops the sound.
        """
        if not self._say(speaking_request(SynthesisMarker.INTERRUPT)):
            return False
        self._course.interrupt()
        return True
