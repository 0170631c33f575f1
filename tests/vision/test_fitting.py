"""Plans for pictures of all sizes: what transformers would make, bounded, and where the picture then lies."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.vision.fitting import CenterCrop, Fit, Letterbox, Multiple, Plan, ShortestEdge, Squash

SIDES = st.integers(1, 20_000)
DETR = ShortestEdge(800, 1333)
FITS: dict[str, Fit] = {
    "squash": Squash(320, 240),
    "letterbox": Letterbox(640, 640),
    "wide letterbox": Letterbox(640, 384),
    "crop": CenterCrop(256, 224, 224),
    "crop with margin": CenterCrop(200, 224, 180),
    "shortest edge": DETR,
    "multiple": Multiple(32, 1024),
}


@dataclass(frozen=True)
class Axis:
    """One direction of a plan."""

    side: int
    begin: int
    end: int
    resized: int
    canvas: int
    at: int
    placed: float
    length: float


def axes(plan: Plan, width: int, height: int) -> Iterator[Axis]:
    where = plan.placement
    yield Axis(width, plan.left, plan.right, plan.resized[0], plan.canvas[0], plan.at[0], where.left, where.width)
    yield Axis(height, plan.top, plan.bottom, plan.resized[1], plan.canvas[1], plan.at[1], where.top, where.height)


@pytest.mark.parametrize("name", FITS)
@given(width=SIDES, height=SIDES)
def test_plan_is_possible_and_bounded(name: str, width: int, height: int) -> None:
    plan = FITS[name].plan(width, height)
    for axis in axes(plan, width, height):
        assert 0 <= axis.begin < axis.end <= axis.side
        assert axis.resized >= 1
        assert axis.canvas >= 1
    # However odd the picture is, less is made on the way than a phone's camera takes.
    assert math.prod(plan.resized) <= 4_000_000
    assert math.prod(plan.canvas) <= 2_000_000


@pytest.mark.parametrize("name", FITS)
@given(width=SIDES, height=SIDES)
def test_region_has_all_that_the_input_shows(name: str, width: int, height: int) -> None:
    for axis in axes(FITS[name].plan(width, height), width, height):
        assert axis.at <= 0 or axis.begin == 0
        assert axis.at + axis.resized >= axis.canvas or axis.end == axis.side


@pytest.mark.parametrize("name", FITS)
@given(width=SIDES, height=SIDES)
def test_placement_is_where_the_steps_put_the_picture(name: str, width: int, height: int) -> None:
    for axis in axes(FITS[name].plan(width, height), width, height):
        for edge, by_steps in ((axis.begin, axis.at), (axis.end, axis.at + axis.resized)):
            by_placement = axis.placed + edge / axis.side * axis.length
            # Within the input, which is all that anybody sees, and to half a pixel.
            if 0 <= by_placement <= axis.canvas:
                assert by_steps == pytest.approx(by_placement, abs=0.5)


@given(width=st.integers(64, 6000), height=st.integers(64, 6000))
def test_cutting_first_changes_no_place_in_a_crop(width: int, height: int) -> None:
    plan = CenterCrop(256, 224, 224).plan(width, height)
    for axis in axes(plan, width, height):
        own_scale = axis.resized / (axis.end - axis.begin)
        whole_scale = axis.length / axis.side
        # At the edge of the input, 112 pixels from the middle, they are less than half a pixel apart.
        assert abs(own_scale / whole_scale - 1) * 112 < 0.5
        middle = axis.at + (axis.side / 2 - axis.begin) * own_scale
        assert middle == pytest.approx(axis.placed + axis.length / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("fit", "size", "resized", "at"),
    [
        # transformers: get_resize_output_image_size(size=256, default_to_square=False), then center_crop(224).
        (CenterCrop(256, 224, 224), (400, 300), (341, 256), (-58, -16)),
        (CenterCrop(256, 224, 224), (300, 400), (256, 341), (-16, -58)),
        (CenterCrop(256, 224, 224), (256, 256), (256, 256), (-16, -16)),
        (CenterCrop(200, 224, 224), (200, 200), (200, 200), (12, 12)),
        (CenterCrop(201, 224, 224), (201, 201), (201, 201), (12, 12)),
        # transformers: get_size_with_aspect_ratio(size=800, max_size=1333).
        (DETR, (640, 480), (1066, 800), (0, 0)),
        (DETR, (480, 640), (800, 1066), (0, 0)),
        (DETR, (2000, 1000), (1333, 666), (0, 0)),
        (DETR, (800, 1200), (800, 1200), (0, 0)),
        (DETR, (1, 20_000), (1, 20_000), (0, 0)),
        (Squash(416, 320), (3, 999), (416, 320), (0, 0)),
        (Letterbox(640, 640), (1280, 720), (640, 360), (0, 140)),
        (Letterbox(640, 640), (720, 1280), (360, 640), (140, 0)),
        (Letterbox(640, 640), (64, 64), (640, 640), (0, 0)),
        (Letterbox(640, 640), (20_000, 1), (640, 1), (0, 319)),
        (Multiple(32, 1024), (512, 600), (512, 608), (0, 0)),
        (Multiple(32, 1024), (1, 1), (32, 32), (0, 0)),
        (Multiple(32, 1024), (1024, 768), (1024, 768), (0, 0)),
        (Multiple(32, 1024), (4000, 3000), (1024, 768), (0, 0)),
        (Multiple(32, 1000), (4000, 3000), (1024, 768), (0, 0)),
    ],
)
def test_plan_for_a_size(fit: Fit, size: tuple[int, int], resized: tuple[int, int], at: tuple[int, int]) -> None:
    plan = fit.plan(*size)
    assert (plan.resized, plan.at) == (resized, at)
    assert (plan.placement.left, plan.placement.top) == at


@pytest.mark.parametrize("name", FITS)
def test_picture_with_enough_pixels_has_many_for_each_that_is_needed(name: str) -> None:
    fit = FITS[name]
    least = 1.35 if isinstance(fit, Multiple) else 1.9
    for width, height in ((1, 1), (4, 3), (3, 4), (3, 1)):
        scale = fit.enough_side / min(width, height)
        size = round(width * scale), round(height * scale)
        for axis in axes(fit.plan(*size), *size):
            assert (axis.end - axis.begin) / axis.resized >= least


def test_half_of_a_phone_photo_is_enough_for_all() -> None:
    assert all(fit.enough_side <= 3024 // 2 for name, fit in FITS.items() if fit is not DETR)
