"""Files of all formats and modes become the same upright, opaque RGB pixels that Pillow shows."""

import struct
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from tests.vision.bombs import chunk, coded_in_groups, encoded, entry, exif, photo, riff, with_exif
from tests.vision.looking import LIMITS, Pixels, difference, shown
from trivium_server.vision import webp_codes
from trivium_server.vision.image import decode, divisor_for, inspect, sniff
from trivium_server.vision.image_header import ImageFormat

pytestmark = pytest.mark.long

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
    "TIFF": ("RGB", "RGBA", "L", "1", "P", "CMYK"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, written in WRITABLE.items() for mode in written])
def test_every_mode_is_shown_as_pillow_shows_it(kind: str, mode: str) -> None:
    content = encoded(modes()[mode], kind)
    # Of CMYK and of transparency, the last bit is rounded in another way.
    assert difference(decoded(content), shown(content))["most"] <= 1


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("extra_samples", "kind"), [(0, "unknown"), (1, "premultiplied"), (2, "straight")])
def test_a_fourth_sample_of_a_tiff_is_what_the_file_says(extra_samples: int, kind: str, depth: int) -> None:
    colors, alpha = np.asarray(photo(), np.float64), np.asarray(ALPHA, np.float64)[..., None] / 255
    stored = np.concatenate([colors * alpha if kind == "premultiplied" else colors, 255 * alpha], axis=2).round()
    pixels = decoded(tiff_of(stored.astype(np.uint8), depth=depth, extra_samples=extra_samples))
    shown_on_white = colors if kind == "unknown" else colors * alpha + 255 * (1 - alpha)
    assert np.abs(pixels - shown_on_white).max() <= 1.5


def tiff_of(samples: Pixels, *, depth: int, extra_samples: int) -> bytes:
    """An uncompressed TIFF in one strip. samples: shape (height, width, 4)."""
    height, width, count = samples.shape
    data = samples.tobytes() if depth == 8 else (samples.astype("<u2") * 257).tobytes()
    bits, end = struct.pack("<4H", *[depth] * count), 8 + 2 + 12 * 10 + 4
    fields = [(256, width), (257, height), (258, end), (259, 1), (262, 2), (273, end + len(bits)), (277, count)]
    fields += [(278, height), (279, len(data)), (338, extra_samples)]
    entries = [struct.pack("<HHII", tag, 3 if tag == 258 else 4, count if tag == 258 else 1, v) for tag, v in fields]
    return b"".join((struct.pack("<2sHIH", b"II", 42, 8, len(fields)), *entries, bytes(4), bits, data))


def test_of_a_grey_tiff_the_alpha_is_ignored() -> None:
    clear = modes()["LA"]
    assert difference(decoded(encoded(clear, "TIFF")), shown(encoded(clear.getchannel("L"), "TIFF")))["most"] == 0


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
    header = inspect(content, LIMITS)
    divisor = divisor_for(header, side)
    pixels = decode(header, divisor)
    assert pixels.shape == (-(-3001 * expected // 2000), expected, 3)
    whole = Pil.fromarray(decoded(content))
    assert difference(pixels, np.asarray(whole.resize((expected, len(pixels)), Pil.Resampling.BOX)))["mean"] < 1
    assert header.decoding_bytes(divisor) < 1.2 * header.decoding_bytes() / divisor**2 + (1 << 20)


def test_only_a_jpeg_is_decoded_smaller() -> None:
    assert divisor_for(inspect(encoded(photo(), "PNG"), LIMITS), 1) == 1


def test_a_progressive_jpeg_keeps_its_samples_at_any_size() -> None:
    picture = photo(60, 40).resize((1600, 1200), Pil.Resampling.BICUBIC)
    header = inspect(encoded(picture, "JPEG", progressive=True, subsampling=0), LIMITS)
    assert divisor_for(header, 100) == 8
    assert 6 * header.num_pixels < header.decoding_bytes(8) < header.decoding_bytes()


def test_content_decides_what_a_file_is() -> None:
    kinds = {kind: encoded(photo(), kind.name) for kind in ImageFormat}
    assert {kind: sniff(content) for kind, content in kinds.items()} == {kind: kind for kind in ImageFormat}
    for nothing in (b"", b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"GIF88a", b"II\x2b\0", b"%PDF-1.7"):
        assert sniff(nothing) is None


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 16), (257, 41), (1000, 700)])
@pytest.mark.parametrize("options", [{"lossless": True, "method": method} for method in (0, 4, 6)] + [{"method": 4}])
def test_what_encoders_write_as_webp_is_read(size: tuple[int, int], options: dict[str, object]) -> None:
    picture = photo(*size)
    clear = picture.copy()
    clear.putalpha(picture.convert("L").point(lambda value: value // 16 * 16))
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    # With 100, method 6 tries all that there is: half a minute for five images of the largest size.
    most = 75 if options.get("method") == 6 and max(size) == 1000 else 100
    for image in (picture, picture.quantize(200).convert("RGB"), picture.quantize(4), clear, Pil.fromarray(noise)):
        for quality in (0, most):
            content = encoded(image, "WEBP", quality=quality, exact=True, **options)
            header = inspect(content, LIMITS)
            # Encoders have no more than 2600 blocks, and groups of codes far fewer: most are much alike.
            assert header.more_bytes < 9_000_000 + 16 * header.num_pixels
            assert difference(decode(header), shown(content))["most"] <= 1


def test_a_lossless_webp_of_opencv_is_read() -> None:
    picture = np.asarray(photo(640, 480))
    is_written, content = cv2.imencode(".webp", picture[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert is_written
    assert (decoded(content.tobytes()) == picture).all()


@pytest.mark.parametrize(("side", "num_groups"), [(64, 1), (64, 2), (64, 256), (63, 200), (256, 4096)])
def test_groups_of_codes_are_counted(side: int, num_groups: int) -> None:
    group_bytes = webp_codes.coding_bytes(coded_in_groups(side, 1)[5:], side, side)
    more = webp_codes.coding_bytes(coded_in_groups(side, num_groups)[5:], side, side) - group_bytes
    blocks_bytes = 8 * (-(-side // 4)) ** 2
    assert more == (num_groups - 1) * (group_bytes - blocks_bytes)
    assert (decoded(riff((b"VP8L", coded_in_groups(side, num_groups)))) == 0).all()
