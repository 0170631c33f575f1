"""Reads the structure of a WAV file. Sources: Microsoft, RIFF and WAVEFORMATEXTENSIBLE; EBU Tech 3306 (RF64)."""

import struct

from trivium_server.speech.audio_format import AudioEncoding
from trivium_server.speech.audio_header import BrokenAudioError, Header, Source, Span, check_length, check_shape
from trivium_server.speech.raw_audio import SampleKind

_MAX_CHUNKS = 1000
_EXTENSIBLE = 0xFFFE
# A length that was not known when the header was written.
_UNKNOWN = 0xFFFFFFFF
_PCM = {1: SampleKind.U8, 2: SampleKind.S16, 3: SampleKind.S24, 4: SampleKind.S32}
_OTHER_KINDS = {
    (3, 4): SampleKind.F32,
    (3, 8): SampleKind.F64,
    (6, 1): SampleKind.ALAW,
    (7, 1): SampleKind.MULAW,
}
_NAMES = {2: "ADPCM", 0x11: "ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0x161: "WMA", 0x162: "WMA"}
# What follows the two bytes of the format in the GUID of an extensible one.
_GUID_REST = bytes.fromhex("000000001000800000aa00389b71")


def read(source: Source, max_s: float) -> Header:
    """Returns what the file says of its sound. Raises BrokenAudioError and OversizedAudioError."""
    at, data_bytes, layout = 12, 0, None
    for _ in range(_MAX_CHUNKS):
        name, length = struct.unpack("<4sI", source.exactly(at, 8))
        start = at + 8
        if name == b"ds64":
            data_bytes = struct.unpack("<Q", source.exactly(start + 8, 8))[0]
        elif name == b"fmt ":
            layout = _layout(source.exactly(start, min(length, 40)))
        elif name == b"data":
            if layout is None:
                raise BrokenAudioError("has samples before it says of what kind they are")
            if length == _UNKNOWN and data_bytes:
                length = data_bytes
            return _header(source, layout, start, length, max_s)
        at = start + length + length % 2
        if at > source.size:
            raise BrokenAudioError("is cut short")
    raise BrokenAudioError("has too many chunks")


def _layout(chunk: bytes) -> tuple[SampleKind, int, int]:
    """Returns the kind of the samples, the rate and the number of channels."""
    if len(chunk) < 16:
        raise BrokenAudioError("has a header that is none of a WAV")
    tag, num_channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:] != _GUID_REST:
            raise BrokenAudioError("is a WAV of a kind that is not read")
        tag = int.from_bytes(chunk[24:26], "little")
    check_shape(rate, num_channels)
    if tag in _NAMES:
        raise BrokenAudioError(f"is a WAV with {_NAMES[tag]}, which is not read; send PCM")
    sample_bytes, is_uneven = divmod(frame_bytes, num_channels)
    kind = _PCM.get(sample_bytes) if tag == 1 else _OTHER_KINDS.get((tag, sample_bytes))
    # Fewer bits than there is room for stand at the upper end.
    if kind is None or is_uneven or not 8 * (sample_bytes - 1) < bits <= 8 * sample_bytes:
        raise BrokenAudioError("is a WAV of a kind that is not read")
    return kind, rate, num_channels


def _header(source: Source, layout: tuple[SampleKind, int, int], start: int, length: int, max_s: float) -> Header:
    kind, rate, num_channels = layout
    there = source.size - start
    num_frames = min(length, there) // (kind.num_bytes * num_channels)
    # Those that could write no length write one that no file has.
    is_cut_short = length > there and length != _UNKNOWN
    check_length(num_frames, rate, max_s)
    return Header(
        encoding=AudioEncoding.WAV,
        sample_rate_hz=rate,
        num_channels=num_channels,
        num_frames=num_frames,
        parts=(Span(start, start + num_frames * kind.num_bytes * num_channels),),
        kind=kind,
        is_cut_short=is_cut_short,
    )
