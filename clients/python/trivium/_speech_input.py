"""Sound as callers give it, made into what the server reads; and samples out of what it made."""

import io
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeGuard, Union

from trivium._speech_format import SAMPLE_BYTES, AudioEncoding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AudioInput: TypeAlias = Union[
    str, os.PathLike[str], bytes, bytearray, memoryview, BinaryIO, "NDArray[np.int16]", "NDArray[np.float32]"
]
"""The path of a file; the bytes of one; a file that is open for reading bytes; or samples, shape (n,) or (n, channels),
int16 or float32 with full scale at -1 and 1."""

SoundChunk: TypeAlias = Union[bytes, bytearray, memoryview, "NDArray[np.int16]", "NDArray[np.float32]"]
"""A piece of live sound: bytes, cut anywhere, or samples, shape (n,) or (n, channels), as for AudioInput."""

PIECE_BYTES = 256 * 1024
"""Of a file, or of a chunk that is larger, in one message."""

_WAV_CODES = {
    AudioEncoding.PCM_S16LE: 1,
    AudioEncoding.PCM_F32LE: 3,
    AudioEncoding.ALAW: 6,
    AudioEncoding.MULAW: 7,
}
_MAX_WAV_BYTES = 0xFFFFFFFF - 36
_WANTED = "a path, the bytes of a file, a file open for reading bytes, or an array of int16 or float32"


@dataclass(slots=True, kw_only=True)
class Recording:
    """A recording to be sent: bytes that were read already, and a file with the rest of it.

    size: of all of it, None where that is not known. close() closes the file where it was opened here.
    """

    head: bytes
    rest: BinaryIO | None
    size: int | None
    is_own: bool

    @property
    def whole(self) -> bytes | None:
        """All of it, None where there is more in the file."""
        return self.head if self.rest is None else None

    def pieces(self) -> Iterator[bytes]:
        """Iterates all of it in pieces of a good size. Once only. OSError where the file cannot be read."""
        view = memoryview(self.head)
        start = 0
        while start < len(view) or self.rest is not None:
            piece = bytes(view[start : start + PIECE_BYTES])
            if self.rest is not None and len(piece) < PIECE_BYTES:
                piece += self.rest.read(PIECE_BYTES - len(piece))
            if not piece:
                return
            yield piece
            start += len(piece)

    def close(self) -> None:
        """May be called twice."""
        if self.is_own and self.rest is not None:
            self.rest.close()


def open_recording(
    audio: object, encoding: AudioEncoding, sample_rate_hz: int | None, channel_count: int, whole_bytes: int
) -> Recording:
    """Returns the recording, read already where it has at most whole_bytes.

    Sound without a header gets one. Raises OSError where a path cannot be read, TypeError and ValueError for what is no
    sound.
    """
    if is_array(audio):
        if sample_rate_hz is None:
            raise ValueError("sample_rate_hz is missing; an array of samples does not say it")
        samples = checked_samples(audio, None)
        encoding = AudioEncoding.PCM_F32LE if samples.dtype.kind == "f" else AudioEncoding.PCM_S16LE
        channels = samples.shape[1] if samples.ndim == 2 else 1
        return _of_bytes(_little_endian(samples), encoding, sample_rate_hz, channels)
    if isinstance(audio, bytes | bytearray | memoryview):
        return _of_bytes(bytes(audio), encoding, sample_rate_hz, channel_count)
    if isinstance(audio, str | os.PathLike):
        return _of_path(audio, encoding, sample_rate_hz, channel_count, whole_bytes)
    if isinstance(audio, io.IOBase) or hasattr(audio, "read"):
        return _of_file(audio, encoding, sample_rate_hz, channel_count, whole_bytes)
    raise TypeError(f"audio is {type(audio).__name__}; give {_WANTED}")


def _of_bytes(content: bytes, encoding: AudioEncoding, sample_rate_hz: int | None, channel_count: int) -> Recording:
    if not content:
        raise ValueError("audio is empty")
    made = _header(encoding, sample_rate_hz, channel_count, len(content)) + content
    return Recording(head=made, rest=None, size=len(made), is_own=False)


def _of_path(
    path: str | os.PathLike[str],
    encoding: AudioEncoding,
    sample_rate_hz: int | None,
    channel_count: int,
    whole_bytes: int,
) -> Recording:
    if isinstance(path, str) and path.partition("://")[0] in ("http", "https", "data"):
        raise ValueError("audio is a URL; the server takes bytes only, so fetch it first")
    file = Path(path).open("rb")  # noqa: SIM115  # closed by the recording
    try:
        return _of_file(file, encoding, sample_rate_hz, channel_count, whole_bytes, is_own=True)
    except BaseException:
        file.close()
        raise


