"""Reads the structure of a JPEG file. Source: ITU-T T.81, annex B."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trivium_server.vision import exif
from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat, Reader, check_size, cut_short

_SOI, _EOI, _SOS, _APP0, _APP1, _APP14, _APP15, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_PROGRESSIVE = 0xC2
# Baseline, extended and progressive.
_FRAMES = {0xC0, 0xC1, _PROGRESSIVE}
# Lossless, hierarchical, and those with arithmetic coding.
_UNUSUAL_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
# Without a length.
_BARE = {0x01, *range(0xD0, 0xD8)}
_FILL = re.compile(rb"\xff+")
_MAX_SEGMENTS = 10_000
# Encoders write about ten, and each may make the decoder go over the whole image again.
_MAX_SCANS = 50
_MAX_SCANNED_PIXELS = 500_000_000


@dataclass(slots=True)
class _Segments:
    """What comes before the image data. frame: the segment that says the size, with its marker."""

    kept: list[bytes] = field(default_factory=list)
    frame: bytes = b""
    orientation: int = 0

    def add(self, marker: int, segment: bytes) -> None:
        """Takes a segment with its length in front."""
        if marker in _FRAMES:
            if self.frame:
                raise BrokenImageError("has two frames")
            self.frame = bytes((marker,)) + segment
        if marker == _APP1 and segment[2:8] == b"Exif\0\0":
            self.orientation = self.orientation or exif.orientation(segment[2:])
        # Of the application segments, a decoder needs the two that say what the colours are.
        if marker in {_APP0, _APP14} or not (_APP0 <= marker <= _APP15 or marker == _COM):
            self.kept.append(bytes((0xFF, marker)) + segment)


def read(content: bytes) -> Header:
    """Returns what the file says of its image. Raises BrokenImageError."""
    reader = Reader(content, is_big_endian=True)
    segments = _Segments(kept=[content[:2]])
    at = 2
    for _ in range(_MAX_SEGMENTS):
        marker, at = _marker(reader, at)
        if marker in _BARE:
            continue
        if marker in {_SOI, _EOI} or marker in _UNUSUAL_FRAMES:
            raise BrokenImageError("is a JPEG of a kind that is not read")
        segment = reader.bytes(at, max(2, reader.u16(at)))
        segments.add(marker, segment)
        at += len(segment)
        if marker == _SOS:
            if content.rfind(b"\xff\xd9", at) < 0:
                raise cut_short()
            # In coded data, 0xFF is followed by 0 or by a restart marker: these are scans.
            num_scans = 1 + content.count(b"\xff\xda", at)
            clean = functools.partial(_joined, segments.kept, content, at)
            is_whole = num_scans == 1 and segment[2:3] == segments.frame[8:9]
            header = _header(segments, keeps_samples=not is_whole, clean=clean)
            if num_scans > _MAX_SCANS or (num_scans > 1 and num_scans * header.num_pixels > _MAX_SCANNED_PIXELS):
                raise BrokenImageError("has too many scans for its size")
            return header
    raise BrokenImageError("has too many segments")


def _joined(kept: Sequence[bytes], content: bytes, at: int) -> bytes:
    if sum(map(len, kept)) == at:
        return content
    return b"".join((*kept, memoryview(content)[at:]))


def _marker(reader: Reader, at: int) -> tuple[int, int]:
    """Returns the marker at a place, which may have fill bytes before it, and where it ends."""
    fill = _FILL.match(reader.content, at)
    if fill is None:
        raise cut_short() if at >= len(reader.content) else BrokenImageError("has something between its segments")
    return reader.u8(fill.end()), fill.end() + 1


def _header(segments: _Segments, *, keeps_samples: bool, clean: Callable[[], bytes]) -> Header:
    if not segments.frame:
        raise BrokenImageError("has no frame")
    frame = Reader(segments.frame, is_big_endian=True)
    marker, precision, num_components = frame.u8(0), frame.u8(3), frame.u8(8)
    height, width = frame.u16(4), frame.u16(6)
    check_size(width, height)
    if precision != 8:
        raise BrokenImageError(f"is a JPEG with {precision} bits per sample; 8 are read")
    if num_components not in {1, 3, 4}:
        raise BrokenImageError(f"is a JPEG with {num_components} components; 1, 3 and 4 are read")
    factors = [divmod(frame.u8(10 + 3 * index), 16) for index in range(num_components)]
    if not all(1 <= horizontal <= 4 and 1 <= vertical <= 4 for horizontal, vertical in factors):
        raise BrokenImageError("has sampling factors that are none")
    largest = max(factor[0] for factor in factors) * max(factor[1] for factor in factors)
    # A decoder that needs all scans before the first row keeps 16 bits for each sample.
    keeps_samples = keeps_samples or marker == _PROGRESSIVE
    samples = sum(horizontal * vertical for horizontal, vertical in factors) / largest
    return Header(
        format=ImageFormat.JPEG,
        width=width,
        height=height,
        clean=clean,
        orientation=segments.orientation or 1,
        bytes_per_pixel=3 + 2 * samples * keeps_samples,
    )
