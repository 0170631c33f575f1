"""Writes sound of one channel as a file or, piece by piece, as a stream whose pieces, joined, are a file.

libsndfile encodes FLAC, Opus and MP3. Everything here blocks, and may be called from any thread.
"""

import io
import struct
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from trivium_server.speech.audio_format import MAX_RATE_HZ, MIN_RATE_HZ, AudioEncoding
from trivium_server.speech.mp3_file import frame_bytes, tag_frame
from trivium_server.speech.raw_audio import ALAW_LEVELS, MULAW_LEVELS
from trivium_server.speech.resampling import Resampler, Samples

RATES = {
    AudioEncoding.OGG_OPUS: (8_000, 12_000, 16_000, 24_000, 48_000),
    AudioEncoding.MP3: (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
"""The rates of the formats that have only some."""

_LIBRARY_FORMATS = {
    AudioEncoding.FLAC: ("FLAC", "PCM_16"),
    AudioEncoding.OGG_OPUS: ("OGG", "OPUS"),
    AudioEncoding.MP3: ("MP3", "MPEG_LAYER_III"),
}
# libsndfile's encoders keep what they are given at once on the stack.
_MAX_BLOCK = 4096
# The length of a WAV file that is written before it is known how long it gets, as most readers know it.
_UNKNOWN = 0xFFFFFFFF
# What LAME puts before the sound, in samples.
_MP3_DELAY = 576
# SFC_SET_OGG_PAGE_LATENCY of sndfile.h, and its shortest, in ms.
_SET_PAGE_LATENCY = 0x1302
_PAGE_LATENCY_MS = 50.0


def written_rate(encoding: AudioEncoding, sample_rate_hz: int) -> int:
    """Returns the rate that a writer gives to sound: the one asked for, or the next higher one that the format has.

    Raises ValueError for a rate that is not from 8 to 48 kHz.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"{sample_rate_hz} is not from {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    return next((rate for rate in RATES.get(encoding, ()) if rate >= sample_rate_hz), sample_rate_hz)


class _Encoder(Protocol):
    """Makes bytes of samples at the rate that is written."""

    @property
    def num_kept(self) -> int: ...

    def write(self, samples: Samples) -> bytes: ...

    def finish(self) -> bytes: ...


class AudioWriter:
    """Writes one sound, piece by piece. For one thread at a time.

    The pieces, joined, are a file or a stream that players take: a WAV that does not say how long it is, a FLAC that
    does not either, pages of Ogg, frames of MP3 at a constant rate of bits, or samples. Sound comes out this long after
    it went in, at most: WAV and raw encodings at once, Opus 110 ms, MP3 four frames (144 ms at 16 and 96 ms at 24 kHz),
    FLAC 4096 samples (171 ms at 24 kHz), and up to 120 ms more where the rate changes.
    """

    def __init__(
        self, encoding: AudioEncoding, *, from_hz: int, sample_rate_hz: int = 0, is_whole: bool = False
    ) -> None:
        """from_hz: the rate of what will be written. sample_rate_hz: that of the result, see `written_rate`; 0: equal.

        is_whole: nothing comes out before `finish`, which then makes a file whose header says how long it is.
        """
        self.sample_rate_hz = written_rate(encoding, sample_rate_hz or from_hz)
        self._resampler = Resampler(from_hz, self.sample_rate_hz)
        self._encoder = _encoder(encoding, self.sample_rate_hz, is_whole=is_whole)

    @property
    def num_bytes_kept(self) -> int:
        """How many bytes were made so far that come out at `finish`."""
        return self._encoder.num_kept

    def write(self, samples: Samples) -> bytes:
        """Takes samples, shape (n,), in [-1, 1], louder ones are cut to that; returns the bytes that are ready."""
        return self._encoder.write(np.clip(self._resampler.push(samples), -1, 1))

    def finish(self) -> bytes:
        """Returns the rest. To be called once. No sound at all has no bytes, but for the header of a WAV."""
        return self._encoder.write(np.clip(self._resampler.finish(), -1, 1)) + self._encoder.finish()


def whole_file(samples: Samples, encoding: AudioEncoding, *, from_hz: int, sample_rate_hz: int = 0) -> bytes:
    """Writes a whole sound, shape (n,), as a file, with the arguments of AudioWriter."""
    writer = AudioWriter(encoding, from_hz=from_hz, sample_rate_hz=sample_rate_hz, is_whole=True)
    return writer.write(samples) + writer.finish()


def _encoder(encoding: AudioEncoding, rate: int, *, is_whole: bool) -> _Encoder:
    if encoding in _LIBRARY_FORMATS:
        return _LibraryEncoder(encoding, rate, is_whole=is_whole)
    if encoding is AudioEncoding.WAV:
        return _WavEncoder(rate, is_whole=is_whole)
    return _RawEncoder(encoding)


def _s16(samples: Samples) -> NDArray[np.int16]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


class _RawEncoder:
    num_kept = 0

    def __init__(self, encoding: AudioEncoding) -> None:
        self._encoding = encoding

    def write(self, samples: Samples) -> bytes:
        match self._encoding:
            case AudioEncoding.PCM_F32LE:
                return samples.astype("<f4").tobytes()
            case AudioEncoding.MULAW:
                return _MULAW_CODES[_s16(samples).view(np.uint16)].tobytes()
            case AudioEncoding.ALAW:
                return _ALAW_CODES[_s16(samples).view(np.uint16)].tobytes()
            case _:
                return _s16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        return b""


def _codes(levels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Returns the code of the nearest level for each number of 16 bits, taken as one without a sign."""
    order = np.argsort(levels, kind="stable")
    ascending = levels[order].astype(np.int32)
    values = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)
    middles = (ascending[:-1] + ascending[1:] + 1) // 2
    return order[np.searchsorted(middles, values, side="right")].astype(np.uint8)


_MULAW_CODES = _codes(MULAW_LEVELS)
_ALAW_CODES = _codes(ALAW_LEVELS)


class _WavEncoder:
    """Writes PCM of 16 bits."""

    def __init__(self, rate: int, *, is_whole: bool) -> None:
        self._rate = rate
        self._kept: bytearray | None = bytearray() if is_whole else None
        self._is_begun = False

    @property
    def num_kept(self) -> int:
        return len(self._kept or b"")

    def write(self, samples: Samples) -> bytes:
        data = _s16(samples).astype("<i2").tobytes()
        if self._kept is not None:
            self._kept += data
            return b""
        return self._begin() + data

    def finish(self) -> bytes:
        return self._begin() if self._kept is None else self._header(len(self._kept)) + self._kept

    def _begin(self) -> bytes:
        if self._is_begun:
            return b""
        self._is_begun = True
        return self._header(_UNKNOWN)

    def _header(self, num_bytes: int) -> bytes:
        layout = struct.pack("<HHIIHH", 1, 1, self._rate, 2 * self._rate, 2, 16)
        riff = struct.pack("<4sI4s", b"RIFF", min(num_bytes + 36, _UNKNOWN), b"WAVE")
        return riff + struct.pack("<4sI", b"fmt ", len(layout)) + layout + struct.pack("<4sI", b"data", num_bytes)


class _Sink(io.RawIOBase):
    """What libsndfile writes into, and what is taken from its beginning meanwhile. What was taken cannot be changed."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()
        self._taken = 0
        self._at = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._taken + len(self._data)}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def write(self, data: bytes) -> int:  # type: ignore[override]  # libsndfile's bytes come as bytes
        start = self._at - self._taken
        # A header that is written anew at the end finds only what is still here.
        kept = data[max(-start, 0) :]
        start = max(start, 0)
        self._data[start : start + len(kept)] = kept
        self._at += len(data)
        return len(data)

    def __len__(self) -> int:
        """How many bytes there are to be taken."""
        return len(self._data)

    def take(self) -> bytes:
        """Returns what there is, and forgets it."""
        data = bytes(self._data)
        self._data.clear()
        self._taken += len(data)
        return data


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is written from one end to the other, without looking back after every block."""

    def seekable(self) -> bool:
        return False


class _LibraryEncoder:
    """Writes a file by libsndfile."""

    def __init__(self, encoding: AudioEncoding, rate: int, *, is_whole: bool) -> None:
        name, kind = _LIBRARY_FORMATS[encoding]
        self._sink = _Sink()
        self._is_whole = is_whole
        self._is_empty = True
        options: dict[str, object] = {}
        if encoding is AudioEncoding.MP3:
            # Players tell from the length of a stream how long it sounds, if nothing else says it.
            options = {"compression_level": 0.5, "bitrate_mode": "VARIABLE" if is_whole else "CONSTANT"}
        self._file = _Forward(self._sink, "w", rate, 1, kind, format=name, **options)
        if encoding is AudioEncoding.OGG_OPUS:
            _set_page_latency(self._file, _PAGE_LATENCY_MS)
        # The first frame of an MP3 is a place for what is known at the end.
        self._awaits_tag = encoding is AudioEncoding.MP3 and not is_whole

    @property
    def num_kept(self) -> int:
        return len(self._sink)

    def write(self, samples: Samples) -> bytes:
        self._is_empty &= not len(samples)
        for at in range(0, len(samples), _MAX_BLOCK):
            self._file.write(_s16(samples[at : at + _MAX_BLOCK]))
        return b"" if self._is_whole else self._taken()

    def finish(self) -> bytes:
        self._file.close()
        data = self._taken()
        # What libsndfile writes then is no file that it reads.
        return b"" if self._is_empty else data

    def _taken(self) -> bytes:
        data = self._sink.take()
        if self._awaits_tag and data:
            self._awaits_tag = False
            data = tag_frame(data[:4], 0, (_MP3_DELAY, 0)) + data[frame_bytes(data[:4]) :]
        return data


def _set_page_latency(file: soundfile.SoundFile, milliseconds: float) -> None:
    # soundfile has no way to say this. Without it, a page of Ogg is kept until it has a second of sound.
    pointer = soundfile._ffi.new("double *", milliseconds)
    soundfile._snd.sf_command(file._file, _SET_PAGE_LATENCY, pointer, soundfile._ffi.sizeof("double"))
