"""Pages with known text, the same every time: of several languages, fonts, sizes, columns and conditions."""

import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.ocr_texts import CODE, INVOICE, PASSAGES

Picture = Image.Image

_FONTS = {
    "sans": ("fontpkg_noto_sans", "files/NotoSans[wdth,wght].ttf", 0),
    "serif": ("fontpkg_noto_serif", "files/NotoSerif[wdth,wght].ttf", 0),
    "bold": ("fontpkg_noto_sans", "files/NotoSans[wdth,wght].ttf", 0),
    "ja": ("manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc", 0),
    "zh": ("manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc", 2),
}
_UNSPACED = {"ja", "zh"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """How a page looks. Sizes in pixels; size is that of the font, angle counts counterclockwise in degrees.

    fill: how much of the page the text takes at most, from the top. content: "text", "invoice" or "code".
    """

    language: str = "en"
    font: str = "sans"
    size: int = 20
    width: int = 900
    height: int = 1200
    columns: int = 1
    effect: str = "clean"
    angle: float = 0
    fill: float = 1.0
    content: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page. pixels: RGB, shape (height, width, 3), uint8. lines: what it says, in reading order."""

    name: str
    kind: str
    pixels: NDArray[np.uint8]
    lines: tuple[str, ...]

    def png(self) -> bytes:
        """Returns the page as a PNG file."""
        stream = io.BytesIO()
        Image.fromarray(self.pixels).save(stream, "PNG", compress_level=1)
        return stream.getvalue()


def specs() -> dict[str, list[Spec]]:
    """Returns what is rendered, by kind of page."""
    letter = Spec(width=1240, height=1754)
    scan = Spec(width=2480, height=3508)
    return {
        "plain": [
            Spec(language=language, font=font, size=size, height=height)
            for language, font in zip(PASSAGES, cycle(("sans", "serif", "bold")), strict=False)
            for size, height in ((15, 500), (26, 1100))
        ],
        "columns": [
            dataclasses.replace(letter, language=language, columns=columns, font="serif")
            for language in ("en", "de", "fr", "zh", "ja")
            for columns in (2, 3)
        ],
        "noisy": [
            Spec(language=language, effect=effect, height=640)
            for effect in EFFECTS
            if effect != "clean"
            for language in ("en", "pl", "ja")
        ],
        "tilted": [
            Spec(language=language, angle=angle, height=640) for angle in (-6, -2, 1.5, 4) for language in ("es", "zh")
        ],
        "turned": [
            Spec(language=language, angle=angle, height=640, font="serif")
            for angle in (90, 180, 270)
            for language in ("en", "fr", "ja")
        ],
        "small": [
            Spec(size=18, width=400, height=190),
            Spec(size=14, width=640, height=200, language="cs"),
            Spec(size=24, width=320, height=48),
            Spec(size=64, width=900, height=420),
            Spec(size=30, width=640, height=480, language="zh"),
            Spec(size=12, width=300, height=400, language="pt"),
        ],
        "large": [
            dataclasses.replace(scan, size=42),
            dataclasses.replace(scan, size=26, columns=2, language="de"),
            dataclasses.replace(scan, size=44, language="ja"),
            dataclasses.replace(scan, size=22, fill=0.15, language="fr"),
            Spec(width=4000, height=3000, size=18, fill=0.12),
            Spec(width=3000, height=4000, size=90, fill=0.9, language="es"),
        ],
        "tables": [
            Spec(content="invoice", width=900, height=640, size=22),
            Spec(content="invoice", width=1240, height=1754, size=24, font="serif"),
            Spec(content="invoice", width=700, height=420, size=15, effect="noise"),
            Spec(content="code", width=800, height=420, size=20),
            Spec(content="code", width=1000, height=640, size=28, effect="inverted"),
        ],
    }


def pages(kinds: Sequence[str] | None = None) -> Iterator[Page]:
    """Yields the pages, of these kinds only where given."""
    for kind, group in specs().items():
        if kinds is None or kind in kinds:
            yield from (render(spec, kind=kind, number=number) for number, spec in enumerate(group))


def render(spec: Spec, *, kind: str = "one", number: int = 0) -> Page:
    """Renders a page. The same spec and number give the same page."""
    sheet = Image.new("RGB", (spec.width, spec.height), "white")
    write = {"text": _write_text, "invoice": _write_invoice, "code": _write_code}[spec.content]
    lines = write(ImageDraw.Draw(sheet), spec)
    if spec.angle % 90:
        sheet = sheet.rotate(spec.angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    elif spec.angle:
        sheet = sheet.rotate(spec.angle, expand=True)
    seen = EFFECTS[spec.effect](sheet, number)
    described = f"{spec.language}-{spec.size}px-{spec.columns}col-{spec.effect}-{spec.angle:g}deg"
    name = f"{kind}-{number:02}-{described if spec.content == 'text' else spec.content}"
    return Page(name=name, kind=kind, pixels=np.array(seen.convert("RGB")), lines=tuple(lines))


def font_of(language: str, font: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns a font that has the language's characters."""
    package, path, index = _FONTS[language if language in _UNSPACED else font]
    loaded = ImageFont.truetype(str(files(package) / path), size, index=index)
    loaded.set_variation_by_name("Bold" if font == "bold" else "Regular")
    return loaded


def _write_text(draw: ImageDraw.ImageDraw, spec: Spec) -> list[str]:
    font = font_of(spec.language, spec.font, spec.size)
    margin, gap, leading = max(8, spec.width // 16), spec.width // 20, round(spec.size * 1.45)
    column = (spec.width - 2 * margin - gap * (spec.columns - 1)) // spec.columns
    num_rows = max(1, int((spec.height * spec.fill - 2 * min(margin, spec.height // 8)) // leading))
    pieces = _pieces(spec.language)
    written = []
    for number in range(spec.columns):
        for row in range(num_rows):
            if spec.columns > 1 and row % 9 == 8:  # between paragraphs
                continue
            line = _fitting(pieces, font, column, joint="" if spec.language in _UNSPACED else " ")
            place = (margin + number * (column + gap), min(margin, spec.height // 8) + row * leading)
            draw.text(place, line, font=font, fill=(20, 20, 24))
            written.append(line)
    return written


def _write_invoice(draw: ImageDraw.ImageDraw, spec: Spec) -> list[str]:
    font = font_of(spec.language, spec.font, spec.size)
    stops = [spec.width * share for share in (0.06, 0.5, 0.66, 0.84)]
    for row, cells in enumerate(INVOICE):
        for stop, cell in zip(stops, cells, strict=True):
            draw.text((stop, spec.size * (1.5 + 2 * row)), cell, font=font, fill=(20, 20, 24))
    return [" ".join(cell for cell in cells if cell) for cells in INVOICE]


def _write_code(draw: ImageDraw.ImageDraw, spec: Spec) -> list[str]:
    font = font_of(spec.language, spec.font, spec.size)
    for row, line in enumerate(CODE):
        indent = (len(line) - len(line.lstrip())) * spec.size * 0.6
        draw.text((spec.width / 20 + indent, spec.size * (1 + 1.6 * row)), line.lstrip(), font=font, fill=(20, 20, 24))
    return [line.strip() for line in CODE if line]


def _pieces(language: str) -> Iterator[str]:
    """Yields the passage over and over, in pieces between which a line may end."""
    passage = PASSAGES[language]
    return cycle(passage if language in _UNSPACED else passage.split())


def _fitting(pieces: Iterator[str], font: ImageFont.FreeTypeFont, width: int, *, joint: str) -> str:
    line, longest = next(pieces), joint + "mmmmm" if joint else "汉"
    while font.getlength(line + longest) <= width:
        line += joint + next(pieces)
    return line


def _with_noise(picture: Picture, seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    pixels = np.asarray(picture, np.float32)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 18, pixels.shape), 0, 255).astype(np.uint8))


def _as_poor_jpeg(picture: Picture, _: int) -> Picture:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=22)
    return Image.open(stream).convert("RGB")


def _blurred(picture: Picture, _: int) -> Picture:
    return picture.filter(ImageFilter.GaussianBlur(1.2))


def _faint(picture: Picture, _: int) -> Picture:
    return picture.point(lambda value: 150 + value * 0.32)


def _inverted(picture: Picture, _: int) -> Picture:
    return picture.point(lambda value: 255 - value)


def _on_paper(picture: Picture, seed: int) -> Picture:
    """Shadowed from one side, on paper that is not white and has grain, as a photograph of it."""
    pixels = np.asarray(picture, np.float32)
    height, width, _ = pixels.shape
    shadow = np.linspace(0.55, 1, width)[None, :, None] * np.linspace(1, 0.8, height)[:, None, None]
    grain = np.random.default_rng(seed).normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(pixels * shadow * (0.98, 0.94, 0.85) + grain, 0, 255).astype(np.uint8))


EFFECTS: Mapping[str, Callable[[Picture, int], Picture]] = {
    "clean": lambda picture, _: picture,
    "noise": _with_noise,
    "jpeg": _as_poor_jpeg,
    "blur": _blurred,
    "faint": _faint,
    "inverted": _inverted,
    "paper": _on_paper,
}
