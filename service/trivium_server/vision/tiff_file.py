"""Reads the first directory of a TIFF file, and makes a file of its image alone. Source: TIFF 6.0, Adobe 1992."""

import enum
import functools
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat, Reader, check_size, cut_short

_ENTRY = 12
_MAX_ENTRIES = 1000
# Rows or tiles that are coded by themselves.
_MAX_PARTS = 100_000
_MAX_PART_BYTES = 1 << 26
_TYPE_BYTES = {1: 1, 3: 2, 4: 4, 7: 1}
_SHORT, _LONG = 3, 4


class _Tag(enum.IntEnum):
    """What decoding needs. All else is left out: other directories, profiles, private data."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    FAX3_OPTIONS = 292
    FAX4_OPTIONS = 293
    PREDICTOR = 317
    COLORS = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_SUBSAMPLING = 530
    BLACK_AND_WHITE = 532


# None, the three of fax, LZW, JPEG, deflate under its two numbers, and PackBits.
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32946, 32773}
_JPEG = 7
# Strips and tiles are coded in one scan, or one for each component.
_MAX_JPEG_SCANS = 4
_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
# What a fourth sample beside three colours is: nothing in particular, or an alpha that they are multiplied by already.
_UNKNOWN, _PREMULTIPLYING = 0, 1
# The decoder is not told: it would turn some images, and multiply some colours by the alpha.
_NOT_TOLD = {_Tag.ORIENTATION, _Tag.EXTRA_SAMPLES}
# For each way to show samples, how many of them a pixel may have.
_SAMPLES = {_WHITE_IS_0: {1, 2}, _BLACK_IS_0: {1, 2}, _RGB: {3, 4}, _PALETTE: {1}, _CMYK: {4}, _YCBCR: {3}}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A field: the type and number of its values, and where they are in the file."""

    kind: int
    count: int
    at: int

    @property
    def num_bytes(self) -> int:
        return _TYPE_BYTES[self.kind] * self.count


