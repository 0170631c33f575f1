"""Turns the bytes of an image file into pixels: upright, opaque, RGB.

What a file claims is checked before a decoder sees it (see `image_header`), and what a decoder makes is checked against
what the file claimed. Functions may be called from any thread.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from trivium_server.vision import bmp_file, gif_file, jpeg_file, png_file, tiff_file, webp_file
from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat

Pixels = NDArray[np.uint8]

_READERS = {
    ImageFormat.JPEG: jpeg_file.read,
    ImageFormat.PNG: png_file.read,
    ImageFormat.WEBP: webp_file.read,
    ImageFormat.GIF: gif_file.read,
    ImageFormat.BMP: bmp_file.read,
    ImageFormat.TIFF: tiff_file.read,
}
_WHITE = 255
_BAND_PIXELS = 1 << 16
# OpenCV's flags for a part of the size, without those for colours that come with them.
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8 & ~cv2.IMREAD_COLOR_BGR,
    4: cv2.IMREAD_REDUCED_COLOR_4 & ~cv2.IMREAD_COLOR_BGR,
    2: cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR_BGR,
}


class OversizedImageError(ValueError):
    """The image is larger than the limits allow."""

    def __init__(self, actual: int, limit: int, unit: str) -> None:
        super().__init__(f"has {actual} {unit}; the limit is {limit}")
        self.actual = actual
        self.limit = limit
        self.unit = unit


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What an image may have at most. max_decoding_bytes: memory that decoding it may take, without the file."""

    max_bytes: int
    max_pixels: int
    max_side: int
    max_decoding_bytes: int
    formats: Collection[ImageFormat] = frozenset(ImageFormat)


def sniff(content: bytes) -> ImageFormat | None:
    """Says what a file is by its first bytes; None for none of the formats that are read."""
    if content.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if content.startswith(png_file.SIGNATURE):
        return ImageFormat.PNG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if content.startswith((b"GIF87a", b"GIF89a")):
        return ImageFormat.GIF
    if content.startswith((b"II*\0", b"MM\0*")):
        return ImageFormat.TIFF
    if content.startswith(b"BM"):
        return ImageFormat.BMP
    return None


def inspect(content: bytes, limits: ImageLimits) -> Header:
    """Returns what a file says of its image, within the limits. Looks at the structure of the file, not at pixels.

    Raises BrokenImageError and OversizedImageError.
    """
    if len(content) > limits.max_bytes:
        raise OversizedImageError(len(content), limits.max_bytes, "bytes")
    kind = sniff(content)
    if kind is None or kind not in limits.formats:
        names = ", ".join(known.name for known in ImageFormat if known in limits.formats)
        raise BrokenImageError(f"is of a type that is not read; read are {names}")
    header = _READERS[kind](content)
    if (side := max(header.width, header.height)) > limits.max_side:
        raise OversizedImageError(side, limits.max_side, "pixels on a side")
    if header.num_pixels > limits.max_pixels:
        raise OversizedImageError(header.num_pixels, limits.max_pixels, "pixels")
    if (num_bytes := header.decoding_bytes()) > limits.max_decoding_bytes:
        raise OversizedImageError(num_bytes, limits.max_decoding_bytes, "bytes to hold while it is decoded")
    return header


