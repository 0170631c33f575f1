"""Decoding for many callers: bounded in threads, memory and waiting; the event loop goes on."""

import asyncio
import gc
import io
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from PIL import Image as Pil

from trivium_server.architectures.image.decoder import ImageDecoder
from trivium_server.architectures.image.turns import Turn, Turns
from trivium_server.config import ImagesConfig
from trivium_server.errors import (
    CallAborted,
    DeadlineExceeded,
    InputTooLarge,
    QueueFull,
    QueueTimeout,
    UndecodableMedia,
)


def image_file(width: int = 64, height: int = 48, kind: str = "PNG", **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Pil.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


def slowest_file() -> bytes:
    """What takes some tenths of a second."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Pil.fromarray(noise).resize((5900, 5900), Pil.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


# Takes some hundredths of a second.
SLOW = image_file(2400, 1600, "PNG", compress_level=1)


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


@asynccontextmanager
async def decoding(**settings: int) -> AsyncIterator[ImageDecoder]:
    decoder = ImageDecoder(ImagesConfig(**settings))  # type: ignore[arg-type]  # whole numbers by name
    try:
        yield decoder
    finally:
        await decoder.close(30.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_an_image_says_what_it_was() -> None:
    exif = Pil.Exif()
    exif[0x0112] = 6
    async with decoding() as decoder:
        image = await decoder.decode(image_file(64, 48, "JPEG", exif=exif), deadline_s=soon())
    assert (image.width, image.height) == (48, 64)
    assert image.pixels.shape == (64, 48, 3)
    assert image.orientation_applied
    assert image.mime_type == "image/jpeg"
    assert not image.pixels.flags.writeable


async def test_a_smaller_decoding_keeps_the_files_size() -> None:
    async with decoding() as decoder:
        image = await decoder.decode(image_file(640, 400, "JPEG"), deadline_s=soon(), enough_side=100)
    assert (image.width, image.height) == (640, 400)
    assert image.pixels.shape == (100, 160, 3)


async def test_refusals_name_the_field_and_the_reason() -> None:
    async with decoding(max_pixels=5000) as decoder:
        with pytest.raises(UndecodableMedia, match="image: is cut short") as broken:
            await decoder.decode(image_file()[:-20], deadline_s=soon())
        with pytest.raises(InputTooLarge, match="image: has 10000 pixels; the limit is 5000") as large:
            await decoder.decode(image_file(100, 100), deadline_s=soon())
    assert broken.value.metadata["field"] == "image"
    assert large.value.metadata == {"field": "image", "actual": "10000", "limit": "5000"}


async def test_only_formats_of_the_settings_are_read() -> None:
    decoder = ImageDecoder(ImagesConfig(formats=("jpeg", "png")))
    await decoder.decode(image_file(), deadline_s=soon())
    with pytest.raises(UndecodableMedia, match=r"is of a type that is not read; read are JPEG, PNG$"):
        await decoder.decode(image_file(kind="TIFF"), deadline_s=soon())
    await decoder.close()


async def test_more_than_may_wait_are_refused_at_once() -> None:
    async with decoding(decoders=1, max_waiting=2) as decoder:
        calls = [asyncio.create_task(decoder.decode(SLOW, deadline_s=soon())) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as caught:
            await decoder.decode(image_file(), deadline_s=soon())
        assert 0.1 <= caught.value.retry_after_s <= 10
        assert len({len((await call).pixels) for call in calls}) == 1
        await decoder.decode(image_file(), deadline_s=soon())


async def test_none_may_wait_where_max_waiting_is_0() -> None:
    async with decoding(decoders=1, max_waiting=0) as decoder:
        first = asyncio.create_task(decoder.decode(SLOW, deadline_s=soon()))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await decoder.decode(image_file(), deadline_s=soon())
        await first


async def test_a_deadline_that_passes_ends_the_call() -> None:
    async with decoding(decoders=1) as decoder:
        with pytest.raises(QueueTimeout):
            await decoder.decode(SLOW, deadline_s=time.monotonic() - 1)
        slowest = slowest_file()
        for patience_s in (0.1, 0.1, 0.2, 0.2, 0.4, 0.8, 1.6):
            running = asyncio.create_task(decoder.decode(slowest, deadline_s=soon(patience_s)))
            await asyncio.sleep(0)
            with pytest.raises(QueueTimeout):
                await decoder.decode(SLOW, deadline_s=soon(0.01))
            (ended,) = await asyncio.gather(running, return_exceptions=True)
            # One that waits for its turn so long, on a busy machine, is not decoded at all.
            if not isinstance(ended, QueueTimeout):
                break
        assert isinstance(ended, DeadlineExceeded)
        # The thread is free again as soon as it is done with what nobody waits for.
        await decoder.decode(image_file(), deadline_s=soon())


async def test_cancelling_drops_what_waits() -> None:
    async with decoding(decoders=1, max_waiting=3) as decoder:
        running = asyncio.create_task(decoder.decode(SLOW, deadline_s=soon()))
        waiting = [asyncio.create_task(decoder.decode(SLOW, deadline_s=soon())) for _ in range(3)]
        await asyncio.sleep(0.01)
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await until(lambda: decoder.num_jobs <= 1)
        assert all(call.cancelled() for call in waiting)
        await decoder.decode(image_file(), deadline_s=soon())
        await running


@pytest.mark.alone
async def test_the_event_loop_goes_on() -> None:
    # Small steps of the loop while large images are decoded: none waits for a decoder to give the interpreter back.
    files = [image_file(2400, 1600, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    async with decoding(decoders=1) as decoder:
        calls = asyncio.gather(*(decoder.decode(file, deadline_s=soon()) for file in files))
        longest, last = 0.0, time.monotonic()
        while not calls.done():
            await asyncio.sleep(0)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        await calls
    assert longest < 0.2


async def test_memory_is_given_back_with_the_pixels() -> None:
    async with decoding(memory_mib=64) as decoder:
        whole = decoder.free_bytes
        image = await decoder.decode(image_file(1000, 700), deadline_s=soon())
        assert whole - decoder.free_bytes == image.pixels.nbytes
        part = image.pixels[10:20]
        del image
        gc.collect()
        assert part.shape == (10, 1000, 3)
        del part
        await until(lambda: decoder.free_bytes == whole)
        for broken in (image_file(1000, 700)[:-100], image_file(1000, 700).replace(b"IDAT", b"IDAT\xff", 1), b"?"):
            with pytest.raises(UndecodableMedia):
                await decoder.decode(broken, deadline_s=soon())
        gc.collect()
        await until(lambda: decoder.free_bytes == whole)


async def test_images_wait_for_memory_that_others_have() -> None:
    content = image_file(2000, 1200)  # 7 MB, twice that while it is decoded
    async with decoding(memory_mib=32, decoders=2) as decoder:
        held = [await decoder.decode(content, deadline_s=soon()) for _ in range(3)]
        with pytest.raises((DeadlineExceeded, QueueTimeout)):
            await decoder.decode(content, deadline_s=soon(0.2))
        fourth = asyncio.create_task(decoder.decode(content, deadline_s=soon()))
        await asyncio.sleep(0.1)
        assert not fourth.done()
        held.clear()
        assert (await fourth).width == 2000


async def test_closing_ends_those_who_wait() -> None:
    decoder = ImageDecoder(ImagesConfig(decoders=1))
    calls = [asyncio.create_task(decoder.decode(SLOW, deadline_s=soon())) for _ in range(3)]
    await until(lambda: decoder.num_jobs == 3)
    await decoder.close(0.0)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, CallAborted) for outcome in outcomes)
    with pytest.raises(CallAborted):
        await decoder.decode(image_file(), deadline_s=soon())


async def test_closing_lets_those_finish_who_can() -> None:
    decoder = ImageDecoder(ImagesConfig(decoders=1))
    calls = [asyncio.create_task(decoder.decode(image_file(), deadline_s=soon())) for _ in range(3)]
    await asyncio.sleep(0)
    await decoder.close(30.0)
    assert [(await call).width for call in calls] == [64] * 3


async def test_concurrent_equals_single() -> None:
    files = [
        image_file(50 + 7 * index, 40, kind) for index, kind in enumerate(["JPEG", "PNG", "WEBP", "GIF", "BMP"] * 4)
    ]
    async with decoding(decoders=4) as decoder:
        alone = [await decoder.decode(file, deadline_s=soon()) for file in files]
        together = await asyncio.gather(*(decoder.decode(file, deadline_s=soon()) for file in files))
    for one, other in zip(alone, together, strict=True):
        assert (one.pixels == other.pixels).all()


@pytest.mark.parametrize("kind", ["broken", "too large", "late"])
async def test_a_refusal_that_is_kept_keeps_no_file(kind: str) -> None:
    content = bytearray(SLOW if kind == "late" else image_file(200, 100))
    content[-20:] = b"" if kind == "broken" else content[-20:]
    file = bytes(content)
    max_pixels = 5000 if kind == "too large" else 36_000_000
    async with decoding(max_pixels=max_pixels) as decoder:
        before = sys.getrefcount(file)
        kept = None
        try:
            await decoder.decode(file, deadline_s=soon(0.03 if kind == "late" else 30))
        except (UndecodableMedia, InputTooLarge, QueueTimeout, DeadlineExceeded) as refusal:
            kept = refusal.with_traceback(None)
        assert kept is not None
        await until(lambda: decoder.num_jobs == 0)
        await asyncio.sleep(0.05)
        assert sys.getrefcount(file) == before
    assert kept.__context__ is None


async def test_a_large_jpeg_that_is_decoded_smaller_waits_as_a_small_image() -> None:
    jpeg = image_file(2400, 1600, "JPEG")
    async with decoding(decoders=1) as decoder:
        calls = [asyncio.create_task(decoder.decode(SLOW, deadline_s=soon())) for _ in range(6)]
        await asyncio.sleep(0.01)
        assert (await decoder.decode(jpeg, deadline_s=soon(), enough_side=300)).pixels.shape == (400, 600, 3)
        assert not calls[-1].done()
        await asyncio.gather(*calls)


class Line:
    """Turns of a budget of 320 MiB, of which 10 are small and 20 are for small ones, with a clock that is set."""

    def __init__(self, num_threads: int = 2) -> None:
        self.now_s = 0.0
        self.turns = Turns(num_threads, 320 * _MIB, clock=lambda: self.now_s)
        self.calls: list[asyncio.Task[Turn]] = []

    async def ask(self, num_mib: int) -> asyncio.Task[Turn]:
        call = asyncio.create_task(self.turns.take(num_mib * _MIB))
        self.calls.append(call)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return call

    async def end(self, call: asyncio.Task[Turn], *, kept_mib: int = 0) -> None:
        turn = call.result()
        self.turns.memory.give(turn.num_bytes - kept_mib * _MIB, was_small=turn.is_small)
        self.turns.end(turn)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)


_MIB = 1 << 20


async def test_small_images_pass_large_ones_that_wait() -> None:
    line = Line()
    first, second, third = [await line.ask(140) for _ in range(3)]
    assert [call.done() for call in (first, second, third)] == [True, True, False]
    # Each has a thread of its own at once, one after the other.
    for _ in range(10):
        small = await line.ask(5)
        assert small.done()
        await line.end(small)
    assert not third.done()
    await line.end(first)
    assert third.done()


async def test_the_share_of_small_images_is_not_for_large_ones() -> None:
    line = Line()
    await line.ask(160)
    large = await line.ask(141)
    assert not large.done()
    assert (await line.ask(10)).done()
    fits = Line()
    await fits.ask(160)
    assert (await fits.ask(140)).done()


async def test_small_images_do_not_starve_large_ones_of_memory() -> None:
    line = Line(num_threads=8)
    held = [await line.ask(10) for _ in range(3)]
    for call in held:
        await line.end(call, kept_mib=10)
    first = await line.ask(150)
    large = await line.ask(150)
    assert not large.done()
    assert (await line.ask(1)).done()
    line.now_s = 10.0
    # It is due: small ones have their share, of which 31 MiB of 20 are taken, and wait.
    small = await line.ask(1)
    assert not small.done()
    await line.end(first)
    assert large.done()
    assert small.done()


async def test_a_large_image_that_is_due_has_the_next_thread() -> None:
    line = Line(num_threads=1)
    running = [await line.ask(1), await line.ask(1)]
    large = await line.ask(100)
    small = await line.ask(1)
    line.now_s = 10.0
    await line.end(running[0])
    assert large.done()
    assert not small.done()
    await line.end(running[1])
    assert small.done()


async def test_of_large_images_smaller_ones_pass_those_that_came_just_before() -> None:
    line = Line(num_threads=1)
    running = await line.ask(100)
    largest, large = await line.ask(150), await line.ask(20)
    line.now_s = 5.0
    late = await line.ask(20)
    order = []
    for _ in range(3):
        await line.end(running)
        running = next(call for call in (largest, large, late) if call.done() and call not in order)
        order.append(running)
    assert order == [large, largest, late]


async def test_who_leaves_the_line_is_passed_over_and_takes_nothing() -> None:
    line = Line(num_threads=1)
    running = await line.ask(150)
    leaves, stays = await line.ask(150), await line.ask(150)
    leaves.cancel()
    await line.end(running)
    assert leaves.cancelled()
    assert stays.done()
    # Cancelled in the moment in which its turn comes.
    last = await line.ask(150)
    turn = stays.result()
    line.turns.memory.give(turn.num_bytes, was_small=turn.is_small)
    line.turns.end(turn)
    last.cancel()
    await line.settle()
    assert last.cancelled()
    assert line.turns.memory.free_bytes == 320 * _MIB
    assert (await line.ask(150)).done()


async def test_memory_that_another_thread_gives_lets_the_next_in() -> None:
    line = Line()
    first, second = await line.ask(160), await line.ask(140)
    await line.end(first, kept_mib=160)
    large = await line.ask(160)
    assert not large.done()
    await asyncio.to_thread(line.turns.memory.give, 160 * _MIB, was_small=False)
    async with asyncio.timeout(20):
        await large
    assert second.done()


async def test_small_images_are_decoded_while_large_ones_are() -> None:
    file = io.BytesIO()
    Pil.new("RGB", (6000, 4000)).save(file, "PNG", compress_level=1)
    large, small = file.getvalue(), image_file(320, 240, "JPEG")
    async with decoding(decoders=2) as decoder:
        calls = [asyncio.create_task(decoder.decode(large, deadline_s=soon(60))) for _ in range(8)]
        await asyncio.sleep(0.05)
        num_done = []
        for _ in range(5):
            await decoder.decode(small, deadline_s=soon())
            num_done.append(sum(call.done() for call in calls))
        # The images of those that are done are let go one after another, else the last would wait for their memory.
        while calls:
            assert (await calls.pop(0)).width == 6000
    # Each came before what was in line before it.
    assert max(num_done) < 5
