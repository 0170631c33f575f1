"""What was read in an image, written where it stands there. Needs Pillow."""

import math
from collections.abc import Iterable

from PIL import Image, ImageDraw

from trivium._fonts import Font, font_for
from trivium.vision import TextLine

_STRAIGHT = math.radians(2)
_GROUND, _INK, _UNSURE = (255, 255, 255), (20, 20, 20), (190, 60, 0)
_UNSURE_BELOW = 0.8


def text_panel(size: tuple[int, int], lines: Iterable[TextLine]) -> Image.Image:
    """Returns a white picture of that size with each line at its place, as large as fits, turned as it is.

    Lines with a score below 0.8 are in another colour.
    """
    panel = Image.new("RGB", size, _GROUND)
    for line in lines:
        if line.text and len(line.polygon) == 4:
            _write(panel, line)
    return panel


def _write(panel: Image.Image, line: TextLine) -> None:
    corners = [point.pixels(panel.size) for point in line.polygon]
    (x, y), (end_x, end_y) = corners[0], corners[1]
    width, height = math.hypot(end_x - x, end_y - y), math.dist(corners[1], corners[2])
    angle = math.atan2(end_y - y, end_x - x)
    font = _fitting_font(line.text, width, height)
    ink = _INK if line.score >= _UNSURE_BELOW else _UNSURE
    if abs(angle) < _STRAIGHT:
        ImageDraw.Draw(panel).text((x, y + height / 2), line.text, ink, font, anchor="lm")
        return
    left, top, right, bottom = font.getbbox(line.text)
    mask = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), line.text, 255, font)
    turned = mask.rotate(-math.degrees(angle), Image.Resampling.BICUBIC, expand=True)
    centre = [sum(values) / 4 for values in zip(*corners, strict=True)]
    place = round(centre[0] - turned.width / 2), round(centre[1] - turned.height / 2)
    panel.paste(ink, place, turned)


def _fitting_font(text: str, width: float, height: float) -> Font:
    size = max(6, round(0.8 * height))
    font = font_for(text, size)
    length = font.getlength(text)
    return font if length <= width else font_for(text, max(6, int(size * width / length)))