def read(content: bytes) -> Header:
    """Returns what the file says of its first image. Raises BrokenImageError."""
    reader = Reader(content, is_big_endian=content.startswith(b"M"))
    entries = _entries(reader)
    value = functools.partial(_value, reader, entries)
    width, height = value(_Tag.WIDTH, 0), value(_Tag.HEIGHT, 0)
    check_size(width, height)
    samples, bits = value(_Tag.SAMPLES, 1), value(_Tag.BITS, 1)
    photometric = value(_Tag.PHOTOMETRIC, _BLACK_IS_0)
    if samples not in _SAMPLES.get(photometric, set()) or bits not in {1, 2, 4, 8, 16}:
        raise BrokenImageError("is a TIFF with samples of a kind that is not read")
    if bits < 8 and samples > 1:
        raise BrokenImageError("is a TIFF with samples of a kind that is not read")
    if value(_Tag.SAMPLE_FORMAT, 1) != 1:
        raise BrokenImageError("is a TIFF whose samples are no whole numbers")
    compression = value(_Tag.COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise BrokenImageError("is a TIFF with a compression that is not read")
    is_planar = value(_Tag.PLANAR, 1) == 2
    if photometric == _PALETTE and _Tag.COLORS not in entries:
        raise BrokenImageError("has a palette image without a palette")
    part_bytes = _check_parts(reader, entries, width, height, -(-samples * bits // 8), samples if is_planar else 1)
    orientation = value(_Tag.ORIENTATION, 1)
    extra = value(_Tag.EXTRA_SAMPLES, -1)
    has_alpha = photometric == _RGB and samples == 4 and extra != _UNKNOWN
    return Header(
        format=ImageFormat.TIFF,
        width=width,
        height=height,
        clean=lambda: _with_directory(reader, entries),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        has_alpha=has_alpha,
        is_premultiplied=has_alpha and extra == _PREMULTIPLYING,
        bytes_per_pixel=4 * max(1, bits // 8) + (2 * part_bytes + len(content)) / (width * height),
        result_bytes=4 * max(1, bits // 8) if has_alpha else 3,
    )


def _entries(reader: Reader) -> dict[_Tag, _Entry]:
    start = reader.u32(4)
    count = reader.u16(start)
    if not 1 <= count <= _MAX_ENTRIES:
        raise BrokenImageError("has a directory of a size that is none")
    entries: dict[_Tag, _Entry] = {}
    for index in range(count):
        at = start + 2 + _ENTRY * index
        tag, kind, number = reader.u16(at), reader.u16(at + 2), reader.u32(at + 4)
        if tag not in _Tag.__members__.values():
            continue
        if kind not in _TYPE_BYTES or not number:
            raise BrokenImageError("has a directory with a field of a kind that is none")
        size = _TYPE_BYTES[kind] * number
        entry = _Entry(kind, number, at + 8 if size <= 4 else reader.u32(at + 8))
        if entry.at + size > len(reader.content):
            raise cut_short()
        entries.setdefault(_Tag(tag), entry)
    return entries


def _value(reader: Reader, entries: dict[_Tag, _Entry], tag: _Tag, default: int) -> int:
    return int(_values(reader, entries[tag], 1)[0]) if tag in entries else default


def _values(reader: Reader, entry: _Entry, count: int) -> NDArray[np.int64]:
    """Returns the first values of a field, which has as many."""
    order = ">" if reader.content.startswith(b"M") else "<"
    stated = np.frombuffer(reader.content, f"{order}u{_TYPE_BYTES[entry.kind]}", count, entry.at)
    return stated.astype(np.int64)


def _check_parts(
    reader: Reader, entries: dict[_Tag, _Entry], width: int, height: int, pixel_bytes: int, num_planes: int
) -> int:
    """Checks that the strips or tiles are as many as the size needs, and in the file. Returns the bytes of one."""
    if _Tag.TILE_OFFSETS in entries:
        keys = _Tag.TILE_OFFSETS, _Tag.TILE_BYTES
        columns, rows = (_value(reader, entries, tag, 0) for tag in (_Tag.TILE_WIDTH, _Tag.TILE_HEIGHT))
    else:
        keys = _Tag.STRIP_OFFSETS, _Tag.STRIP_BYTES
        columns = width
        rows = min(height, _value(reader, entries, _Tag.ROWS_PER_STRIP, height))
    if columns < 1 or rows < 1 or columns * rows * pixel_bytes > max(_MAX_PART_BYTES, width * height * pixel_bytes):
        raise BrokenImageError("has strips or tiles of a size that is none")
    needed = -(-width // columns) * -(-height // rows) * num_planes
    if needed > _MAX_PARTS:
        raise BrokenImageError("has too many strips or tiles")
    if any(key not in entries or entries[key].count < needed for key in keys):
        raise BrokenImageError("has fewer strips or tiles than its size needs")
    offsets, sizes = (_values(reader, entries[key], needed) for key in keys)
    if (offsets + sizes).max() > len(reader.content):
        raise cut_short()
    # A decoder guesses the size of one that has none, and may go through a shared one again for each that shares it.
    if sizes.min() < 1 or sizes.sum() > len(reader.content):
        raise BrokenImageError("has strips or tiles that are empty or share their data")
    if _value(reader, entries, _Tag.COMPRESSION, 1) == _JPEG:
        _check_scans(reader.content, offsets, sizes)
    return columns * rows * pixel_bytes


def _check_scans(content: bytes, offsets: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
    for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
        if content.count(b"\xff\xda", offset, offset + size) > _MAX_JPEG_SCANS:
            raise BrokenImageError("has too many scans")


def _with_directory(reader: Reader, entries: dict[_Tag, _Entry]) -> bytes:
    """Returns the file with a directory of these entries alone, behind all else. Their values stay where they are."""
    content = reader.content
    order = ">" if content.startswith(b"M") else "<"
    padding = b"\0" * (len(content) % 2)
    kept = [(tag, entry) for tag, entry in sorted(entries.items()) if tag not in _NOT_TOLD]
    parts = [struct.pack(order + "H", len(kept))]
    for tag, entry in kept:
        inline = content[entry.at : entry.at + entry.num_bytes].ljust(4, b"\0")
        where = inline if entry.num_bytes <= 4 else struct.pack(order + "I", entry.at)
        parts.append(struct.pack(order + "HHI", tag, entry.kind, entry.count) + where)
    start = struct.pack(order + "I", len(content) + len(padding))
    return b"".join((content[:4], start, content[8:], padding, *parts, bytes(4)))
