"""Reads rendered pages and a real scan with the real model, whichever way they are turned and whoever else asks."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.ocr_pages import Page, Spec, render
from benchmarks.ocr_score import scored
from tests.architectures.looking import load, running, soon
from tests.photos import photo
from trivium_models.store import Store
from trivium_server.architectures.image import text_reader
from trivium_server.architectures.image.text_reader import PageReader
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.vision_capabilities import FoundLine, FoundText, Image, TextReader, VisionMeter
from trivium_server.config import Config, ImagesConfig
from trivium_server.errors import CallAborted, DeadlineExceeded, QueueFull, QueueTimeout

Pixels = NDArray[np.uint8]

SCAN = """\
Region-based segmentation
Let us first determine markers of the coins and the
background. These markers are pixels that we can label
unambiguously as either object or background. Here,
the markers are found at the two extreme parts of the
histogram of grey values:
>>> markers = np.zeros_like(coins)"""


@pytest.fixture(scope="module")
def reader(loop: asyncio.Runner) -> Iterator[PageReader]:
    with running(loop, Store().pull("pp-ocrv6-small").folder, PageReader) as started:
        yield started


def shown(pixels: Pixels) -> Image:
    height, width = pixels.shape[:2]
    return Image(pixels=pixels, width=width, height=height, orientation_applied=False, mime_type="image/png")


def scan() -> Pixels:
    grey = cv2.imread(str(photo("page.png")), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    return np.repeat(np.asarray(grey, np.uint8)[:, :, None], 3, axis=2)


async def lines_of(
    reader: PageReader,
    pixels: Pixels,
    *,
    min_score: float = 0.5,
    with_words: bool = False,
    meter: VisionMeter | None = None,
) -> Sequence[FoundLine]:
    found = await reader.read_text(
        shown(pixels),
        min_score=min_score,
        with_words=with_words,
        deadline_s=soon(),
        meter=meter or VisionMeter(),
    )
    return found.lines


def read(
    loop: asyncio.Runner, reader: PageReader, pixels: Pixels, *, min_score: float = 0.5, with_words: bool = False
) -> Sequence[FoundLine]:
    return loop.run(lines_of(reader, pixels, min_score=min_score, with_words=with_words))


def off_by(page: Page, lines: Sequence[FoundLine]) -> float:
    """The edit distance to what the page says, per character."""
    score = scored(page.lines, [line.text for line in lines])
    return score.distance / score.characters


@pytest.mark.parametrize(
    ("spec", "tolerance"),
    [
        (Spec(height=300), 0.0),
        (Spec(language="de", size=14, width=600, height=240, font="serif"), 0.01),
        (Spec(language="zh", height=300), 0.01),
        (Spec(language="ja", height=300, effect="noise"), 0.02),
        (Spec(language="pl", height=300, effect="inverted"), 0.01),
        (Spec(language="fr", height=300, effect="paper"), 0.02),
        (Spec(language="es", height=300, angle=-5), 0.02),
        (Spec(columns=2, width=1100, height=700), 0.005),
        (Spec(size=20, width=2480, height=3508, fill=0.12), 0.01),
        (Spec(size=24, width=320, height=48), 0.0),
        (Spec(content="invoice", height=500), 0.03),
        (Spec(content="code", width=800, height=420), 0.03),
    ],
    ids=lambda value: (
        f"{value.language}-{value.content}-{value.effect}-{value.size}" if isinstance(value, Spec) else ""
    ),
)
def test_rendered_page_is_read(loop: asyncio.Runner, reader: PageReader, spec: Spec, tolerance: float) -> None:
    page = render(spec)
    assert off_by(page, read(loop, reader, page.pixels)) <= tolerance


def test_scan_is_read_underscore_and_all(loop: asyncio.Runner, reader: PageReader) -> None:
    lines = read(loop, reader, scan())
    score = scored(SCAN.splitlines(), [line.text for line in lines])
    assert score.distance <= 3
    assert lines[-1].text.endswith("np.zeros_like(coins)")
    assert all(0.5 <= line.score <= 1 for line in lines)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_page_is_read_and_quads_tell_how_it_is_turned(
    loop: asyncio.Runner, reader: PageReader, turns: int
) -> None:
    page = render(Spec(height=300))
    lines = read(loop, reader, np.ascontiguousarray(np.rot90(page.pixels, turns)))
    assert off_by(page, lines) <= 0.01
    for line in lines:
        start, end, *_ = line.quad
        along = {
            1: start.y - end.y,
            2: start.x - end.x,
            3: end.y - start.y,
        }[turns]
        assert along > 0.2


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 3), (64, 64), (900, 30)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_images_say_nothing(loop: asyncio.Runner, reader: PageReader, size: tuple[int, int], value: int) -> None:
    assert read(loop, reader, np.full((*size, 3), value, np.uint8), min_score=0.0, with_words=True) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (33, 31)])
def test_tiny_noise_is_survived(loop: asyncio.Runner, reader: PageReader, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    for line in read(loop, reader, noise, min_score=0.0, with_words=True):
        assert all(0 <= value <= 1 for point in line.quad for value in (point.x, point.y))


def test_a_line_far_longer_than_high_is_read_in_pieces(loop: asyncio.Runner, reader: PageReader) -> None:
    page = render(Spec(size=16, width=4000, height=40))
    (line,) = read(loop, reader, page.pixels, with_words=True)
    assert off_by(page, [line]) <= 0.02
    assert len(line.words) == pytest.approx(len(page.lines[0].split()), abs=3)


def test_words_are_given_where_asked_for_and_lie_in_their_line(loop: asyncio.Runner, reader: PageReader) -> None:
    pixels = scan()
    without, with_words = (read(loop, reader, pixels, with_words=flag) for flag in (False, True))
    assert [line.words for line in without] == [()] * len(without)
    assert [line.text for line in with_words] == [line.text for line in without]
    for line in with_words:
        assert " ".join(word.text for word in line.words) == " ".join(line.text.split())
        left, right = line.quad[0].x, line.quad[1].x
        edges = [point.x for word in line.words for point in word.quad[:2]]
        assert edges == sorted(edges)
        assert left - 1e-6 <= edges[0] <= edges[-1] <= right + 1e-6
        assert all(0 <= word.score <= 1 for word in line.words)


def test_min_score_leaves_lines_out_at_both_ends(loop: asyncio.Runner, reader: PageReader) -> None:
    pixels = scan()
    everything, nothing = (read(loop, reader, pixels, min_score=score) for score in (0.0, 1.0))
    assert len(everything) >= 7
    assert nothing == [line for line in everything if line.score >= 1.0]
    middle = sorted(line.score for line in everything)[3]
    assert all(line.score >= middle for line in read(loop, reader, pixels, min_score=middle))


def test_together_equals_alone(loop: asyncio.Runner, reader: PageReader) -> None:
    pages = [render(Spec(language=language, height=120, width=500)).pixels for language in ("en", "de", "ja", "zh")]

    async def compare() -> None:
        alone = [await lines_of(reader, pixels, with_words=True) for pixels in pages]
        together = await asyncio.gather(*(lines_of(reader, pixels, with_words=True) for pixels in pages * 2))
        assert together == alone * 2

    loop.run(compare())


def test_a_small_page_does_not_wait_for_a_dense_one(loop: asyncio.Runner, reader: PageReader) -> None:
    dense, small = render(Spec(columns=2, width=1100, height=1000)).pixels, render(Spec(width=320, height=48)).pixels

    async def both() -> None:
        waiting = asyncio.ensure_future(lines_of(reader, dense))
        while reader.stats.num_waiting < 20:
            await asyncio.sleep(0.01)
        await lines_of(reader, small)
        assert reader.stats.num_waiting > 5
        assert not waiting.done()
        await waiting

    loop.run(both())


def test_cancelled_call_leaves_no_work(loop: asyncio.Runner, reader: PageReader) -> None:
    pixels, rng = render(Spec(height=300)).pixels, random.Random(0)

    async def storm() -> None:
        tasks = [asyncio.ensure_future(lines_of(reader, pixels)) for _ in range(12)]
        for task in tasks:
            asyncio.get_running_loop().call_later(rng.uniform(0, 1.5), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert reader.stats.num_waiting == reader.stats.num_callers == 0
        async with asyncio.timeout(30):
            while reader.stats.num_accepted:
                await asyncio.sleep(0.01)

    loop.run(storm())


def test_deadline_is_kept_and_the_meter_filled(loop: asyncio.Runner, reader: PageReader) -> None:
    pixels, meter = render(Spec(height=300)).pixels, VisionMeter()

    async def hurried(seconds: float) -> None:
        await reader.read_text(
            shown(pixels),
            min_score=0.5,
            with_words=False,
            deadline_s=time.monotonic() + seconds,
            meter=VisionMeter(),
        )

    with pytest.raises(QueueTimeout):
        loop.run(hurried(-1.0))
    with pytest.raises((QueueTimeout, DeadlineExceeded)):
        loop.run(hurried(0.1))
    loop.run(lines_of(reader, pixels, meter=meter))
    assert 0 < meter.preprocess_s < meter.inference_s + meter.preprocess_s
    assert 0 <= meter.queue_s < meter.inference_s
    assert meter.compute_s > 0


def test_more_callers_than_may_wait_are_refused_and_closing_ends_the_rest(loop: asyncio.Runner) -> None:
    config = Config(images=ImagesConfig(runners=1, max_callers=1))
    model = text_reader.load(Store().pull("pp-ocrv6-small").folder, config, lambda _: None)
    pixels = render(Spec(height=300)).pixels

    async def crowd() -> None:
        await model.warm_up()
        first = asyncio.ensure_future(lines_of(model, pixels))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await lines_of(model, pixels)
        await model.close(grace_s=0.0)
        with pytest.raises(CallAborted):
            await first
        with pytest.raises(CallAborted):
            await lines_of(model, pixels)

    loop.run(crowd())


def _crowded() -> Pixels:
    """Words far apart, each a line by itself, in eight columns."""
    pixels = np.full((1200, 1200, 3), 255, np.uint8)
    for row in range(30):
        for column in range(8):
            at = 20 + 145 * column, 40 + 38 * row
            cv2.putText(pixels, f"{row:02}{column}", at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2, cv2.LINE_AA)
    return pixels


def _read_at_most(loop: asyncio.Runner, pixels: Pixels, max_lines: int) -> FoundText:
    config = Config(images=ImagesConfig(max_lines=max_lines))
    model = text_reader.load(Store().pull("pp-ocrv6-small").folder, config, lambda _: None)

    async def read_page() -> FoundText:
        await model.warm_up()
        try:
            return await model.read_text(
                shown(pixels), min_score=0.0, with_words=False, deadline_s=soon(), meter=VisionMeter()
            )
        finally:
            await model.close(grace_s=0.0)

    return loop.run(read_page())


def test_a_long_line_counts_as_several(loop: asyncio.Runner) -> None:
    pixels = np.full((140, 2000, 3), 255, np.uint8)
    for row, letter in enumerate("ab"):
        cv2.putText(pixels, 60 * f"{letter}n", (10, 45 + 60 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)
    found = _read_at_most(loop, pixels, 2)
    assert (len(found.lines), found.num_left_out) == (1, 1)
    assert found.lines[0].text.startswith("an")
    assert _read_at_most(loop, pixels, 8).num_left_out == 0


@pytest.mark.parametrize("turns", [0, 2])
def test_no_more_lines_are_read_than_may_be_and_the_rest_is_told(loop: asyncio.Runner, turns: int) -> None:
    found = _read_at_most(loop, np.ascontiguousarray(np.rot90(_crowded(), turns)), 20)
    assert len(found.lines) == 20
    assert found.num_left_out == pytest.approx(220, abs=5)
    assert not found.is_too_fine
    # The first ones, whichever way up the page is.
    assert {line.text[:2] for line in found.lines} <= {"00", "01", "02", "03", "OO", "O0", "0O"}


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_crowded_page_leaves_no_work_once_its_call_has_ended(
    loop: asyncio.Runner, reader: PageReader, is_cancelled: bool
) -> None:
    pixels = _crowded()
    # Half of it upside down, so that each line is asked which way up it is.
    pixels[:, 600:] = pixels[::-1, :599:-1]

    async def give_up() -> None:
        reading = asyncio.ensure_future(
            reader.read_text(
                shown(pixels),
                min_score=0.5,
                with_words=False,
                deadline_s=soon() if is_cancelled else time.monotonic() + 1.0,
                meter=VisionMeter(),
            )
        )
        if is_cancelled:
            await asyncio.sleep(1.0)
            reading.cancel()
        with pytest.raises((asyncio.CancelledError, DeadlineExceeded)):
            await reading
        left = reader.stats
        assert left.num_waiting == left.num_callers == 0
        async with asyncio.timeout(60):
            while reader.stats.num_accepted:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        # Only what ran was finished: a look or a line or a few.
        assert reader.stats.num_batches <= left.num_batches + left.num_running_batches

    loop.run(give_up())


def test_is_a_text_reader(reader: PageReader) -> None:
    assert isinstance(reader, TextReader)
    assert reader.default_min_line_score == 0.5
    assert reader.enough_side is None


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("characters.txt", "a\nb\n", "output .* must have the shape"),
        ("characters.txt", "a\n\nb\n", "line 2 is empty"),
        ("config.json", '{"model_type": "pp_ocr", "trivium": {"detection": {"std": [1, 0, 1]}}}', "mean and std"),
        ("config.json", '{"model_type": "pp_ocr", "trivium": {"recognition": {"channel_order": "hsv"}}}', "rgb or bgr"),
        ("config.json", '{"model_type": "pp_ocr", "trivium": {"detection": {"threshold": 2}}}', "threshold"),
        ("detection.onnx", None, "detection.onnx is missing"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path, file: str, content: str | None, problem: str) -> None:
    source, folder = Store().pull("pp-ocrv6-small").folder, tmp_path / "broken"
    folder.mkdir()
    for path in source.iterdir():
        if path.name not in {file, "model.toml"}:
            (folder / path.name).symlink_to(path)
    if content is not None:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(ModelFolderError, match=problem):
        load(folder, PageReader)


def test_a_folder_without_orientation_reads_what_is_upright(loop: asyncio.Runner, tmp_path: Path) -> None:
    folder = tmp_path / "upright"
    folder.mkdir()
    for path in Store().pull("pp-ocrv6-small").folder.iterdir():
        if path.name not in {"orientation.onnx", "model.toml"}:
            (folder / path.name).symlink_to(path)
    page = render(Spec(width=500, height=100))
    with running(loop, folder, PageReader) as model:
        assert off_by(page, read(loop, model, page.pixels)) == 0
