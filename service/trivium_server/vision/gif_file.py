"""Reads the structure of a GIF file, up to the end of its first frame. Source: GIF89a specification, W3C."""

from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat, Palette, Reader, check_size

_SCREEN_END = 13
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_HAS_TABLE = 0x80
_MAX_EXTENSIONS = 1000
# In all, of up to 255 bytes each: room for a file of the largest size whose blocks are full.
_MAX_SUB_BLOCKS = 200_000


def read(content: bytes) -> Header:
    """Returns what the file says of its first frame. Raises BrokenImageError."""
    reader = Reader(content, is_big_endian=False)
    width, height, flags = reader.u16(6), reader.u16(8), reader.u8(10)
    check_size(width, height)
    colors = reader.bytes(_SCREEN_END, _table_bytes(flags))
    at = _SCREEN_END + len(colors)
    control = b""
    num_blocks = 0
    for _ in range(_MAX_EXTENSIONS):
        kind = reader.u8(at)
        if kind == _IMAGE:
            return _header(reader, at, (width, height), colors, control, num_blocks)
        if kind == _TRAILER:
            raise BrokenImageError("has no image")
        if kind != _EXTENSION:
            raise BrokenImageError("has something between its blocks")
        end, num_blocks = _after_sub_blocks(reader, at + 2, num_blocks)
        if reader.u8(at + 1) == _GRAPHIC_CONTROL:
            control = content[at:end]
        at = end
    raise BrokenImageError("has too many extensions")


def _header(reader: Reader, at: int, screen: tuple[int, int], colors: bytes, control: bytes, num_blocks: int) -> Header:
    left, top, width, height = (reader.u16(at + 1 + 2 * index) for index in range(4))
    check_size(width, height)
    flags = reader.u8(at + 9)
    own_colors = reader.bytes(at + 10, _table_bytes(flags))
    if not colors and not own_colors:
        raise BrokenImageError("has no colours")
    if left + width > screen[0] or top + height > screen[1]:
        raise BrokenImageError("has a frame that is not within its screen")
    start = at + 10 + len(own_colors)
    if not 1 <= reader.u8(start) <= 8:
        raise BrokenImageError("has codes of a length that is none")
    end, _ = _after_sub_blocks(reader, start + 1, num_blocks)
    if len(control) not in {0, 8}:
        raise BrokenImageError("has a control block that is none")
    return Header(
        format=ImageFormat.GIF,
        width=screen[0],
        height=screen[1],
        clean=lambda: reader.content[start + 1 : end],
        palette=Palette(
            own_colors or colors,
            control[6] if control and control[3] & 1 else None,
            code_bits=reader.u8(start),
            is_interlaced=bool(flags & 0x40),
        ),
        # Indices, a copy of them, and colours.
        bytes_per_pixel=5,
        frame=None if (width, height) == screen else (left, top, width, height),
    )


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & _HAS_TABLE else 0


def _after_sub_blocks(reader: Reader, at: int, num_before: int) -> tuple[int, int]:
    """Returns where a row of blocks ends, and how many there were in the file up to there."""
    for number in range(num_before + 1, _MAX_SUB_BLOCKS + 1):
        length = reader.u8(at)
        at += 1 + length
        if not length:
            return at, number
    raise BrokenImageError("has too many blocks")
