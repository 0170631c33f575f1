"""Reads the structure of a FLAC file, up to its first frame and at its last one. Source: RFC 9639."""

from dataclasses import dataclass

from trivium_server.speech.audio_format import AudioEncoding
from trivium_server.speech.audio_header import BrokenAudioError, Header, Source, Span, check_length, check_shape

SIGNATURE = b"fLaC"
_INFO_BYTES = 34
_MAX_BLOCKS = 1000
# Where the last frame is looked for, and at how many places. A frame of the usual size has less than 32 KiB.
_TAIL_BYTES = 1 << 20
_MAX_TRIES = 20_000
_LONGEST_HEADER = 16
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
_RATES = {4: 8000, 5: 16000, 6: 22050, 7: 24000, 8: 32000, 9: 44100, 10: 48000}


def _crc8_table() -> bytes:
    table = bytearray()
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
        table.append(value)
    return bytes(table)


_CRC8 = _crc8_table()


@dataclass(frozen=True, slots=True)
class _Info:
    """What the first block says. num_frames: 0 where it is not said."""

    block: bytes
    longest_block: int
    rate: int
    num_channels: int
    bits: int
    num_frames: int


def read(source: Source, max_s: float, start: int = 0) -> Header:
    """Returns what the file says of its sound, from `start`. Raises BrokenAudioError and OversizedAudioError."""
    info, at = _metadata(source, start + len(SIGNATURE))
    check_shape(info.rate, info.num_channels)
    if _end_of_frame(source.read(at, _LONGEST_HEADER), info) is None:
        raise BrokenAudioError("has something else where its first frame should be")
    # A header that says what is not so would have the rest of the sound left out.
    end = _end_of_last_frame(source, at, info)
    num_frames = info.num_frames or end
    if end > num_frames:
        raise BrokenAudioError("has more sound than it says")
    check_length(num_frames, info.rate, max_s)
    return Header(
        encoding=AudioEncoding.FLAC,
        sample_rate_hz=info.rate,
        num_channels=info.num_channels,
        num_frames=num_frames,
        parts=(SIGNATURE + _clean_block(info, num_frames), Span(at, source.size)),
        is_cut_short=end < num_frames,
    )


def _metadata(source: Source, at: int) -> tuple[_Info, int]:
    info = None
    for _ in range(_MAX_BLOCKS):
        head = source.exactly(at, 4)
        length = int.from_bytes(head[1:], "big")
        if info is None:
            if head[0] & 0x7F or length != _INFO_BYTES:
                raise BrokenAudioError("is a FLAC that does not say of what kind it is")
            info = _info(source.exactly(at + 4, length))
        at += 4 + length
        if at >= source.size:
            raise BrokenAudioError("is cut short")
        if head[0] & 0x80:
            return info, at
    raise BrokenAudioError("has too many blocks of metadata")


def _info(block: bytes) -> _Info:
    shortest, longest = int.from_bytes(block[:2], "big"), int.from_bytes(block[2:4], "big")
    numbers = int.from_bytes(block[10:18], "big")
    bits = (numbers >> 36 & 31) + 1
    if not 16 <= shortest <= longest or bits not in {8, 12, 16, 20, 24, 32}:
        raise BrokenAudioError("is a FLAC of a kind that is not read")
    return _Info(
        block=block,
        longest_block=longest,
        rate=numbers >> 44,
        num_channels=(numbers >> 41 & 7) + 1,
        bits=bits,
        num_frames=numbers & (1 << 36) - 1,
    )


def _clean_block(info: _Info, num_frames: int) -> bytes:
    """Returns the one block of metadata: no sizes of frames, and no sum of samples, which may not be there."""
    numbers = int.from_bytes(info.block[10:18], "big") >> 36 << 36 | num_frames
    body = info.block[:4] + bytes(6) + numbers.to_bytes(8, "big") + bytes(16)
    return b"\x80" + len(body).to_bytes(3, "big") + body


def _end_of_last_frame(source: Source, first: int, info: _Info) -> int:
    """Returns how many samples each channel has, as the last frame that is found says."""
    at = max(first, source.size - _TAIL_BYTES)
    tail = source.read(at, source.size - at)
    place = len(tail)
    for _ in range(_MAX_TRIES):
        place = tail.rfind(b"\xff", 0, place)
        if place < 0:
            break
        if (end := _end_of_frame(tail[place : place + _LONGEST_HEADER], info)) is not None:
            return end
    raise BrokenAudioError("has no frame near its end")


def _end_of_frame(data: bytes, info: _Info) -> int | None:
    """Returns the number of the sample after a frame, by its header; None for what is no header of this sound."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xFE != 0xF8 or data[3] & 1:
        return None
    size_code, rate_code = data[2] >> 4, data[2] & 15
    channels, bits_code = data[3] >> 4, data[3] >> 1 & 7
    num_channels = 2 if 8 <= channels <= 10 else channels + 1
    if num_channels != info.num_channels or _BITS.get(bits_code, info.bits) != info.bits or bits_code == 3:
        return None
    number, at = _coded_number(data)
    if number is None or size_code == 0:
        return None
    extra = 1 if size_code == 6 else 2 if size_code == 7 else 0
    if extra:
        size = int.from_bytes(data[at : at + extra], "big") + 1
    else:
        size = 192 if size_code == 1 else 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    at += extra
    extra = 1 if rate_code == 12 else 2 if rate_code in {13, 14} else 0
    stated = int.from_bytes(data[at : at + extra], "big") * {12: 1000, 14: 10}.get(rate_code, 1)
    at += extra
    rate = stated if extra else _RATES.get(rate_code, info.rate if rate_code == 0 else 0)
    if rate != info.rate or size > info.longest_block or at >= len(data):
        return None
    crc = 0
    for byte in data[:at]:
        crc = _CRC8[crc ^ byte]
    if crc != data[at]:
        return None
    return (number if data[1] & 1 else number * info.longest_block) + size


def _coded_number(data: bytes) -> tuple[int | None, int]:
    """Reads a number that is coded like a character of UTF-8, of up to 36 bits, at 4. Returns it, and where it ends."""
    first = data[4]
    if first < 0x80:
        return first, 5
    more = 7 - (first ^ 0xFF).bit_length()
    if not 1 <= more <= 6 or 5 + more > len(data):
        return None, 5
    number = first & (0x3F >> more)
    for byte in data[5 : 5 + more]:
        if byte & 0xC0 != 0x80:
            return None, 5
        number = number << 6 | byte & 0x3F
    return number, 5 + more
