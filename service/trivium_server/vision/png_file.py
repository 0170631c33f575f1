"""Reads the structure of a PNG file. Source: PNG specification, third edition, chapters 5 and 11."""

from trivium_server.vision import exif
from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat, Reader, check_size, cut_short

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The bits that samples of each colour type may have.
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PALETTE = 3
_ALPHA_TYPES = {4, 6}
# All that decoding needs.
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_MAX_CHUNKS = 50_000
_MAX_EXIF_BYTES = 1 << 16


def read(content: bytes) -> Header:
    """Returns what the file says of its image. Raises BrokenImageError."""
    reader = Reader(content, is_big_endian=True)
    parts: list[tuple[int, int]] = []
    seen: set[bytes] = set()
    orientation = 0
    at = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        length, kind = reader.u32(at), reader.bytes(at + 4, 4)
        end = at + 12 + length
        if end > len(content):
            raise cut_short()
        if not seen and (kind != b"IHDR" or length != 13):
            raise BrokenImageError("does not begin with its header")
        if kind in _KEPT:
            parts.append((at, end))
        if kind == b"eXIf" and not orientation and length <= _MAX_EXIF_BYTES:
            orientation = exif.orientation(content[at + 8 : end - 4])
        seen.add(kind)
        at = end
        if kind == b"IEND":
            break
    else:
        raise BrokenImageError("has too many chunks")
    return _header(reader, seen, orientation or 1, parts)


def _header(reader: Reader, seen: set[bytes], orientation: int, parts: list[tuple[int, int]]) -> Header:
    start = len(SIGNATURE) + 8
    width, height = reader.u32(start), reader.u32(start + 4)
    depth, color = reader.u8(start + 8), reader.u8(start + 9)
    check_size(width, height)
    depths = _DEPTHS.get(color, set())
    if depth not in depths or reader.u8(start + 10) or reader.u8(start + 11) or reader.u8(start + 12) > 1:
        raise BrokenImageError("has a header that is none of a PNG")
    if color == _PALETTE and b"PLTE" not in seen:
        raise BrokenImageError("has a palette image without a palette")
    if b"IDAT" not in seen:
        raise BrokenImageError("has no image data")
    has_alpha = color in _ALPHA_TYPES or b"tRNS" in seen
    return Header(
        format=ImageFormat.PNG,
        width=width,
        height=height,
        clean=lambda: SIGNATURE + b"".join(reader.content[begin:end] for begin, end in parts),
        orientation=orientation,
        has_alpha=has_alpha,
        # With alpha, samples come out as wide as they are.
        result_bytes=4 * max(1, depth // 8) if has_alpha else 3,
    )
