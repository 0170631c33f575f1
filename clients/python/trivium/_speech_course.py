"""Where a stream of speech stands, in either direction. Pure; the blocking and the asynchronous streams share it.

A stream that breaks is not sent again: sound and text are of the moment, and who wants to go on opens another.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from google.protobuf.message import Message

from trivium import _speech_calls
from trivium._error_base import TruncatedStream
from trivium._speech_format import SAMPLE_BYTES, AudioEncoding, GoAway, in_seconds, parse_go_away
from trivium._speech_heard import RecognitionEvent, RecognitionMarker, RecognitionReady, TranscriptUpdate
from trivium._speech_input import PIECE_BYTES, chunk_bytes
from trivium._speech_spoken import SynthesisEvent, SynthesisMarker, SynthesisReady
from trivium._text_input import checked_text
from trivium.call_info import CallInfo, parse_call_info
from trivium.v1 import speech_pb2

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=speech_pb2.StreamRecognizeResponse | speech_pb2.StreamSynthesizeResponse)
EventT = TypeVar("EventT")

KEEP_ALIVE_S = 15.0


class SpeechCourse(Generic[RequestT, ResponseT, EventT]):
    """What was sent, what has arrived, and what is owed.

    on_started is called when the server has accepted the setup. Nothing but the setup is sent before: a call that is
    sent again must find everything still there, and grpc.aio would hide why it was refused.

    needs_whole_source: the stream is of no use where the caller's source fails, and is given up then. keep_alive: what
    is sent where the source has given nothing for KEEP_ALIVE_S, for servers end streams that are silent for longer.
    """

    def __init__(
        self, setup: RequestT, *, needs_whole_source: bool = False, keep_alive: RequestT | None = None
    ) -> None:
        self.setup = setup
        self.keep_alive = keep_alive
        self.needs_whole_source = needs_whole_source
        self.on_started: Callable[[], None] = lambda: None
        self._next_sequence = 0
        self.has_started = False
        self.is_source_over = False
        self.is_complete = False
        self.info: CallInfo | None = None
        self.duration_s: float | None = None
        self.go_away: GoAway | None = None

    @property
    def is_owed_something(self) -> bool:
        """Whether it is the server's turn: to accept the setup, or to end the stream."""
        return not self.has_started or self.is_source_over

    def begin_call(self) -> None:
        """The setup is sent, for the first time or again."""
        self._next_sequence = 0

    def feed(self, response: ResponseT) -> EventT | None:
        """Takes the next message and returns its event, None for one that is no event for the caller.

        Raises TruncatedStream where one before it is missing.
        """
        if response.sequence != self._next_sequence:
            raise TruncatedStream(f"event {self._next_sequence} of the stream is missing; {response.sequence} came")
        self._next_sequence += 1
        return self._take(response)

    def end(self) -> None:
        """Raises TruncatedStream where `completed` did not arrive."""
        if not self.is_complete:
            raise TruncatedStream("the stream ended without its terminal event; something may be missing")

    def requests(self, given: object) -> Iterator[RequestT]:
        """Returns what to send for something of the caller's source. TypeError or ValueError for what is none."""
        raise NotImplementedError

    def _take(self, response: ResponseT) -> EventT | None:
        raise NotImplementedError

    def _start(self) -> None:
        self.has_started = True
        self.on_started()

    def _complete(self, completed: speech_pb2.RecognitionCompleted | speech_pb2.SynthesisCompleted) -> None:
        self.info = parse_call_info(completed.info)
        self.duration_s = in_seconds(completed.audio_duration)
        self.is_complete = True


