"""What a file says of its sound, read before anything is decoded.

One module for each format (`wav_file`, `flac_file`, …) looks at the file, within bounds, checks what a decoder would
trust, and names the parts of it that decoding needs: no tags, no pictures, no tables for seeking.
"""

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from trivium_server.speech.audio_format import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, AudioEncoding
from trivium_server.speech.raw_audio import SampleKind

_WINDOW_BYTES = 1 << 18


class BrokenAudioError(ValueError):
    """The file is no sound that can be read. The message goes on after "the file …", and holds nothing of the file."""


class OversizedAudioError(ValueError):
    """The sound is longer, or has more channels, than may be."""

    def __init__(self, actual: int, limit: int, unit: str) -> None:
        super().__init__(f"has {actual} {unit}; the limit is {limit}")
        self.actual = actual
        self.limit = limit
        self.unit = unit


class Source:
    """The bytes of a file, in memory or on a disk, at any place. For one thread at a time; the file is its owner's."""

    def __init__(self, content: bytes | BinaryIO) -> None:
        self._file = io.BytesIO(content) if isinstance(content, bytes) else content
        self.size = self._file.seek(0, io.SEEK_END)
        self._window = b""
        self._window_at = 0

    def read(self, at: int, count: int) -> bytes:
        """Returns `count` bytes from `at`, fewer where the file ends. Reads of neighbours are cheap."""
        start = at - self._window_at
        if not 0 <= start <= start + count <= len(self._window):
            self._file.seek(at)
            self._window = self._file.read(max(count, _WINDOW_BYTES))
            self._window_at, start = at, 0
        return self._window[start : start + count]

    def exactly(self, at: int, count: int) -> bytes:
        """Returns `count` bytes from `at`. Raises BrokenAudioError where the file ends before."""
        data = self.read(at, count)
        if len(data) < count:
            raise BrokenAudioError("is cut short")
        return data

    def read_into(self, at: int, buffer: memoryview) -> int:
        """Fills a buffer with what is at `at`, and returns how many bytes there were."""
        data = self.read(at, len(buffer))
        buffer[: len(data)] = data
        return len(data)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the file, from `start` up to `end`."""

    start: int
    end: int


class CleanFile(io.RawIOBase):
    """A file made of parts of a source and of bytes of our own, one after the other, to be read."""

    def __init__(self, source: Source, parts: Sequence[Span | bytes]) -> None:
        super().__init__()
        self._source = source
        self._parts = parts
        lengths = [part.end - part.start if isinstance(part, Span) else len(part) for part in parts]
        self._ends = list(accumulate(lengths))
        self._at = 0
        # Who reads may be C code, which exceptions do not pass.
        self.failure: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size = self._ends[-1]
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        self._at = min(max(base + offset, 0), size)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer that can be written is fine
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._ends[-1]:
            index = bisect_right(self._ends, self._at)
            part, left = self._parts[index], self._ends[index] - self._at
            piece = view[done : done + left]
            if isinstance(part, Span):
                num_read = self._read_source(part.end - left, piece)
            else:
                num_read = len(piece)
                piece[:] = part[len(part) - left :][:num_read]
            if not num_read:
                break
            done += num_read
            self._at += num_read
        return done

    def _read_source(self, at: int, piece: memoryview) -> int:
        try:
            return self._source.read_into(at, piece)
        except OSError as error:
            self.failure = error
            return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of a sound before it is decoded.

    num_frames: how many there are at most, each a sample of every channel. parts: what is to be decoded: samples of
    one kind, or, where `kind` is None, a file of the encoding. is_cut_short: the file ends before it should.
    """

    encoding: AudioEncoding
    sample_rate_hz: int
    num_channels: int
    num_frames: int
    parts: Sequence[Span | bytes]
    kind: SampleKind | None = None
    is_cut_short: bool = False


def check_shape(sample_rate_hz: int, num_channels: int) -> None:
    """Raises BrokenAudioError and OversizedAudioError for a rate or a number of channels that is not read."""
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise BrokenAudioError(f"has {sample_rate_hz} samples a second; from {MIN_RATE_HZ} to {MAX_RATE_HZ} are read")
    if not num_channels:
        raise BrokenAudioError("says that it has no channels")
    if num_channels > MAX_CHANNELS:
        raise OversizedAudioError(num_channels, MAX_CHANNELS, "channels")


def check_length(num_frames: int, sample_rate_hz: int, max_s: float) -> None:
    """Raises BrokenAudioError for no sound at all, and OversizedAudioError for one that is too long."""
    if num_frames <= 0:
        raise BrokenAudioError("has no sound")
    if num_frames > max_s * sample_rate_hz:
        # Rounded up, lest one that is too long by a sample says that it is as long as may be.
        raise OversizedAudioError(math.floor(num_frames / sample_rate_hz) + 1, math.floor(max_s), "seconds of sound")
