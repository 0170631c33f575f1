"""Files as PIL pictures. What needs Pillow calls require_pillow() first."""

import io
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def upright(picture: "Image") -> "Image":
    """Returns a picture as its file means it to be seen, in grey, RGB or RGBA with 8 bits for each channel."""
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("L", "RGB", "RGBA"):
        return picture
    if picture.mode.startswith("I;16"):
        return picture.point(lambda value: value / 256).convert("L")
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def require_pillow() -> None:
    """Raises ModuleNotFoundError, with what to do, where Pillow is missing."""
    if find_spec("PIL") is None:
        raise ModuleNotFoundError("Pillow is not installed; run: pip install 'clients/python[images]'", name="PIL")


def open_picture(file: bytes) -> "Image":
    """Returns the first image of a file: upright, RGB, on white where it is transparent.

    Raises OSError for a file that Pillow cannot read.
    """
    from PIL.Image import open as open_image

    with open_image(io.BytesIO(file)) as opened:
        return on_white(upright(opened))


def on_white(picture: "Image") -> "Image":
    """Returns an upright picture as RGB."""
    from PIL.Image import new

    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")
