"""Opens a file of sound, and decodes it block by block, so that an hour takes as little memory as a second.

What a file is, its first bytes say; its name does not. What it claims is checked before a decoder sees it (see
`audio_header`), and what a decoder makes is checked against what the file claimed. libsndfile decodes FLAC, Opus and
MP3; samples that are not compressed are only converted. Everything here blocks, and may be called from any thread.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import numpy as np
import soundfile

from trivium_server.errors import InputTooLarge, UndecodableMedia
from trivium_server.speech import flac_file, mp3_file, ogg_opus_file, wav_file
from trivium_server.speech.audio_format import SAMPLE_BYTES, AudioEncoding, AudioFormat
from trivium_server.speech.audio_header import (
    BrokenAudioError,
    CleanFile,
    Header,
    OversizedAudioError,
    Source,
    Span,
    check_length,
    check_shape,
)
from trivium_server.speech.raw_audio import RAW_KINDS, Block, NotFiniteError, clipped, samples

_READERS = {
    AudioEncoding.WAV: wav_file.read,
    AudioEncoding.FLAC: flac_file.read,
    AudioEncoding.OGG_OPUS: ogg_opus_file.read,
    AudioEncoding.MP3: mp3_file.read,
}
_LIBRARY_NAMES = {AudioEncoding.FLAC: "FLAC", AudioEncoding.OGG_OPUS: "OGG", AudioEncoding.MP3: "MP3"}
# Where a file is broken, all that was to be read at once is lost. The usual length of a frame of FLAC.
_READ_FRAMES = 4096
# Files that callers may take for one that is read, by where and how they begin.
_OTHERS = (
    (4, b"ftyp", "an MP4"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska"),
    (0, b"FORM", "an AIFF"),
    (0, b"#!AMR", "an AMR"),
    (0, b"caff", "a CAF"),
    (0, b".snd", "an AU"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a WMA"),
    (0, b"MThd", "a MIDI"),
    (0, b"MAC ", "a Monkey's Audio"),
    (0, b"wvpk", "a WavPack"),
    (8, b"AVI ", "an AVI"),
    (0, b"\xff\xf1", "an AAC"),
    (0, b"\xff\xf9", "an AAC"),
)


class _Decoder(Protocol):
    """Turns the parts of a file into sound, in order. num_frames: how many there are, if the file is whole."""

    num_frames: int

    def read(self, num_frames: int) -> Block:
        """Returns up to so many frames, shape (frames, channels); none at the end, or where it cannot go on."""

    def close(self) -> None: ...


class AudioReader:
    """Sound that is being read: what is known of it, and its blocks. For one thread at a time; close it.

    sample_rate_hz, num_channels, encoding: as the file says. num_frames, duration_s: what it says that there is; where
    the file turns out to be cut short, there is less. was_cut_short: that it was, known for sure at the end.
    num_frames_read: how many blocks had so far.
    """

    def __init__(self, header: Header, decoder: _Decoder, field: str) -> None:
        """Is made by open_audio."""
        self.encoding = header.encoding
        self.sample_rate_hz = header.sample_rate_hz
        self.num_channels = header.num_channels
        self.num_frames = decoder.num_frames
        self.was_cut_short = header.is_cut_short
        self.num_frames_read = 0
        self._decoder = decoder
        self._field = field
        self._is_done = False

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.sample_rate_hz

    def read(self) -> Block:
        """Returns the next block, a second at most: float32 in [-1, 1], shape (frames, channels); none at the end.

        Louder samples are cut to that. Raises UndecodableMedia for a file of which nothing can be decoded, or that has
        samples that are no numbers. Where a file breaks off, or is broken from somewhere on, it ends there.
        """
        wanted = min(self.sample_rate_hz, self.num_frames - self.num_frames_read)
        if self._is_done or not wanted:
            return np.zeros((0, self.num_channels), np.float32)
        try:
            block = self._decoder.read(wanted)
        except NotFiniteError:
            raise UndecodableMedia(self._field, "the file has samples that are no numbers") from None
        self.num_frames_read += len(block)
        if len(block) < wanted:
            self._is_done = self.was_cut_short = True
            if not self.num_frames_read:
                raise UndecodableMedia(self._field, "the file has sound that cannot be decoded")
        return block

    def blocks(self) -> Iterator[Block]:
        """Yields what is left, as `read` returns it."""
        while len(block := self.read()):
            yield block

    def close(self) -> None:
        """Lets go of the decoder. The file that was handed in stays open."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_audio(source: bytes | BinaryIO, audio_format: AudioFormat, *, max_s: float, field: str) -> AudioReader:
    """Opens sound, in memory or in a file that can seek; that is read from its beginning, and may be on a disk.

    audio_format: what it should be: AUTO for any kind of file; raw encodings need a rate. max_s: seconds of sound that
    it may have. field: the request field that errors name. Raises UndecodableMedia and InputTooLarge.
    """
    try:
        content = Source(source)
        raw = audio_format.encoding in RAW_KINDS
        header = _raw_header(content, audio_format, max_s) if raw else _header(content, audio_format, max_s)
        decoder = _LibraryDecoder(content, header) if header.kind is None else _SampleDecoder(content, header)
    except BrokenAudioError as error:
        raise UndecodableMedia(field, f"the file {error}") from error
    except OversizedAudioError as error:
        raise InputTooLarge(field, error.actual, error.limit, error.unit) from error
    return AudioReader(header, decoder, field)


