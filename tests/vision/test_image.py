"""Files of all formats and modes become the same upright, opaque RGB pixels that Pillow shows."""

import struct
from itertools import product

import numpy as np
import pytest
from PIL import Image as Pil

from tests.vision.bombs import chunk, encoded, entry, exif, photo, with_exif
from tests.vision.looking import LIMITS, Pixels, difference, shown
from trivium_server.vision.image import decode, inspect, sniff
from trivium_server.vision.image_header import ImageFormat

ALPHA = Pil.fromarray(np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1)))


def decoded(content: bytes) -> Pixels:
    pixels = decode(inspect(content, LIMITS))
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert not pixels.flags.writeable
    return pixels


def modes() -> dict[str, Pil.Image]:
    picture = photo()
    clear = picture.copy()
    clear.putalpha(ALPHA)
    grey = picture.convert("L")
    return {
        "RGB": picture,
        "RGBA": clear,
        "L": grey,
        "LA": Pil.merge("LA", (grey, ALPHA)),
        "1": grey.convert("1"),
        "P": picture.quantize(64),
        "P of 2": picture.quantize(2),
        "CMYK": picture.convert("CMYK"),
    }


WRITABLE = {
    "JPEG": ("RGB", "L", "1", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "1", "P", "P of 2"),
    "WEBP": ("RGB", "RGBA", "L", "LA", "P"),
    "GIF": ("RGB", "L", "1", "P", "P of 2"),
    "BMP": ("RGB", "L", "1", "P"),
    "TIFF": ("RGB", "L", "1", "P", "CMYK"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, written in WRITABLE.items() for mode in written])
def test_every_mode_is_shown_as_pillow_shows_it(kind: str, mode: str) -> None:
    content = encoded(modes()[mode], kind)
    # Of CMYK and of transparency, the last bit is rounded in another way.
    assert difference(decoded(content), shown(content))["most"] <= 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"subsampling": 0, "quality": 95}),
        ("JPEG", {"subsampling": 1}),
        ("PNG", {"compress_level": 0}),
        ("WEBP", {"lossless": True}),
        ("GIF", {"interlace": 0}),
        ("GIF", {"interlace": 1}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    ],
)
def test_every_coding_is_read(kind: str, options: dict[str, object]) -> None:
    content = encoded(photo(), kind, **options)
    assert difference(decoded(content), shown(content))["most"] == 0


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax_is_read(compression: str) -> None:
    content = encoded(photo().convert("1"), "TIFF", compression=compression)
    assert difference(decoded(content), shown(content))["most"] == 0


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_color_of_a_palette_is_white(kind: str) -> None:
    image = photo().quantize(16)
    content = encoded(image, kind, transparency=3)
    hidden = np.asarray(image) == 3
    assert hidden.any()
    assert (decoded(content)[hidden] == 255).all()
    assert difference(decoded(content), shown(content))["most"] <= 1


@pytest.mark.parametrize("with_alpha", [False, True])
def test_16_bits_become_the_upper_8(*, with_alpha: bool) -> None:
    import zlib

    channels = 4 if with_alpha else 3
    samples = np.random.default_rng(0).integers(0, 1 << 16, (20, 30, channels)).astype(">u2")
    samples[:, :, 3:] = 0xFFFF
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 6 if with_alpha else 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert (decoded(content) == samples[:, :, :3] >> 8).all()


def test_16_bits_of_grey_become_the_upper_8() -> None:
    samples = np.random.default_rng(0).integers(0, 1 << 16, (20, 30)).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        assert (decoded(encoded(Pil.fromarray(samples), kind)) == (samples >> 8)[:, :, None]).all()


