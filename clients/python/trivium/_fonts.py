"""Letters for labels and read text. Needs Pillow, built with FreeType as its wheels are."""

import functools
from typing import TypeAlias

from PIL import ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "msyh.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
)
"""What usual systems have for other scripts, the widest first; Pillow looks in the system's font folders."""

_LAST_LATIN = "\u024f"


def font_for(text: str, size: int) -> Font:
    """Returns Pillow's own font, or a system's for letters that it does not have; size is the height in pixels."""
    if all(letter <= _LAST_LATIN or "\u2010" <= letter <= "\u20ac" for letter in text):
        return _own_font(size)
    return _wide_font(size) or _own_font(size)


@functools.lru_cache(64)
def _own_font(size: int) -> Font:
    return ImageFont.load_default(size)


@functools.lru_cache(64)
def _wide_font(size: int) -> Font | None:
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
