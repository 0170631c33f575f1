"""Makes a graph's input of an image, as preprocessor_config.json says.

Source: transformers, the `image_processing_*` modules; keys are theirs, and so is what a missing one means.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.folder_files import FolderFiles, Table
from trivium_server.architectures.vision_capabilities import Image
from trivium_server.vision.boxes import Placement
from trivium_server.vision.fitting import CenterCrop, Fit, Letterbox, ShortestEdge, Squash
from trivium_server.vision.resizing import Resample, normalized, placed, resized

PREPROCESSOR_FILE = "preprocessor_config.json"

_MAX_SIDE = 4096
# PIL's numbers, which transformers writes.
_RESAMPLES = {
    0: Resample.NEAREST,
    1: Resample.LANCZOS,
    2: Resample.BILINEAR,
    3: Resample.BICUBIC,
    4: Resample.BOX,
}
_BICUBIC, _BILINEAR = 3, 2
# Where size is a lone number it is the shorter side's for these, and both sides' for all others.
_SHORTEST_EDGE_FAMILIES = (
    "bit",
    "chineseclip",
    "clip",
    "convnext",
    "levit",
    "mobilenetv",
    "poolformer",
    "detr",
    "yolos",
)
_BICUBIC_FAMILIES = ("bit", "clip", "chineseclip", "convnext", "deit", "levit", "poolformer", "efficientformer")
# Above this, ConvNext's own processor does not crop.
_CONVNEXT_CROPS_BELOW = 384

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph's input, shape (1, 3, height, width), and where the picture lies in it."""

    pixels: Floats
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessor:
    """Brings an image to size and its values to what the graph was trained on. May be called from any thread.

    scale, offset: of each channel in the graph's order: value = pixel * scale + offset. fill: what a margin has, 0 to
    255.
    """

    fit: Fit
    resample: Resample
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    is_bgr: bool = False
    fill: int = 0

    def __call__(self, image: Image) -> Prepared:
        height, width, _ = image.pixels.shape
        plan = self.fit.plan(width, height)
        part = image.pixels[plan.top : plan.bottom, plan.left : plan.right]
        sized = placed(resized(part, *plan.resized, self.resample), *plan.canvas, at=plan.at, fill=self.fill)
        pixels = normalized(sized, scale=self.scale, offset=self.offset, bgr=self.is_bgr)
        return Prepared(pixels, plan.placement)

    def num_pixels(self, image: Image) -> int:
        """Returns how many pixels the input for an image has."""
        height, width, _ = image.pixels.shape
        input_width, input_height = self.fit.plan(width, height).canvas
        return input_width * input_height

    @property
    def usual_pixels(self) -> int:
        """How many pixels the input for a common image has."""
        width, height = self.fit.largest
        return width * height


def read_preprocessor(files: FolderFiles, ours: Table) -> Preprocessor:
    """Reads preprocessor_config.json. ours: `trivium` of config.json. Raises ModelFolderError."""
    table = files.table(PREPROCESSOR_FILE)
    kind = table.text("image_processor_type", table.text("feature_extractor_type", "")).lower()
    scale, offset = _values(table)
    default = _BICUBIC if kind.startswith(_BICUBIC_FAMILIES) else _BILINEAR
    resample = table.integer("resample", low=0, high=max(_RESAMPLES) + 1)
    if resample is not None and resample not in _RESAMPLES:
        raise table.error("resample", f"must be one of {', '.join(map(str, _RESAMPLES))}")
    fit = _fit(table, ours, kind)
    return Preprocessor(
        fit=fit,
        resample=_RESAMPLES[default if resample is None else resample],
        scale=scale,
        offset=offset,
        is_bgr=is_bgr(ours),
        fill=fill_of(ours, fit),
    )


def is_bgr(ours: Table) -> bool:
    """Says in which order a graph takes the channels. Raises ModelFolderError."""
    order = ours.text("channel_order", "rgb")
    if order not in {"rgb", "bgr"}:
        raise ours.error("channel_order", "must be rgb or bgr")
    return order == "bgr"


def fill_of(ours: Table, fit: Fit) -> int:
    """Returns what a margin is filled with: grey around a letterbox, as YOLO has it, else black."""
    stated = ours.integer("pad_value", low=0, high=255)
    if stated is not None:
        return stated
    return 114 if isinstance(fit, Letterbox) else 0


