"""Resizing equals PIL's, within the tolerance that the docstrings state."""

import numpy as np
import pytest
from PIL import Image as Pil

from tests.vision.bombs import photo
from tests.vision.looking import difference
from trivium_server.vision.resizing import Resample, normalized, placed, resized

FILTERS = {
    Resample.BOX: Pil.Resampling.BOX,
    Resample.BILINEAR: Pil.Resampling.BILINEAR,
    Resample.BICUBIC: Pil.Resampling.BICUBIC,
    Resample.LANCZOS: Pil.Resampling.LANCZOS,
}


@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize(
    ("width", "height"),
    [(224, 224), (333, 100), (640, 427), (1, 1), (1, 300), (2000, 7), (800, 800), (159, 106), (160, 107)],
)
def test_resizing_equals_pils(resample: Resample, width: int, height: int) -> None:
    picture = photo(640, 427)
    ours = resized(np.asarray(picture), width, height, resample)
    apart = difference(ours, np.asarray(picture.resize((width, height), FILTERS[resample])))
    if width * height == 1:
        assert apart["most"] <= 4
    else:
        assert apart["mean"] < 0.35
        assert apart["most"] <= 8


@pytest.mark.parametrize(("width", "height"), [(4001, 3000), (4000, 2999), (3999, 1001), (901, 5003)])
@pytest.mark.parametrize("resample", [Resample.BILINEAR, Resample.BICUBIC])
def test_large_pictures_too(resample: Resample, width: int, height: int) -> None:
    picture = photo(width, height)
    for side in (224, 416):
        ours = resized(np.asarray(picture), side, side, resample)
        apart = difference(ours, np.asarray(picture.resize((side, side), FILTERS[resample])))
        assert apart["mean"] < 0.35
        assert apart["most"] <= 12


def test_nearest_equals_pils() -> None:
    picture = photo(97, 61)
    for size in ((50, 30), (97, 61), (200, 10), (1, 1)):
        ours = resized(np.asarray(picture), *size, Resample.NEAREST)
        assert (ours == np.asarray(picture.resize(size, Pil.Resampling.NEAREST))).all()


def test_a_part_of_a_picture_is_resized_alone() -> None:
    pixels = np.asarray(photo(300, 200))
    part = pixels[20:180, 40:200]
    assert (resized(part, 64, 64, Resample.BICUBIC) == resized(part.copy(), 64, 64, Resample.BICUBIC)).all()


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_one_color_stays_that_color(value: int) -> None:
    flat = np.full((301, 401, 3), value, np.uint8)
    for resample in Resample:
        for side in (7, 64, 500):
            assert (resized(flat, side, side, resample) == value).all()


@pytest.mark.parametrize(
    ("at", "covered"),
    [((0, 0), (3, 2)), ((1, 1), (3, 2)), ((-1, 0), (2, 2)), ((-3, 0), (0, 0)), ((3, 3), (1, 1)), ((9, 9), (0, 0))],
)
def test_placing_cuts_and_leaves_a_margin(at: tuple[int, int], covered: tuple[int, int]) -> None:
    canvas = placed(np.full((2, 3, 3), 9, np.uint8), 4, 4, at=at, fill=114)
    assert canvas.shape == (4, 4, 3)
    assert (canvas == 9).sum() == 3 * covered[0] * covered[1]
    assert ((canvas == 9) | (canvas == 114)).all()


def test_placing_what_fits_is_free() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert placed(pixels, 3, 2, at=(0, 0), fill=0) is pixels


@pytest.mark.parametrize("bgr", [False, True])
def test_normalizing_equals_the_published_formula(*, bgr: bool) -> None:
    pixels = np.asarray(photo(31, 17))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    ordered = pixels[:, :, ::-1] if bgr else pixels
    expected = ((ordered / 255 - mean) / std).transpose(2, 0, 1)[None]
    ours = normalized(pixels, scale=list(1 / 255 / std), offset=list(-mean / std), bgr=bgr)
    assert ours.dtype == np.float32
    assert ours.shape == (1, 3, 17, 31)
    assert ours.flags.c_contiguous
    np.testing.assert_allclose(ours, expected, atol=1e-5)
