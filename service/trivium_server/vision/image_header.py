"""What a file says of its image, read before anything is decoded.

One module for each format (`jpeg_file`, `png_file`, …) walks the file, within bounds, checks what a decoder would
trust, and makes a file of what decoding needs alone: no metadata, no colour profile, no second frame or page.
"""

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass

# What allocators, rows in work and tables take beside.
_SPARE = 1.05
_OTHER_BYTES = 1 << 20


class BrokenImageError(ValueError):
    """The file is no image that can be read. The message goes on after "the file …", and holds nothing of the file."""


class ImageFormat(enum.Enum):
    """A format by its name, as settings have it; its value is the MIME type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    BMP = "image/bmp"
    TIFF = "image/tiff"


@dataclass(frozen=True, slots=True)
class Palette:
    """How the pixels of a GIF are coded. colors: three bytes each. transparent: which of them is none, if one is."""

    colors: bytes
    transparent: int | None
    code_bits: int
    is_interlaced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of an image.

    width, height: as it is stored; where it is a part of a canvas (a frame of an animation), those of the canvas.
    orientation: that of EXIF, 1 to 8; 1 is upright. has_alpha: it is decoded with its alpha. is_premultiplied: its
    colours are multiplied by that already. bytes_per_pixel: what a decoder takes for each pixel, its result included.
    more_bytes: what it takes beside. result_bytes: its result alone, of which there is a copy for a moment. clean:
    makes the file to decode; of a GIF, the coded pixels. frame: left, top, width and height of what is stored, in the
    canvas.
    """

    format: ImageFormat
    width: int
    height: int
    clean: Callable[[], bytes]
    orientation: int = 1
    has_alpha: bool = False
    is_premultiplied: bool = False
    bytes_per_pixel: float = 3.0
    more_bytes: int = 0
    result_bytes: int = 3
    palette: Palette | None = None
    frame: tuple[int, int, int, int] | None = None

    @property
    def num_pixels(self) -> int:
        return self.width * self.height

    def decoding_bytes(self, divisor: int = 1) -> int:
        """What decoding takes at most, without the file, where its result has both sides divided by a number."""
        num_results = -(-self.width // divisor) * -(-self.height // divisor)
        # What else a decoder keeps, it keeps of the whole image.
        work = (self.bytes_per_pixel - self.result_bytes) * self.num_pixels + self.result_bytes * num_results
        # Each step makes its own array while the one before is there; the last two, on a canvas and upright, have 3.
        copies = max(2 * self.result_bytes, self.result_bytes + 3, 6) * num_results
        return int(max(work, copies) * _SPARE) + self.more_bytes + _OTHER_BYTES


class Reader:
    """Reads numbers of a file in its byte order. What is not there raises BrokenImageError."""

    def __init__(self, content: bytes, *, is_big_endian: bool) -> None:
        self.content = content
        order = ">" if is_big_endian else "<"
        self._u16, self._u32, self._i32 = (struct.Struct(order + code) for code in "HIi")

    def u8(self, at: int) -> int:
        if not 0 <= at < len(self.content):
            raise cut_short()
        return self.content[at]

    def u16(self, at: int) -> int:
        return self._read(self._u16, at)

    def u24(self, at: int) -> int:
        """Little-endian."""
        return int.from_bytes(self.bytes(at, 3), "little")

    def u32(self, at: int) -> int:
        return self._read(self._u32, at)

    def i32(self, at: int) -> int:
        return self._read(self._i32, at)

    def bytes(self, at: int, count: int) -> bytes:
        if at < 0 or at + count > len(self.content):
            raise cut_short()
        return self.content[at : at + count]

    def _read(self, number: struct.Struct, at: int) -> int:
        if at < 0 or at + number.size > len(self.content):
            raise cut_short()
        value: int = number.unpack_from(self.content, at)[0]
        return value


def cut_short() -> BrokenImageError:
    """Returns the error for a file that ends too early."""
    return BrokenImageError("is cut short")


def check_size(width: int, height: int) -> None:
    """Raises BrokenImageError for an image without pixels."""
    if width < 1 or height < 1:
        raise BrokenImageError(f"says that its image is {width}x{height} pixels")
