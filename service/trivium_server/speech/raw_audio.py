"""Samples as they stand in raw sound and in WAV files, turned into float32 in [-1, 1]."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

Block = NDArray[np.float32]


class SampleKind(Enum):
    """How one sample stands in bytes, little-endian: a name, and how many bytes there are."""

    U8 = "u8", 1
    S16 = "s16", 2
    S24 = "s24", 3
    S32 = "s32", 4
    F32 = "f32", 4
    F64 = "f64", 8
    MULAW = "mulaw", 1
    ALAW = "alaw", 1

    @property
    def num_bytes(self) -> int:
        _, number = self.value
        return number


RAW_KINDS = {
    AudioEncoding.PCM_S16LE: SampleKind.S16,
    AudioEncoding.PCM_F32LE: SampleKind.F32,
    AudioEncoding.MULAW: SampleKind.MULAW,
    AudioEncoding.ALAW: SampleKind.ALAW,
}


class NotFiniteError(ValueError):
    """A sample is no number, or without an end."""


def _mulaw_levels() -> NDArray[np.int16]:
    """Returns what each code of mu-law stands for. Source: ITU-T G.711, table 2; 14 bits, here shifted to 16."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    level = ((mantissa * 2 + 33) << exponent) - 33
    return np.where(code & 0x80, -level, level).astype(np.int16) * np.int16(4)


def _alaw_levels() -> NDArray[np.int16]:
    """Returns what each code of A-law stands for. Source: ITU-T G.711, table 1; 13 bits, here shifted to 16."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    level = np.where(exponent == 0, mantissa * 2 + 1, (mantissa * 2 + 33) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, level, -level).astype(np.int16) * np.int16(8)


MULAW_LEVELS = _mulaw_levels()
ALAW_LEVELS = _alaw_levels()
_MULAW_FLOATS = (MULAW_LEVELS / 32768).astype(np.float32)
_ALAW_FLOATS = (ALAW_LEVELS / 32768).astype(np.float32)


def samples(data: bytes | bytearray | memoryview, kind: SampleKind) -> Block:
    """Turns bytes, a whole number of samples, into float32 in [-1, 1], shape (n,). Louder ones are cut to that.

    Raises NotFiniteError.
    """
    match kind:
        case SampleKind.U8:
            return np.asarray((np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128, np.float32)
        case SampleKind.S16:
            return np.asarray(np.frombuffer(data, "<i2").astype(np.float32) / 32768, np.float32)
        case SampleKind.S24:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
        case SampleKind.S32:
            return (np.frombuffer(data, "<i4") / 2.0**31).astype(np.float32)
        case SampleKind.MULAW:
            return _MULAW_FLOATS[np.frombuffer(data, np.uint8)]
        case SampleKind.ALAW:
            return _ALAW_FLOATS[np.frombuffer(data, np.uint8)]
        case SampleKind.F32 | SampleKind.F64:
            return clipped(np.frombuffer(data, "<f4" if kind is SampleKind.F32 else "<f8"))


def clipped(block: NDArray[np.floating]) -> Block:
    """Returns float32 in [-1, 1]. What is louder is cut to that; raises NotFiniteError for what is no number."""
    if not block.size:
        return block.astype(np.float32)
    low, high = block.min(), block.max()
    # No comparison holds with what is not a number, and a sound may not be without an end.
    if not (low > -np.inf and high < np.inf):
        raise NotFiniteError
    if low >= -1 and high <= 1:
        return block.astype(np.float32)
    return np.asarray(np.clip(block, -1, 1), np.float32)


class RawDecoder:
    """Decodes raw sound that comes in pieces, split at any byte. For one thread at a time."""

    def __init__(self, audio_format: AudioFormat) -> None:
        """The encoding must be a raw one; no channels are one."""
        self.num_channels = audio_format.num_channels or 1
        self._kind = RAW_KINDS[audio_format.encoding]
        self._frame_bytes = self._kind.num_bytes * self.num_channels
        self._rest = b""

    @property
    def num_bytes_left(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._rest)

    def decode(self, piece: bytes) -> Block:
        """Returns the frames that are whole now: float32 in [-1, 1], shape (frames, channels).

        Raises NotFiniteError.
        """
        data = self._rest + piece if self._rest else piece
        end = len(data) - len(data) % self._frame_bytes
        self._rest = data[end:]
        return samples(memoryview(data)[:end], self._kind).reshape(-1, self.num_channels)