def sniff(source: Source) -> AudioEncoding:
    """Says what a file is by its first bytes. Raises BrokenAudioError for none that is read, with its name if known."""
    head = source.read(0, 16)
    if head[:4] in {b"RIFF", b"RF64", b"BW64"} and head[8:12] == b"WAVE":
        return AudioEncoding.WAV
    if head.startswith(flac_file.SIGNATURE):
        return AudioEncoding.FLAC
    if head.startswith(ogg_opus_file.SIGNATURE):
        return AudioEncoding.OGG_OPUS
    for at, mark, name in _OTHERS:
        if head[at:].startswith(mark):
            raise BrokenAudioError(f"is {name} file, which is not read; {_read_are()}")
    if head.startswith(b"ID3"):
        head = source.read(mp3_file.after_tags(source), 4)
        if head.startswith(flac_file.SIGNATURE):
            return AudioEncoding.FLAC
        return AudioEncoding.MP3
    if mp3_file.is_frame(head):
        return AudioEncoding.MP3
    raise BrokenAudioError(f"is of a type that is not read; {_read_are()}" if head else "is empty")


def _read_are() -> str:
    return "read are " + ", ".join(encoding.name for encoding in _READERS)


def _header(source: Source, audio_format: AudioFormat, max_s: float) -> Header:
    kind, said = sniff(source), audio_format.encoding
    if said not in {kind, AudioEncoding.AUTO}:
        raise BrokenAudioError(f"is said to be {said.name}, and is {kind.name}")
    if kind is AudioEncoding.FLAC:
        return flac_file.read(source, max_s, mp3_file.after_tags(source))
    return _READERS[kind](source, max_s)


def _raw_header(source: Source, audio_format: AudioFormat, max_s: float) -> Header:
    num_channels, rate = audio_format.num_channels or 1, audio_format.sample_rate_hz
    check_shape(rate, num_channels)
    frame_bytes = SAMPLE_BYTES[audio_format.encoding] * num_channels
    num_frames, left = divmod(source.size, frame_bytes)
    check_length(num_frames, rate, max_s)
    return Header(
        encoding=audio_format.encoding,
        sample_rate_hz=rate,
        num_channels=num_channels,
        num_frames=num_frames,
        parts=(Span(0, num_frames * frame_bytes),),
        kind=RAW_KINDS[audio_format.encoding],
        is_cut_short=left > 0,
    )


class _SampleDecoder:
    """Reads samples that are not compressed."""

    def __init__(self, source: Source, header: Header) -> None:
        assert header.kind is not None
        self._file = CleanFile(source, header.parts)
        self.num_frames = header.num_frames
        self._kind = header.kind
        self._num_channels = header.num_channels

    def read(self, num_frames: int) -> Block:
        frame_bytes = self._kind.num_bytes * self._num_channels
        data = self._file.read(num_frames * frame_bytes) or b""
        if self._file.failure is not None:
            raise self._file.failure
        whole = memoryview(data)[: len(data) - len(data) % frame_bytes]
        return samples(whole, self._kind).reshape(-1, self._num_channels)

    def close(self) -> None:
        self._file.close()


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is read from one end to the other.

    Left to itself, soundfile seeks after every block, and decodes much of it again.
    """

    def seekable(self) -> bool:
        return False


class _LibraryDecoder:
    """Reads a file by libsndfile."""

    def __init__(self, source: Source, header: Header) -> None:
        self._clean = CleanFile(source, header.parts)
        try:
            self._file = _Forward(self._clean)
        except soundfile.LibsndfileError as error:
            raise BrokenAudioError("has sound that cannot be decoded") from error
        found = (self._file.format, self._file.samplerate, self._file.channels)
        if found != (_LIBRARY_NAMES[header.encoding], header.sample_rate_hz, header.num_channels):
            self.close()
            raise BrokenAudioError("says of its sound what is not so")
        # Decoders leave out what encoders put before and after the sound.
        self.num_frames = min(header.num_frames, self._file.frames)
        if self.num_frames <= 0:
            self.close()
            raise BrokenAudioError("has no sound")

    def read(self, num_frames: int) -> Block:
        block = np.empty((num_frames, self._file.channels), np.float32)
        done = 0
        while done < num_frames and (count := self._read_into(block[done : done + _READ_FRAMES])):
            done += count
        if self._clean.failure is not None:
            raise self._clean.failure
        return clipped(block[:done])

    def _read_into(self, block: Block) -> int:
        try:
            return len(self._file.read(out=block))
        except soundfile.LibsndfileError:
            return 0

    def close(self) -> None:
        self._file.close()
        self._clean.close()
