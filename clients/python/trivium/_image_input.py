"""Images as callers give them, made into a file that the server reads.

A path and bytes are sent as they are. An array and a PIL image become PNG, without loss: an answer must not depend on
how the client packed its pixels. Who sends over a slow line, or more pixels than a request may have, gives `jpeg(…)`.
"""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, Union

from trivium._error_types import ErrorReason, InputTooLarge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

ImageInput: TypeAlias = Union[str, os.PathLike[str], bytes, bytearray, memoryview, "NDArray[np.uint8]", "Image"]
"""The path of a file; the bytes of a file; pixels as an array of uint8, shape (height, width) grey, (height, width, 3)
RGB or (height, width, 4) RGBA; or a PIL image, whose EXIF orientation counts as it does in its file."""

_MAX_FILE_BYTES = 1024 * 1024 * 1024
"""Of a file to be made smaller, which no request need carry."""

_FILES = "JPEG, PNG, WebP, GIF, BMP or TIFF"
_WANTED = f"a path, the bytes of a file ({_FILES}), an array of uint8 or a PIL image"


def encoded(image: object, limit_bytes: int) -> bytes:
    """Returns the file to send.

    Raises OSError where a path cannot be read, InputTooLarge for a file of more than limit_bytes, TypeError and
    ValueError for what is no image.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        made = bytes(image)
    elif isinstance(image, str | os.PathLike):
        made = _read(image, limit_bytes)
    elif _is_array(image):
        made = _from_array(image)
    elif _is_picture(image):
        made = _from_picture(image)
    else:
        raise TypeError(f"image is {type(image).__name__}; give {_WANTED}")
    if not made:
        raise ValueError("image is empty")
    check_image_size(len(made), limit_bytes)
    return made


def check_image_size(size: int, limit_bytes: int) -> None:
    """Raises InputTooLarge for an image that a request cannot carry."""
    if size > limit_bytes:
        raise InputTooLarge(
            f"image takes {size} bytes, and a request may have {limit_bytes}; send it smaller or as JPEG, as "
            "trivium.vision.jpeg makes it, or raise max_message_bytes of the client and the server's max_request_bytes",
            reason=ErrorReason.INPUT_TOO_LARGE,
            metadata={"field": "image", "actual": str(size), "limit": str(limit_bytes)},
        )


def _read(path: str | os.PathLike[str], limit_bytes: int) -> bytes:
    if isinstance(path, str) and path.partition("://")[0] in ("http", "https", "data"):
        raise ValueError("image is a URL; the server takes bytes only, so fetch it first")
    with Path(path).open("rb") as file:
        check_image_size(os.fstat(file.fileno()).st_size, limit_bytes)
        return file.read(limit_bytes + 1)  # a pipe has no size


def _is_array(image: object) -> "TypeGuard[NDArray[np.generic]]":
    numpy = sys.modules.get("numpy")  # who has an array has imported it
    return numpy is not None and isinstance(image, numpy.ndarray)


def _is_bytes(pixels: "NDArray[np.generic]") -> "TypeGuard[NDArray[np.uint8]]":
    return pixels.dtype.name == "uint8"


def _is_picture(image: object) -> "TypeGuard[Image]":
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _from_array(pixels: "NDArray[np.generic]") -> bytes:
    from trivium import _png

    return _png.encode(_checked_pixels(pixels))


def _checked_pixels(pixels: "NDArray[np.generic]") -> "NDArray[np.uint8]":
    shape = pixels.shape
    if not _is_bytes(pixels):
        hint = "; multiply by 255 what is 0 to 1, and round" if pixels.dtype.kind == "f" else ""
        raise TypeError(f"image is an array of {pixels.dtype.name}, not of uint8{hint}")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)):
        raise ValueError(f"image is an array of shape {shape}, not (height, width), (height, width, 3) or (…, 4)")
    if 0 in shape:
        raise ValueError(f"image is an array of shape {shape}, which has no pixels")
    return pixels


def _from_picture(picture: "Image") -> bytes:
    import numpy as np

    from trivium._pictures import upright

    if picture.mode in ("I", "F"):
        raise TypeError(f"image is a PIL image of mode {picture.mode}, whose range is unknown; convert it to RGB or L")
    return _from_array(np.asarray(upright(picture)))


def _opened(image: ImageInput) -> "Image":
    from trivium._pictures import on_white, open_picture, require_pillow, upright

    require_pillow()
    from PIL.Image import fromarray

    if _is_array(image):
        return on_white(fromarray(_checked_pixels(image)))
    if _is_picture(image):
        return on_white(upright(image))
    return open_picture(encoded(image, _MAX_FILE_BYTES))


def jpeg(image: ImageInput, *, quality: int = 90, max_side: int | None = None) -> bytes:
    """Returns an image as the bytes of a JPEG file: a tenth to a fifth of what it takes without loss. Needs Pillow.

    quality: 1 to 95. max_side: makes an image smaller whose width or height exceeds this many pixels. Transparency is
    shown on white. Raises ModuleNotFoundError without Pillow; OSError for a file that cannot be read; TypeError and
    ValueError for what is no image.
    """
    picture = _opened(image)
    if max_side is not None:
        picture.thumbnail((max_side, max_side))
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=quality)
    return made.getvalue()