def upright_and_stored(orientation: int) -> tuple[Pil.Image, Pil.Image]:
    """Returns a picture, and how a camera held in that way stores it."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = photo(48, 32)
    return upright, upright.transpose(Pil.Transpose(undo[orientation])) if orientation > 1 else upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_undone(orientation: int) -> None:
    upright, stored = upright_and_stored(orientation)
    for order in "<>":
        block = exif(entry(0x0112, 3, 1, orientation, order), order=order)
        bare = encoded(stored, "PNG")
        png = bare[:33] + chunk(b"eXIf", block) + bare[33:]
        assert (decoded(png) == np.asarray(upright)).all()
        jpeg = with_exif(encoded(stored, "JPEG", quality=95, subsampling=0), block)
        assert difference(decoded(jpeg), np.asarray(upright))["mean"] < 3
        assert difference(decoded(jpeg), shown(jpeg))["most"] == 0
        webp = encoded(stored, "WEBP", lossless=True, exif=b"Exif\0\0" + block)
        assert (decoded(webp) == np.asarray(upright)).all()
    tiff = encoded(stored, "TIFF", tiffinfo={274: orientation})
    assert (decoded(tiff) == np.asarray(upright)).all()
    assert inspect(tiff, LIMITS).orientation == orientation


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_that_is_none_is_upright(value: int) -> None:
    content = with_exif(encoded(photo(), "JPEG"), exif(entry(0x0112, 3, 1, value)))
    assert inspect(content, LIMITS).orientation == 1


@pytest.mark.parametrize(("width", "height"), list(product([1, 2, 7, 8, 9, 17], [1, 3, 8, 16, 65])))
def test_all_small_sizes_are_read(width: int, height: int) -> None:
    picture = photo(width, height)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        content = encoded(picture, kind)
        assert decoded(content).shape == (height, width, 3)
        assert difference(decoded(content), shown(content))["most"] <= 1


def test_the_format_changes_little() -> None:
    picture = photo(300, 200)
    exact = np.asarray(picture)
    for kind in ("PNG", "BMP", "TIFF"):
        assert (decoded(encoded(picture, kind)) == exact).all()
    assert (decoded(encoded(picture, "WEBP", lossless=True)) == exact).all()
    assert difference(decoded(encoded(picture, "JPEG", quality=95, subsampling=0)), exact)["mean"] < 3
    assert difference(decoded(encoded(picture, "WEBP", quality=95)), exact)["mean"] < 6


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_images_the_first_is_read(kind: str) -> None:
    others = [Pil.new("RGB", (160, 120), color) for color in ("red", "blue")]
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(photo(), kind, save_all=True, append_images=others, **options)
    first = np.asarray(photo())
    assert difference(decoded(content), first)["mean"] < (12 if kind == "GIF" else 0.001)


def test_a_frame_is_put_on_its_white_canvas() -> None:
    whole = encoded(Pil.new("P", (4, 3)), "GIF")
    at = whole.index(b",", 13)
    moved = whole[:6] + struct.pack("<HH", 10, 9) + whole[10 : at + 1] + struct.pack("<HH", 2, 5) + whole[at + 5 :]
    pixels = decoded(moved)
    assert pixels.shape == (9, 10, 3)
    assert (pixels[5:8, 2:6] == 0).all()
    assert (pixels == 0).sum() == 4 * 3 * 3
    assert (pixels[:5] == 255).all()


@pytest.mark.parametrize(
    ("side", "expected"), [(None, 2000), (2000, 2000), (1001, 2000), (1000, 1000), (501, 1000), (500, 500), (1, 250)]
)
def test_a_jpeg_is_decoded_as_small_as_is_enough(side: int | None, expected: int) -> None:
    picture = photo(60, 40).resize((3001, 2000), Pil.Resampling.BICUBIC)
    content = with_exif(encoded(picture, "JPEG", quality=90), exif(entry(0x0112, 3, 1, 6)))
    pixels = decode(inspect(content, LIMITS), side)
    assert pixels.shape == (-(-3001 * expected // 2000), expected, 3)
    whole = Pil.fromarray(decoded(content))
    assert difference(pixels, np.asarray(whole.resize((expected, len(pixels)), Pil.Resampling.BOX)))["mean"] < 1


def test_only_a_jpeg_is_decoded_smaller() -> None:
    assert decode(inspect(encoded(photo(), "PNG"), LIMITS), 1).shape == (120, 160, 3)


def test_content_decides_what_a_file_is() -> None:
    kinds = {kind: encoded(photo(), kind.name) for kind in ImageFormat}
    assert {kind: sniff(content) for kind, content in kinds.items()} == {kind: kind for kind in ImageFormat}
    for nothing in (b"", b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"GIF88a", b"II\x2b\0", b"%PDF-1.7"):
        assert sniff(nothing) is None