def _values(table: Table) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    factor = table.number("rescale_factor", 1 / 255) if table.flag("do_rescale", default=True) else 1.0
    shift = -1.0 if table.flag("rescale_offset", default=False) else 0.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if table.flag("do_normalize", default=True):
        mean, std = _per_channel(table, "image_mean"), _per_channel(table, "image_std")
        if not all(value > 0 for value in std):
            raise table.error("image_std", "must be above 0")
    if not factor > 0:
        raise table.error("rescale_factor", "must be above 0")
    red, green, blue = ((factor / std[c], (shift - mean[c]) / std[c]) for c in range(3))
    return (red[0], green[0], blue[0]), (red[1], green[1], blue[1])


def _per_channel(table: Table, key: str) -> tuple[float, float, float]:
    values = table.numbers(key)
    match values:
        case (value,):
            return value, value, value
        case (first, second, third):
            return first, second, third
    raise table.error(key, "must be 3 numbers, as do_normalize is not false")


def _fit(table: Table, ours: Table, kind: str) -> Fit:
    if not table.flag("do_resize", default=True):
        raise table.error("do_resize", "must be true: images come in all sizes")
    if table.flag("do_pad", default=False) and table.table("pad_size"):
        raise table.error("pad_size", "is not supported; export the graph for inputs of any size")
    size, crop = _size(table, kind), _crop(table, kind)
    way = ours.text("resize", "squash")
    if way not in {"squash", "letterbox"}:
        raise ours.error("resize", "must be squash or letterbox")
    match size:
        case {"width": width, "height": height} if crop in {None, (width, height)}:
            return Letterbox(width, height) if way == "letterbox" else Squash(width, height)
        case {"shortest_edge": edge, "longest_edge": longest} if crop is None:
            return ShortestEdge(edge, longest)
        case {"shortest_edge": edge} if kind.startswith("convnext"):
            return _convnext(table, edge)
        case {"shortest_edge": edge} if crop is not None:
            return CenterCrop(edge, *crop)
        case {"shortest_edge": _}:
            raise table.error("size", "needs longest_edge too, or do_center_crop: images come in all shapes")
    raise table.error("size", "must have height and width, or shortest_edge; with do_center_crop, shortest_edge")


def _convnext(table: Table, edge: int) -> Fit:
    if edge >= _CONVNEXT_CROPS_BELOW:
        return Squash(edge, edge)
    share = table.number("crop_pct", 224 / 256)
    if not 0.1 <= share <= 1:
        raise table.error("crop_pct", "must be from 0.1 to 1")
    return CenterCrop(int(edge / share), edge, edge)


def _size(table: Table, kind: str) -> dict[str, int]:
    if not table.has_number("size"):
        return _sides(table, "size")
    side = _side(table, "size")
    assert side is not None  # it is a number
    if not kind.startswith(_SHORTEST_EDGE_FAMILIES):
        return {"width": side, "height": side}
    longest = _side(table, "max_size")
    return {"shortest_edge": side} | ({"longest_edge": longest} if longest else {})


def _crop(table: Table, kind: str) -> tuple[int, int] | None:
    default = kind.startswith(("bit", "chineseclip", "clip", "deit", "levit", "mobilenetv", "poolformer"))
    if not table.flag("do_center_crop", default=default):
        return None
    if table.has_number("crop_size"):
        side = _side(table, "crop_size")
        assert side is not None  # it is a number
        return side, side
    sides = _sides(table, "crop_size")
    if not {"width", "height"} <= set(sides):
        raise table.error("crop_size", "must have height and width")
    return sides["width"], sides["height"]


def _sides(table: Table, key: str) -> dict[str, int]:
    sides = Table(f"{table.file} {key}", table.table(key))
    names = ("width", "height", "shortest_edge", "longest_edge")
    stated = {name: _side(sides, name) for name in names}
    return {name: value for name, value in stated.items() if value is not None}


def _side(table: Table, key: str) -> int | None:
    side = table.integer(key, low=1, high=_MAX_SIDE + 1)
    if side is not None and side > _MAX_SIDE:
        raise table.error(key, f"must be {_MAX_SIDE} at most")
    return side
