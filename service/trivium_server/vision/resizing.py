"""Brings pixels to the size, the frame and the numbers that a graph takes.

Pixels are uint8, shape (height, width, 3). Functions may be called from any thread; they release the interpreter's lock
while they work on pixels.
"""

from collections.abc import Sequence
from enum import Enum, auto

import cv2
import numpy as np
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# A picture this many times as large is first halved: what is left is at least four times as large, so that the filter,
# and not the halving, decides what the result looks like.
_HALVED_FROM = 8


class Resample(Enum):
    """How a resized pixel is made: the filters of PIL, which widen when a picture is made smaller."""

    NEAREST = auto()
    BOX = auto()
    BILINEAR = auto()
    BICUBIC = auto()
    LANCZOS = auto()


_ALGORITHMS = {
    Resample.NEAREST: ResizeAlg.nearest(),
    Resample.BOX: ResizeAlg.convolution(FilterType.box),
    Resample.BILINEAR: ResizeAlg.convolution(FilterType.bilinear),
    Resample.BICUBIC: ResizeAlg.convolution(FilterType.catmull_rom),
    Resample.LANCZOS: ResizeAlg.convolution(FilterType.lanczos3),
}


def resized(pixels: Pixels, width: int, height: int, resample: Resample) -> Pixels:
    """Returns a picture at another size, as PIL's `Image.resize` makes it, to a mean of 0.35 of 255.

    Sizes are at least 1. A picture that has the size already is returned as it is.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = float(pixels.shape[1]), float(pixels.shape[0])
    if resample not in {Resample.NEAREST, Resample.BOX}:
        pixels, picture = _halved(pixels, width, height)
    source = ImageData(pixels.shape[1], pixels.shape[0], PixelType.U8x3, pixels.tobytes())
    target = ImageData(width, height, PixelType.U8x3)
    options = ResizeOptions(resize_alg=_ALGORITHMS[resample], use_alpha=False, crop_box=CropBox(0.0, 0.0, *picture))
    Resizer().resize(source, target, options)
    return np.frombuffer(target.get_buffer(), np.uint8).reshape(height, width, 3)


def placed(pixels: Pixels, width: int, height: int, *, at: tuple[int, int], fill: int) -> Pixels:
    """Returns a canvas with a picture on it. at: x and y of its top left corner; what is outside of the canvas is cut.

    fill: the value of the canvas around it, 0 to 255.
    """
    own_height, own_width = pixels.shape[:2]
    if at == (0, 0) and (own_width, own_height) == (width, height):
        return pixels
    left, top = (max(0, start) for start in at)
    right, bottom = max(left, min(width, at[0] + own_width)), max(top, min(height, at[1] + own_height))
    canvas = np.full((height, width, 3), fill, np.uint8)
    canvas[top:bottom, left:right] = pixels[top - at[1] : bottom - at[1], left - at[0] : right - at[0]]
    return canvas


def normalized(
    pixels: Pixels, *, scale: Sequence[float], offset: Sequence[float], bgr: bool = False
) -> NDArray[np.float32]:
    """Returns pixels * scale + offset, shape (1, 3, height, width). bgr: with blue as the first channel.

    scale and offset have a number for each channel, in the order of the result's channels.
    """
    height, width, _ = pixels.shape
    result = np.empty((1, 3, height, width), np.float32)
    for channel in range(3):
        plane = result[0, channel]
        np.multiply(pixels[:, :, 2 - channel if bgr else channel], np.float32(scale[channel]), out=plane)
        np.add(plane, np.float32(offset[channel]), out=plane)
    return result


def _halved(pixels: Pixels, width: int, height: int) -> tuple[Pixels, tuple[float, float]]:
    """Halves a picture as long as it is far larger than a size: fast, and it keeps no lock, as the last step does.

    Returns also how many of its columns and rows are the picture; a part of the last one may only make a number even.
    """
    rows, columns = pixels.shape[:2]
    picture_columns, picture_rows = float(columns), float(rows)
    while columns >= _HALVED_FROM * width or rows >= _HALVED_FROM * height:
        by_x, by_y = 1 + (columns >= _HALVED_FROM * width), 1 + (rows >= _HALVED_FROM * height)
        if columns % by_x or rows % by_y:
            border = cv2.copyMakeBorder(pixels, 0, rows % by_y, 0, columns % by_x, cv2.BORDER_REPLICATE)
            pixels = np.asarray(border, np.uint8)
        columns, rows = -(-columns // by_x), -(-rows // by_y)
        pixels = np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        picture_columns, picture_rows = picture_columns / by_x, picture_rows / by_y
    return pixels, (picture_columns, picture_rows)