def divisor_for(header: Header, enough_side: int | None) -> int:
    """Returns by what both sides may be divided: 8, 4 or 2 for a JPEG whose shorter side then has enough_side, else 1.

    enough_side: None for the whole size.
    """
    if enough_side is None or header.format is not ImageFormat.JPEG:
        return 1
    side = min(header.width, header.height)
    return next((divisor for divisor in _REDUCED if side // divisor >= enough_side), 1)


def decode(header: Header, divisor: int = 1) -> Pixels:
    """Decodes an image: RGB, shape (height, width, 3), upright, transparency on white, C-contiguous, read-only.

    divisor: one of `divisor_for`. 16 bits become their upper 8. Raises BrokenImageError.
    """
    pixels = _painted(header) if header.palette else _decoded(header, divisor)
    if header.frame is not None:
        left, top, width, height = header.frame
        canvas = np.full((header.height, header.width, 3), _WHITE, np.uint8)
        canvas[top : top + height, left : left + width] = pixels
        pixels = canvas
    pixels = np.ascontiguousarray(_upright(pixels, header.orientation))
    pixels.flags.writeable = False
    return pixels


def _decoded(header: Header, divisor: int) -> Pixels:
    flags = cv2.IMREAD_UNCHANGED
    if not header.has_alpha:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | _REDUCED.get(divisor, 0)
    try:
        pixels = cv2.imdecode(np.frombuffer(header.clean(), np.uint8), flags)
    except cv2.error as error:
        raise BrokenImageError("has image data that cannot be decoded") from error
    width, height = header.frame[2:] if header.frame else (header.width, header.height)
    if pixels is None:
        raise BrokenImageError("has image data that cannot be decoded")
    if pixels.shape[:2] != (-(-height // divisor), -(-width // divisor)):
        raise BrokenImageError("says that its image has one size, and has one of another")
    if not header.has_alpha:
        return np.asarray(pixels, np.uint8)
    return _opaque(pixels, is_premultiplied=header.is_premultiplied)


def _opaque(decoded: NDArray[np.integer | np.floating], *, is_premultiplied: bool) -> Pixels:
    """Shows what was decoded with its alpha, if it has one after all, on white."""
    pixels: Pixels
    if decoded.dtype == np.uint16:
        pixels = np.empty(decoded.shape, np.uint8)
        np.right_shift(decoded, 8, out=pixels, dtype=np.uint16, casting="unsafe")
    elif decoded.dtype == np.uint8:
        pixels = np.asarray(decoded, np.uint8)
    else:
        raise BrokenImageError("has samples of a kind that is not read")
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    if pixels.shape[2] == 3:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    result = np.empty((*pixels.shape[:2], 3), np.uint8)
    for band in _bands(len(pixels), pixels.shape[1]):
        colors = cv2.cvtColor(pixels[band], cv2.COLOR_BGRA2RGB, dst=result[band])
        alpha = np.ascontiguousarray(pixels[band, :, 3])
        # Most pictures with an alpha channel make no use of it.
        if alpha.min() == _WHITE:
            continue
        if is_premultiplied:
            cv2.add(colors, cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGB), dst=result[band])
        else:
            darkness = cv2.multiply(cv2.bitwise_not(colors), cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), scale=1 / _WHITE)
            cv2.bitwise_not(darkness, dst=result[band])
    return result


def _painted(header: Header) -> Pixels:
    """Decodes a GIF. OpenCV's own decoder for it takes a minute for what is decoded here in a second."""
    palette = header.palette
    assert palette is not None
    width, height = header.frame[2:] if header.frame else (header.width, header.height)
    try:
        image = PIL.Image.frombytes(
            "P", (width, height), header.clean(), "gif", palette.code_bits, int(palette.is_interlaced)
        )
    except (ValueError, OSError) as error:
        raise BrokenImageError("has image data that cannot be decoded") from error
    colors = np.zeros((256, 3), np.uint8)
    stated = np.frombuffer(palette.colors, np.uint8).reshape(-1, 3)
    colors[: len(stated)] = stated
    if palette.transparent is not None:
        colors[palette.transparent] = _WHITE
    indices = np.asarray(image)
    result = np.empty((height, width, 3), np.uint8)
    for band in _bands(height, width):
        result[band] = cv2.LUT(cv2.cvtColor(indices[band], cv2.COLOR_GRAY2RGB), colors[None])
    return result


def _bands(height: int, width: int) -> Iterator[slice]:
    """Yields rows to work on at a time: what is computed for them stays small, and fast."""
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, top + rows)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turns a picture as its EXIF orientation says. Source: CIPA DC-008 (Exif 2.32), table 6."""
    if orientation >= 5:
        pixels = np.asarray(cv2.transpose(pixels), np.uint8)
    # Around both axes, the vertical one and the horizontal one, after it was mirrored on its diagonal.
    code = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if code is None else np.asarray(cv2.flip(pixels, code, dst=pixels), np.uint8)
