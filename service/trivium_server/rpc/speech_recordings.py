"""Recordings: opened and read on threads, transcribed segment by segment; those that come in pieces are kept first."""

import contextlib
import errno
import logging
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import BinaryIO

from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech.transcription import FileProgress, Segment, transcribe_file
from trivium_server.architectures.speech_capabilities import SpeechRecognizer, VoiceActivityDetector
from trivium_server.errors import FieldViolation, InputTooLarge, InvalidArgument, QueueFull, UnsupportedFeature
from trivium_server.rpc.speech_call import SoundUsage, SpeechCall
from trivium_server.rpc.speech_messages import file_piece
from trivium_server.rpc.speech_recognition_convert import ONE_CHANNEL, RecognitionSpec
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.speech.audio_file import open_audio
from trivium_server.telemetry import log

_logger = logging.getLogger("trivium.rpc")

# No room on the device, in the user's quota, or for so large a file.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Another recording may be done by then.
_RETRY_AFTER_S = 10.0
# Written to the disk at a time.
_WRITE_BYTES = 1024 * 1024


class Recording:
    """One recording, for one call. `progress` and `num_channels` are known as it goes."""

    def __init__(
        self,
        call: SpeechCall[SpeechRecognizer],
        spec: RecognitionSpec,
        detector: VoiceActivityDetector,
        threads: SpeechThreads,
        *,
        max_audio_s: float,
        is_stream: bool,
    ) -> None:
        self.progress = FileProgress()
        self.num_channels = 0
        self._call = call
        self._spec = spec
        self._detector = detector
        self._threads = threads
        self._max_audio_s = max_audio_s
        self._is_stream = is_stream
        call.sound = self._sound

    async def segments(self, source: bytes | BinaryIO) -> AsyncGenerator[Segment]:
        """Yields what was said, in the order of time of each channel. Wrap it in contextlib.aclosing.

        Raises UndecodableMedia, InputTooLarge, and what the models raise. The source may be closed once this has ended.
        """
        call, spec = self._call, self._spec
        opening = partial(open_audio, source, spec.audio_format, max_s=self._max_audio_s, field="audio")
        reader = await self._threads.code(opening)
        try:
            self.num_channels = reader.num_channels
            if self.num_channels > 1 and spec.separate_channels and self._is_stream:
                raise UnsupportedFeature("setup.config.separate_channels", ONE_CHANNEL)
            segments = transcribe_file(
                reader,
                recognizer=call.model,
                detector=self._detector,
                options=spec.options,
                separate_channels=spec.separate_channels,
                deadline_s=call.call.deadline_s,
                meter=call.meter,
                progress=self.progress,
                pool=self._threads.coders,
            )
            async with contextlib.aclosing(segments):
                async for segment in segments:
                    call.note_output()
                    yield segment
        finally:
            reader.close()

    def warnings(self) -> list[common_pb2.Warning]:
        """Returns what the caller may want to know of what was asked and sent."""
        warnings = list(self._spec.warnings)
        if self.progress.was_cut_short:
            message = "the file ends before its header says that it does; what is there was heard"
            code = common_pb2.WARNING_CODE_INPUT_CUT_SHORT
            warnings.append(common_pb2.Warning(code=code, message=message, field_path="audio"))
        return warnings

    @property
    def audio_s(self) -> float:
        """How long the recording is; as far as it was heard, where that is not known yet."""
        return self.progress.heard_s if self.progress.audio_s is None else self.progress.audio_s

    def _sound(self) -> SoundUsage:
        progress = self.progress
        return SoundUsage(input_s=self.audio_s, speech_s=progress.speech_s, num_channels=self.num_channels)


@contextlib.asynccontextmanager
async def kept_file(
    requests: AsyncIterator[pb.StreamRecognizeRequest], threads: SpeechThreads, *, max_bytes: int
) -> AsyncIterator[BinaryIO]:
    """Keeps the pieces of a file on the disk, under no name, and lends it, to be read from its beginning.

    requests: the messages after the setup, read to their end. Raises InputTooLarge, StreamProtocolViolation and
    InvalidArgument, and QueueFull where the disk has no room.
    """
    # Opening a file without a name takes microseconds; all that could wait for the disk is done on a thread.
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed below, on the thread that writes it
    try:
        num_bytes = 0
        waiting = bytearray()
        async for request in requests:
            piece = file_piece(request)
            num_bytes += len(piece)
            if num_bytes > max_bytes:
                raise InputTooLarge("audio", num_bytes, max_bytes, "bytes")
            waiting += piece
            if len(waiting) >= _WRITE_BYTES:
                await _write(file, waiting, threads)
                waiting = bytearray()
        if not num_bytes:
            raise InvalidArgument(FieldViolation("audio", "is empty; no message had any"))
        await _write(file, waiting, threads)
        await threads.write(partial(file.seek, 0))
        yield file
    finally:
        threads.later(file.close)


async def _write(file: BinaryIO, piece: bytearray, threads: SpeechThreads) -> None:
    def write() -> None:
        file.write(piece)
        file.flush()

    try:
        await threads.write(write)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        log(_logger, logging.ERROR, "the disk has no room for recordings", folder=tempfile.gettempdir())
        raise QueueFull(0, _RETRY_AFTER_S, "bytes of room for recordings on the disk") from error
