"""What a picture is to look like: as Pillow shows it."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageOps

from trivium_server.vision.image import ImageLimits

Pixels = NDArray[np.uint8]

# Those of the settings' defaults.
LIMITS = ImageLimits(max_bytes=16 << 20, max_pixels=36_000_000, max_side=16_384, max_decoding_bytes=240 << 20)


def shown(content: bytes) -> Pixels:
    """Returns a file's image upright, on white."""
    with Pil.open(io.BytesIO(content)) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode in {"P", "LA", "PA", "RGBA"} or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Pil.alpha_composite(Pil.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def difference(one: Pixels, other: Pixels) -> Mapping[str, float]:
    """Returns the largest and the mean difference, of 255."""
    assert one.shape == other.shape
    apart = np.abs(one.astype(np.int16) - other)
    return {"most": float(apart.max(initial=0)), "mean": float(apart.mean())}
