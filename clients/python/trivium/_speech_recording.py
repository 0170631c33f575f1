"""How a recording is transcribed: in one message where it is small, else in pieces. Pure; both clients use it."""

from collections.abc import Callable

from trivium import _speech_calls
from trivium._call_settings import LONGEST_STREAM_S, stream_options, unary_options
from trivium._metadata import Metadata
from trivium._speech_course import RecognitionCourse
from trivium._speech_format import SAMPLE_BYTES, AudioEncoding, format_message
from trivium._speech_heard import Transcript, TranscriptionProgress, TranscriptUpdate
from trivium._speech_input import PIECE_BYTES, Recording
from trivium._speech_settings import CAPTION_FORMATS
from trivium.settings import CallOptions, ClientSettings
from trivium.v1 import speech_pb2

OnProgress = Callable[[TranscriptionProgress], object]

_MARGIN_BYTES = 64 * 1024
"""Of a request, for what it says beside the recording."""


def sent_whole_bytes(limit_bytes: int, *, separate_channels: bool) -> int:
    """Returns up to how many bytes a recording is sent in one message; those with separate channels must be.

    No more than a piece, although a request could carry more: that may be an hour of sound, too long for a call that
    says nothing meanwhile.
    """
    room = max(0, limit_bytes - _MARGIN_BYTES)
    return room if separate_channels else min(room, PIECE_BYTES)


class FileTranscription:
    """A recording on its way. Raises InputTooLarge where it can be sent neither whole nor in pieces."""

    def __init__(
        self,
        config: speech_pb2.RecognitionConfig,
        recording: Recording,
        encoding: AudioEncoding,
        whole_bytes: int,
        on_progress: OnProgress | None,
    ) -> None:
        self._recording = recording
        self._on_progress = on_progress
        self._sent = 0
        self._segments: list[speech_pb2.TranscriptSegment] = []
        file_kind = AudioEncoding.WAV if encoding in SAMPLE_BYTES else encoding
        config.format.CopyFrom(format_message(file_kind, None, 0))
        whole = recording.whole
        is_whole = whole is not None and len(whole) <= whole_bytes
        if config.separate_channels and not is_whole:
            raise _speech_calls.too_large(recording.size, whole_bytes)
        self.whole = whole if is_whole and (config.separate_channels or on_progress is None) else None
        self.course = RecognitionCourse(
            speech_pb2.StreamRecognizeSetup(config=config, caption_formats=CAPTION_FORMATS), AudioEncoding.AUTO, 1
        )

    @property
    def setup(self) -> speech_pb2.StreamRecognizeSetup:
        """The setup of the stream."""
        return self.course.setup.setup

    def options(
        self, settings: ClientSettings, timeout_s: float | None, request_id: str | None, metadata: Metadata | None
    ) -> CallOptions:
        """Returns the options of the call. A stream says nothing while nobody speaks, so its limit is its end."""
        if self.whole is not None:
            return unary_options(settings, timeout_s, request_id, metadata)
        limit_s = LONGEST_STREAM_S if timeout_s is None else timeout_s
        return stream_options(settings, limit_s, float("inf"), request_id, metadata)

    def note_sent(self, piece: bytes) -> None:
        """Tells how far it is, once a piece is on its way."""
        self._sent += len(piece)
        self._tell(0.0, None)

    def note(self, update: TranscriptUpdate) -> None:
        """Takes a segment, and tells how far it is."""
        if update.is_final:
            self._segments.append(update.raw.segment)
        self._tell(update.segment.end_s, update.audio_s)  # the server reads ahead of what it has transcribed

    def transcript(self) -> Transcript:
        """Returns what was said, after the end."""
        return self.done(_speech_calls.whole_transcript(self._segments, self.course.completed))

    def done(self, transcript: Transcript) -> Transcript:
        """Tells that all of it was heard, and returns the transcript."""
        if self.whole is not None:
            self._sent = len(self.whole)
        self._tell(transcript.duration_s, transcript.duration_s)
        return transcript

    def _tell(self, processed_s: float, audio_s: float | None) -> None:
        if self._on_progress is not None:
            total = self._recording.size
            self._on_progress(
                TranscriptionProgress(
                    sent_bytes=self._sent, total_bytes=total, processed_s=processed_s, audio_s=audio_s
                )
            )
