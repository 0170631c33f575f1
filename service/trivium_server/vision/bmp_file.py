"""Reads the header of a BMP file. Source: Microsoft, BITMAPINFOHEADER and BITMAPV5HEADER."""

from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat, Reader, check_size, cut_short

_FILE_HEADER = 14
_CORE, _INFO = 12, 40
_LONGEST = 124
_RGB, _RLE8, _RLE4, _BITFIELDS = 0, 1, 2, 3
# For each compression, the bits that a pixel may have.
_DEPTHS = {_RGB: {1, 4, 8, 16, 24, 32}, _RLE8: {8}, _RLE4: {4}, _BITFIELDS: {16, 32}}
_MAX_COLORS = 256


def read(content: bytes) -> Header:
    """Returns what the file says of its image. Raises BrokenImageError."""
    reader = Reader(content, is_big_endian=False)
    start, length = reader.u32(10), reader.u32(_FILE_HEADER)
    if length == _CORE:
        width, height = reader.u16(18), reader.u16(20)
        depth, compression, colors = reader.u16(24), _RGB, 0
    elif _INFO <= length <= _LONGEST:
        width, height = reader.i32(18), reader.i32(22)
        depth, compression, colors = reader.u16(28), reader.u32(30), reader.u32(46)
    else:
        raise BrokenImageError("has a header that is none of a BMP")
    is_upside_down, height = height < 0, abs(height)
    check_size(width, height)
    is_run_length = compression in {_RLE8, _RLE4}
    if depth not in _DEPTHS.get(compression, set()) or (is_run_length and is_upside_down):
        raise BrokenImageError("is a BMP of a kind that is not read")
    if depth <= 8:
        colors = colors or 1 << depth
        if colors > _MAX_COLORS:
            raise BrokenImageError("has a palette that is none")
        reader.bytes(_FILE_HEADER + length, colors * (3 if length == _CORE else 4))
    if start < _FILE_HEADER + length or start >= len(content):
        raise cut_short()
    if not is_run_length and start + height * ((width * depth + 31) // 32 * 4) > len(content):
        raise cut_short()
    return Header(format=ImageFormat.BMP, width=width, height=height, clean=lambda: content)