def _of_file(
    file: object,
    encoding: AudioEncoding,
    sample_rate_hz: int | None,
    channel_count: int,
    whole_bytes: int,
    *,
    is_own: bool = False,
) -> Recording:
    """Reads a file that is open, from where it is."""
    source: BinaryIO = file  # type: ignore[assignment]  # what it reads is looked at below
    head = source.read() if encoding in SAMPLE_BYTES else source.read(whole_bytes + 1)
    if not isinstance(head, bytes):
        raise TypeError("audio is a file that is not open for reading bytes; open it with mode 'rb'")
    if encoding in SAMPLE_BYTES or len(head) <= whole_bytes:
        if is_own:
            source.close()
        return _of_bytes(head, encoding, sample_rate_hz, channel_count)
    return Recording(head=head, rest=source, size=_size(source, len(head)), is_own=is_own)


def _size(source: BinaryIO, read: int) -> int | None:
    """Returns how many bytes a file has from where it was, None for one that does not know."""
    try:
        place = source.tell()
        end = source.seek(0, io.SEEK_END)
        source.seek(place)
    except (OSError, AttributeError):
        return None
    return end - place + read


def _header(encoding: AudioEncoding, sample_rate_hz: int | None, channel_count: int, size: int) -> bytes:
    """Returns the header of a WAV file for sound without one; nothing for files."""
    if encoding not in SAMPLE_BYTES:
        return b""
    if sample_rate_hz is None:
        raise ValueError(f"sample_rate_hz is missing; {encoding.lower()} does not say it")
    if size > _MAX_WAV_BYTES:
        raise ValueError(f"audio has {size} bytes; sound without a header may have {_MAX_WAV_BYTES}")
    if not 0 < channel_count < 0x10000 or not 0 < sample_rate_hz < 0x1000000:
        raise ValueError(f"sample_rate_hz is {sample_rate_hz} and channel_count {channel_count}; the server takes less")
    frame_bytes = SAMPLE_BYTES[encoding] * channel_count
    chunk = struct.pack(
        "<HHIIHH",
        _WAV_CODES[encoding],
        channel_count,
        sample_rate_hz,
        sample_rate_hz * frame_bytes,
        frame_bytes,
        8 * SAMPLE_BYTES[encoding],
    )
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + chunk
        + b"data"
        + struct.pack("<I", size)
    )


def is_array(given: object) -> "TypeGuard[NDArray[np.generic]]":
    """Tells whether this is an array of numpy's, without importing it: who has one has imported it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(given, numpy.ndarray)


def checked_samples(samples: "NDArray[np.generic]", channel_count: int | None) -> "NDArray[np.generic]":
    """Returns the array. TypeError and ValueError for one that is no samples, or not of so many channels."""
    if samples.dtype.name not in ("int16", "float32"):
        raise TypeError(f"audio is an array of {samples.dtype.name}, not of int16 or float32; convert it with astype()")
    if samples.ndim not in (1, 2):
        raise ValueError(f"audio is an array of shape {samples.shape}, not (n,) or (n, channels)")
    channels = samples.shape[1] if samples.ndim == 2 else 1
    if channel_count is not None and channels != channel_count:
        raise ValueError(f"audio is an array of shape {samples.shape}, and channel_count is {channel_count}")
    return samples


def chunk_bytes(chunk: object, encoding: AudioEncoding, channel_count: int) -> bytes:
    """Returns a chunk of live sound as bytes in an encoding. TypeError and ValueError for what is none."""
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    if not is_array(chunk):
        raise TypeError(f"a chunk of sound is {type(chunk).__name__}; give bytes, or an array of int16 or float32")
    return _encoded(checked_samples(chunk, channel_count), encoding)


def _encoded(samples: "NDArray[np.generic]", encoding: AudioEncoding) -> bytes:
    import numpy as np

    is_float = samples.dtype.kind == "f"
    match encoding:
        case AudioEncoding.PCM_F32LE:
            return _little_endian(samples if is_float else samples.astype(np.float32) / np.float32(32768))
        case AudioEncoding.PCM_S16LE:
            return _little_endian(_integers(samples.astype(np.float32)) if is_float else samples)
        case _:
            raise TypeError(f"a chunk of sound is an array, and encoding is {encoding.lower()}; use a PCM encoding")


def _integers(samples: "NDArray[np.float32]") -> "NDArray[np.int16]":
    import numpy as np

    if not np.isfinite(samples).all():
        raise ValueError("a chunk of sound has a sample that is no finite number")
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def _little_endian(samples: "NDArray[np.generic]") -> bytes:
    return samples.astype(samples.dtype.newbyteorder("<")).tobytes()


def samples_of(audio: bytes, encoding: AudioEncoding) -> "NDArray[np.int16] | NDArray[np.float32]":
    """Returns the samples of what the server spoke. ValueError where that takes a decoder."""
    import numpy as np

    match encoding:
        case AudioEncoding.PCM_F32LE:
            return np.frombuffer(audio, "<f4").astype(np.float32)
        case AudioEncoding.PCM_S16LE:
            return np.frombuffer(audio, "<i2").astype(np.int16)
        case AudioEncoding.WAV:
            import wave

            with wave.open(io.BytesIO(audio)) as file:
                if file.getsampwidth() != 2:
                    raise ValueError(f"the WAV file has samples of {file.getsampwidth()} bytes, not of 2")
                return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
        case _:
            raise ValueError(f"samples of {encoding.lower()} need a decoder; ask for encoding='wav'")
