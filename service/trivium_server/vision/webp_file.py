"""Reads the structure of a WebP file. Source: RFC 9649, sections 2 and 3."""

import struct
from collections.abc import Iterator

from trivium_server.vision import exif, webp_codes
from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat, Reader, check_size, cut_short

_CHUNK_HEADER = 8
_MAX_CHUNKS = 1000
_MAX_EXIF_BYTES = 1 << 16
_ALPHA_FLAG = 0x10
_FRAME_HEADER = 16
_LOSSLESS_SIGNATURE = 0x2F
_LOSSLESS_HEADER = 5

# The kind of a chunk, where its data begins, and where it ends.
_Chunk = tuple[bytes, int, int]


def read(content: bytes) -> Header:
    """Returns what the file says of its image, or of the first frame of its animation. Raises BrokenImageError."""
    reader = Reader(content, is_big_endian=False)
    end = _CHUNK_HEADER + reader.u32(4)
    if end > len(content):
        raise cut_short()
    canvas: tuple[int, int] | None = None
    image: list[_Chunk] = []
    frame: tuple[int, int, int, int] | None = None
    orientation = 0
    for kind, start, stop in _chunks(reader, 12, end):
        if kind == b"VP8X" and canvas is None:
            canvas = 1 + reader.u24(start + 4), 1 + reader.u24(start + 7)
        elif kind == b"ANMF" and frame is None and not image:
            left, top = 2 * reader.u24(start), 2 * reader.u24(start + 3)
            frame = left, top, 1 + reader.u24(start + 6), 1 + reader.u24(start + 9)
            image = [chunk for chunk in _chunks(reader, start + _FRAME_HEADER, stop) if _is_image(chunk)]
        elif _is_image((kind, start, stop)) and frame is None:
            image.append((kind, start, stop))
        elif kind == b"EXIF" and not orientation and stop - start <= _MAX_EXIF_BYTES:
            orientation = exif.orientation(content[start:stop])
    return _header(reader, canvas, image, frame, orientation or 1)


def _chunks(reader: Reader, at: int, end: int) -> Iterator[_Chunk]:
    for _ in range(_MAX_CHUNKS):
        if at + _CHUNK_HEADER > end:
            return
        start, length = at + _CHUNK_HEADER, reader.u32(at + 4)
        if start + length > end:
            raise cut_short()
        yield reader.bytes(at, 4), start, start + length
        at = start + length + length % 2
    # An animation may go on; its first frame comes before.


def _is_image(chunk: _Chunk) -> bool:
    return chunk[0] in {b"VP8 ", b"VP8L", b"ALPH"}


def _header(
    reader: Reader,
    canvas: tuple[int, int] | None,
    image: list[_Chunk],
    frame: tuple[int, int, int, int] | None,
    orientation: int,
) -> Header:
    coded = [chunk for chunk in image if chunk[0] != b"ALPH"]
    alpha = [chunk for chunk in image if chunk[0] == b"ALPH"]
    if len(coded) != 1 or len(alpha) > 1:
        raise BrokenImageError("has no image, or more than one where there is to be one")
    width, height, has_alpha = _coded_size(reader, coded[0])
    has_alpha = has_alpha or bool(alpha)
    check_size(width, height)
    whole = canvas or (width, height)
    left, top, frame_width, frame_height = frame or (0, 0, *whole)
    fits = left + frame_width <= whole[0] and top + frame_height <= whole[1]
    if not fits or (frame_width, frame_height) != (width, height):
        raise BrokenImageError("says that its image has one size, and has one of another")
    coded_losslessly = [data for chunk in (*alpha, *coded) if (data := _lossless_data(reader, chunk))]
    return Header(
        format=ImageFormat.WEBP,
        width=whole[0],
        height=whole[1],
        clean=lambda: _still(reader, [*alpha, coded[0]], width, height, has_alpha=has_alpha),
        orientation=orientation,
        has_alpha=has_alpha,
        # Lossless data is decoded to four bytes first, and so is an alpha that is coded like it.
        bytes_per_pixel=8 if coded[0][0] == b"VP8L" else 9.5 if coded_losslessly else 4.5,
        more_bytes=sum(webp_codes.coding_bytes(data, width, height) for data in coded_losslessly),
        result_bytes=4 if has_alpha else 3,
        frame=None if (width, height) == whole else (left, top, width, height),
    )


def _coded_size(reader: Reader, chunk: _Chunk) -> tuple[int, int, bool]:
    kind, start, _ = chunk
    if kind == b"VP8 ":
        if reader.bytes(start + 3, 3) != b"\x9d\x01\x2a":
            raise BrokenImageError("has an image without a beginning")
        return reader.u16(start + 6) & 0x3FFF, reader.u16(start + 8) & 0x3FFF, False
    if reader.u8(start) != _LOSSLESS_SIGNATURE:
        raise BrokenImageError("has an image without a beginning")
    bits = reader.u32(start + 1)
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)


def _lossless_data(reader: Reader, chunk: _Chunk) -> bytes:
    """Returns what is coded as lossless images are, from behind the size on; nothing where nothing is."""
    kind, start, stop = chunk
    if kind == b"VP8L":
        return reader.content[start + _LOSSLESS_HEADER : stop]
    if kind == b"ALPH" and stop > start and reader.u8(start) & 3 == 1:
        return reader.content[start + 1 : stop]
    return b""


def _still(reader: Reader, image: list[_Chunk], width: int, height: int, *, has_alpha: bool) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [(b"VP8X", struct.pack("<I", _ALPHA_FLAG if has_alpha else 0) + size)]
    chunks += [(kind, reader.content[start:stop]) for kind, start, stop in image]
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
