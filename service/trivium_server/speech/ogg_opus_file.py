"""Reads the structure of an Ogg file with Opus. Sources: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), RFC 6716 (Opus)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from trivium_server.speech.audio_format import AudioEncoding
from trivium_server.speech.audio_header import BrokenAudioError, Header, Source, Span, check_length, check_shape

SIGNATURE = b"OggS"
_PAGE = struct.Struct("<4sBBqIIIB")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_POSITION = -1
_CLOCK_HZ = 48_000
# The rates that Opus has; the decoder gives the one that the sound had, or the next.
_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
_OTHERS = {b"\x01vorbis": "Ogg Vorbis", b"\x7fFLAC": "FLAC in Ogg", b"Speex   ": "Speex", b"\x80theora": "video"}
# A page of live sound has 20 ms, with room to spare.
_MAX_PAGES_A_SECOND = 55
_SPARE_PAGES = 2_000
# Of the samples of a frame, at 48 kHz, by the upper 5 bits of a packet. Source: RFC 6716, table 2.
_FRAME_LENS = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4


@dataclass(frozen=True, slots=True)
class _Page:
    """One page: where it begins, its body and ends, the lengths of its segments."""

    start: int
    body: int
    end: int
    flags: int
    position: int
    serial: int
    number: int
    segments: bytes


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 ^ 0x104C11DB7 if value & 0x80000000 else value << 1
        table.append(value)
    return table


_CRC = _crc_table()


def read(source: Source, max_s: float) -> Header:
    """Returns what the file says of its sound. Raises BrokenAudioError and OversizedAudioError."""
    pages = _pages(source, max_s)
    first = next(pages, None)
    if first is None:
        raise BrokenAudioError("is cut short")
    if not first.flags & _FIRST:
        raise BrokenAudioError("has no beginning")
    packet = source.read(first.body, first.end - first.body)
    rate, num_channels, skip = _head(packet)
    begin, end, audio_number, is_cut_short, span = _extent(source, pages, first)
    num_frames = (end - begin - skip) * rate // _CLOCK_HZ
    check_length(num_frames, rate, max_s)
    packet = packet[:12] + rate.to_bytes(4, "little") + packet[16 : 21 + num_channels if packet[18] else 19]
    tags = b"OpusTags" + bytes(8)
    return Header(
        encoding=AudioEncoding.OGG_OPUS,
        sample_rate_hz=rate,
        num_channels=num_channels,
        num_frames=num_frames,
        parts=(
            _page(packet, _FIRST, first.serial, audio_number - 2),
            _page(tags, 0, first.serial, audio_number - 1),
            span,
        ),
        is_cut_short=is_cut_short,
    )


def _pages(source: Source, max_s: float) -> Iterator[_Page]:
    """Yields the pages that are whole, up to the last one of the sound; what is not a page ends them."""
    at = 0
    for count in range(int(max_s * _MAX_PAGES_A_SECOND) + _SPARE_PAGES):
        head = source.read(at, _PAGE.size)
        if len(head) < _PAGE.size:
            return
        mark, version, flags, position, serial, number, _, num_segments = _PAGE.unpack(head)
        if mark != SIGNATURE or version:
            if not count:
                raise BrokenAudioError("has an Ogg page that is none")
            return
        segments = source.read(at + _PAGE.size, num_segments)
        body = at + _PAGE.size + num_segments
        end = body + sum(segments)
        if len(segments) < num_segments or end > source.size:
            return
        yield _Page(at, body, end, flags, position, serial, number, segments)
        at = end
    raise BrokenAudioError("has too many pages")


def _head(packet: bytes) -> tuple[int, int, int]:
    """Returns the rate to decode at, the number of channels, and how many ticks of the clock to leave out."""
    for mark, name in _OTHERS.items():
        if packet.startswith(mark):
            raise BrokenAudioError(f"has {name}, which is not read; send Ogg Opus")
    if not packet.startswith(b"OpusHead"):
        raise BrokenAudioError("is an Ogg file of a kind that is not read; send Ogg Opus")
    if len(packet) < 19 or packet[8] & 0xF0:
        raise BrokenAudioError("has an Opus header that is none")
    num_channels, skip, stated, family = packet[9], *struct.unpack("<HI", packet[10:16]), packet[18]
    rate = next((rate for rate in _RATES if rate >= stated), _CLOCK_HZ) if stated else _CLOCK_HZ
    check_shape(rate, num_channels)
    if family > 1 or (not family and num_channels > 2):
        raise BrokenAudioError("has channels of a kind that is not read")
    if family:
        if len(packet) < 21 + num_channels:
            raise BrokenAudioError("has an Opus header that is none")
        streams, coupled, mapping = packet[19], packet[20], packet[21 : 21 + num_channels]
        if not streams or coupled > streams or streams + coupled > num_channels:
            raise BrokenAudioError("has an Opus header that is none")
        if any(channel >= streams + coupled and channel != 255 for channel in mapping):
            raise BrokenAudioError("has an Opus header that is none")
    return rate, num_channels, skip


def _extent(source: Source, pages: Iterator[_Page], first: _Page) -> tuple[int, int, int, bool, Span]:
    """Returns the times on the clock where the sound begins and ends, and the number of its first page.

    Then, whether the file is cut short, and where the pages of the sound are.
    """
    tags_left = True
    counted = 0
    begin: int | None = None
    position = 0
    audio: _Page | None = None
    last = first
    for page in pages:
        if page.flags & _FIRST or page.serial != first.serial:
            raise BrokenAudioError("has more than one stream")
        last = page
        if tags_left:
            # The tags end their page, so that sound begins on one of its own.
            tags_left = not page.segments or page.segments[-1] == 255
            continue
        audio = audio or page
        if begin is None:
            counted += _duration(source, page)
        if page.position != _NO_POSITION:
            if page.position < position:
                raise BrokenAudioError("has pages that go back in time")
            position = page.position
            begin = max(0, position - counted) if begin is None else begin
        if page.flags & _LAST:
            break
    if audio is None or begin is None:
        raise BrokenAudioError("is cut short" if last.end < source.size or not last.flags & _LAST else "has no sound")
    _check_nothing_follows(source, last)
    # Some that write sound live end it without a last page.
    is_cut_short = not last.flags & _LAST and last.end < source.size
    return begin, position, audio.number, is_cut_short, Span(audio.start, last.end)


def _check_nothing_follows(source: Source, last: _Page) -> None:
    after = source.read(last.end, _PAGE.size)
    if last.flags & _LAST and after.startswith(SIGNATURE) and len(after) > 5 and after[5] & _FIRST:
        raise BrokenAudioError("has more than one stream, one after the other")


def _duration(source: Source, page: _Page) -> int:
    """Returns how long the packets are, on the clock, that begin on a page."""
    at, total = page.body, 0
    is_new = not page.flags & _CONTINUED
    for length in page.segments:
        if is_new and length:
            toc = source.read(at, 2)
            count = (1, 2, 2, toc[-1] & 63)[toc[0] & 3]
            total += count * _FRAME_LENS[toc[0] >> 3]
        at += length
        is_new = length < 255
    return total


def _page(packet: bytes, flags: int, serial: int, number: int) -> bytes:
    """Makes a page that has one packet, of less than 255 bytes."""
    head = _PAGE.pack(SIGNATURE, 0, flags, 0, serial, number & 0xFFFFFFFF, 0, 1) + bytes((len(packet),))
    crc = 0
    for byte in head + packet:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return head[:22] + crc.to_bytes(4, "little") + head[26:] + packet
