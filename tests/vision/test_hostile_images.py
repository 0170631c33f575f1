"""Files that are made to hurt: each is refused or decoded, quickly, in little memory, and says why."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vision.bombs import chunk, encoded, photo, png, png_in, progressive, zeros
from tests.vision.looking import LIMITS
from trivium_server.vision.image import OversizedImageError, decode, inspect
from trivium_server.vision.image_header import BrokenImageError

pytestmark = pytest.mark.long
_MAX_CPU_S = 1.0
_MAX_ADDED_MIB = 244  # 256 MB
_ROOT = Path(__file__).parents[2]
# They look at one run of the child, in which nothing else is to have the processor.
MEASURED = pytest.mark.alone


@functools.cache
def measured() -> dict[str, dict[str, object]]:
    program = [sys.executable, "-m", "tests.vision.measured_child"]
    child = subprocess.run(program, cwd=_ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return {line["name"]: line for line in map(json.loads, child.stdout.splitlines())}


@MEASURED
def test_each_bomb_takes_little_time_and_memory() -> None:
    bombs = measured()
    assert len(bombs) > 130
    slow = [line for line in bombs.values() if not 0 <= line["cpu_s"] < _MAX_CPU_S]  # type: ignore[operator]  # JSON
    large = [line for line in bombs.values() if not line["added_mib"] < _MAX_ADDED_MIB]  # type: ignore[operator]  # JSON
    assert not slow
    assert not large


@MEASURED
@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        ("jpeg says 65535x65535", "has 65535 pixels on a side; the limit is 16384"),
        ("png of 100 million pixels", "has 100000000 pixels; the limit is 36000000"),
        ("png, alpha, 36 million pixels", "bytes to hold while it is decoded; the limit is"),
        ("webp says 16383x16383", "pixels; the limit is 36000000"),
        ("bmp says 2^31", "is cut short"),
        ("png says 0x10", "says that its image is 0x10 pixels"),
        ("nothing", "is of a type that is not read"),
        ("svg", "is of a type that is not read; read are JPEG, PNG, WEBP, GIF, BMP, TIFF"),
        ("png, palette missing", "has a palette image without a palette"),
        ("gif without colours", "has no colours"),
        ("jpeg of 5000 scans", "has too many scans for its size"),
        ("tiff, a tile of 2^32", "has strips or tiles of a size that is none"),
        ("tiff of a million tiles", "has too many strips or tiles"),
        ("tiff, jpeg of 90 scans", "has too many scans"),
        ("png, a million chunks", "has too many chunks"),
        ("gif, a million comment blocks", "has too many blocks"),
        ("tiff, 65535 overlapping fields", "has a directory of a size that is none"),
        ("webp, 65536 groups of codes", "bytes to hold while it is decoded; the limit is"),
        ("webp, alpha of 65536 groups", "bytes to hold while it is decoded; the limit is"),
        ("gif, 41 extensions of 199000 blocks", "has too many blocks"),
        ("tiff, 96100 deflated tiles in one place", "has strips or tiles that are empty or share their data"),
        ("tiff, 16000 strips, one without a size", "has strips or tiles that are empty or share their data"),
        ("jpeg signature, png body", "has something between its segments"),
    ],
)
def test_refusal_says_why(bomb: str, reason: str) -> None:
    assert reason in str(measured()[bomb]["outcome"])
    assert str(measured()[bomb]["outcome"]).startswith("refused: ")


@MEASURED
@pytest.mark.parametrize(
    "bomb",
    [
        "png, zTXt of 64 MiB",
        "png, iCCP of 64 MiB",
        "png, a thousand frames",
        "jpeg, exif that leads to itself",
        "jpeg, 200 exif blocks",
        "jpeg, icc of 16 MiB",
        "jpeg, 1670 comments behind fill bytes",
        "png, 1300 exif blocks",
        "webp, 990 exif blocks",
        "webp, exif and icc of 7 MiB",
        "tiff, icc as large as the file",
        "tiff, sub-directories that lead to themselves",
    ],
)
def test_metadata_is_passed_over(bomb: str) -> None:
    assert measured()[bomb]["outcome"] in {"10x10", "160x120"}


@MEASURED
def test_all_cut_files_are_refused() -> None:
    cut = {
        name: line["outcome"] for name, line in measured().items() if " cut at " in name or "without its last" in name
    }
    assert len(cut) == 54
    assert set(cut.values()) == {"refused: is cut short"}


def test_peak_is_within_what_the_header_says() -> None:
    # A decoder that takes more than it is booked for would make the budget of all images together a wish.
    for content in (
        png_in(3000, 2000, 4, 6),
        progressive(3, 2000),
        encoded(photo(3000, 2000), "WEBP", lossless=True, method=0),
    ):
        header = inspect(content, LIMITS)
        assert header.num_pixels * 6 <= header.decoding_bytes() <= LIMITS.max_decoding_bytes


@pytest.mark.parametrize(
    ("limit", "fits", "too_large"),
    [
        ("max_pixels", (100, 50), (167, 30)),
        ("max_side", (200, 20), (201, 20)),
        ("max_bytes", (1, 1), (60, 60)),
    ],
)
def test_limits_hold_at_both_ends(limit: str, fits: tuple[int, int], too_large: tuple[int, int]) -> None:
    import dataclasses

    limits = dataclasses.replace(LIMITS, max_pixels=5000, max_side=200, max_bytes=400)
    decode(inspect(png_in(*fits, 1, 0), limits))
    noise = zeros(10) + bytes(300)
    content = (
        png_in(*too_large, 1, 0) if limit != "max_bytes" else png(1, 1, chunk(b"IDAT", noise), chunk(b"IDAT", noise))
    )
    with pytest.raises(OversizedImageError) as caught:
        inspect(content, limits)
    assert caught.value.limit == getattr(limits, limit)
    assert caught.value.actual > caught.value.limit


@functools.cache
def _good_files() -> tuple[bytes, ...]:
    picture = photo(50, 40)
    clear = picture.copy()
    clear.putalpha(200)
    return (
        encoded(picture, "JPEG"),
        encoded(picture, "JPEG", progressive=True),
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(picture, "PNG"),
        encoded(picture.quantize(16), "PNG", transparency=1),
        encoded(clear, "PNG"),
        encoded(picture, "WEBP"),
        encoded(clear, "WEBP", lossless=True),
        encoded(picture, "WEBP", save_all=True, append_images=[clear], duration=100),
        encoded(picture, "GIF"),
        encoded(picture, "GIF", save_all=True, append_images=[clear]),
        encoded(picture, "BMP"),
        encoded(picture.quantize(16), "BMP"),
        encoded(picture, "TIFF"),
        encoded(picture, "TIFF", compression="tiff_lzw"),
        encoded(picture, "TIFF", compression="jpeg"),
        encoded(picture.convert("1"), "TIFF", compression="group4"),
        encoded(picture, "TIFF", compression="tiff_adobe_deflate"),
    )


_EDIT = st.tuples(
    st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "drop", "double", "cut"]), st.integers(0, 255)
)


def _mutated(content: bytes, edits: list[tuple[float, str, int]]) -> bytes:
    for place, what, value in edits:
        # Headers are at the beginning, and are what is worth breaking.
        at = int(place**3 * len(content))
        match what:
            case "set":
                content = content[:at] + bytes((value,)) + content[at + 1 :]
            case "drop":
                content = content[:at] + content[at + value :]
            case "double":
                content = content[: at + value] + content[at:]
            case _:
                content = content[: len(content) - value]
    return content


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 17), st.lists(_EDIT, min_size=1, max_size=8))
def test_mutated_files_are_decoded_or_refused(index: int, edits: list[tuple[float, str, int]]) -> None:
    try:
        header = inspect(_mutated(_good_files()[index], edits), LIMITS)
        pixels = decode(header)
    except (BrokenImageError, OversizedImageError):
        pass
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape in {(header.height, header.width, 3), (header.width, header.height, 3)}