class RecognitionCourse(
    SpeechCourse[speech_pb2.StreamRecognizeRequest, speech_pb2.StreamRecognizeResponse, RecognitionEvent]
):
    """A stream of sound: of chunks in an encoding, or of the pieces of a file."""

    def __init__(self, setup: speech_pb2.StreamRecognizeSetup, encoding: AudioEncoding, channel_count: int) -> None:
        is_file = encoding not in SAMPLE_BYTES
        super().__init__(
            speech_pb2.StreamRecognizeRequest(setup=setup),
            needs_whole_source=is_file,
            keep_alive=marker_request(RecognitionMarker.KEEP_ALIVE),
        )
        self._encoding = encoding
        self._channel_count = channel_count
        self.ready: RecognitionReady | None = None
        self.completed = speech_pb2.RecognitionCompleted()
        self.final_texts: list[str] = []

    def requests(self, given: object) -> Iterator[speech_pb2.StreamRecognizeRequest]:
        if isinstance(given, RecognitionMarker):
            yield marker_request(given)
            return
        chunk = chunk_bytes(given, self._encoding, self._channel_count)
        for start in range(0, len(chunk), PIECE_BYTES):
            yield speech_pb2.StreamRecognizeRequest(audio=chunk[start : start + PIECE_BYTES])

    def _take(self, response: speech_pb2.StreamRecognizeResponse) -> RecognitionEvent | None:
        match response.WhichOneof("event"):
            case "ready":
                self.ready = _speech_calls.parse_heard_ready(response.ready)
                self._start()
                return self.ready
            case "activity":
                return _speech_calls.parse_activity(response.activity)
            case "transcript":
                return self._note(_speech_calls.parse_update(response.transcript))
            case "go_away":
                self.go_away = parse_go_away(response.go_away)
                return self.go_away
            case "completed":
                self.completed = response.completed
                self._complete(response.completed)
        return None

    def _note(self, update: TranscriptUpdate) -> TranscriptUpdate:
        if update.is_final and update.text:
            self.final_texts.append(update.text)
        return update


class SynthesisCourse(
    SpeechCourse[speech_pb2.StreamSynthesizeRequest, speech_pb2.StreamSynthesizeResponse, SynthesisEvent]
):
    """A stream of text."""

    def __init__(self, config: speech_pb2.SynthesisConfig) -> None:
        setup = speech_pb2.StreamSynthesizeSetup(config=config)
        super().__init__(speech_pb2.StreamSynthesizeRequest(setup=setup))
        self.ready: SynthesisReady | None = None
        self._num_interruptions = 0

    def requests(self, given: object) -> Iterator[speech_pb2.StreamSynthesizeRequest]:
        if isinstance(given, SynthesisMarker):
            yield speaking_request(given)
        elif fragment := checked_text(given, "a fragment of text"):
            yield speech_pb2.StreamSynthesizeRequest(text_fragment=fragment)

    def interrupt(self) -> None:
        """What comes before the server has heard of it was made ahead, and is not for the caller any more.

        Of formats with a structure of their own everything is, since what follows may build on it.
        """
        if self.ready is not None and self.ready.format.encoding in SAMPLE_BYTES:
            self._num_interruptions += 1

    def _take(self, response: speech_pb2.StreamSynthesizeResponse) -> SynthesisEvent | None:
        match response.WhichOneof("event"):
            case "ready":
                self.ready = _speech_calls.parse_spoken_ready(response.ready)
                self._start()
                return self.ready
            case "audio":
                return None if self._num_interruptions else _speech_calls.parse_audio_chunk(response.audio)
            case "mark":
                return None if self._num_interruptions else _speech_calls.parse_mark(response.mark)
            case "interrupted":
                self._num_interruptions = max(0, self._num_interruptions - 1)
                return _speech_calls.parse_interrupted(response.interrupted)
            case "go_away":
                self.go_away = parse_go_away(response.go_away)
                return self.go_away
            case "completed":
                self._complete(response.completed)
        return None


def marker_request(marker: RecognitionMarker) -> speech_pb2.StreamRecognizeRequest:
    """Returns the message of a marker."""
    if marker is RecognitionMarker.FINALIZE:
        return speech_pb2.StreamRecognizeRequest(finalize=speech_pb2.FinalizeUtterance())
    return speech_pb2.StreamRecognizeRequest(keep_alive=speech_pb2.KeepAlive())


def speaking_request(marker: SynthesisMarker) -> speech_pb2.StreamSynthesizeRequest:
    """Returns the message of a marker."""
    if marker is SynthesisMarker.FLUSH:
        return speech_pb2.StreamSynthesizeRequest(flush=speech_pb2.FlushText())
    return speech_pb2.StreamSynthesizeRequest(interrupt=speech_pb2.InterruptSpeech())
