"""Decoding for many callers: bounded in threads, memory and waiting; the event loop goes on."""

import asyncio
import gc
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from PIL import Image as Pil

from trivium_server.architectures.image.decoder import ImageDecoder
from trivium_server.architectures.image.memory_budget import GaveUpError, MemoryBudget
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


# Takes some tenths of a second.
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
        running = asyncio.create_task(decoder.decode(SLOW, deadline_s=soon(0.03)))
        await asyncio.sleep(0)
        with pytest.raises(QueueTimeout):
            await decoder.decode(image_file(), deadline_s=soon(0.01))
        with pytest.raises(DeadlineExceeded):
            await running
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
    await asyncio.sleep(0.01)
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


async def test_who_asks_first_gets_memory_first() -> None:
    budget = MemoryBudget(10)
    budget.take(6, has_left=lambda: False)
    order: list[int] = []

    def ask(num_bytes: int) -> None:
        budget.take(num_bytes, has_left=lambda: False)
        order.append(num_bytes)

    large = asyncio.create_task(asyncio.to_thread(ask, 9))
    await asyncio.sleep(0.05)
    small = asyncio.create_task(asyncio.to_thread(ask, 1))
    await asyncio.sleep(0.05)
    assert not order
    budget.give(6)
    await asyncio.gather(large, small)
    assert order == [9, 1]


async def test_who_leaves_waits_no_more() -> None:
    budget = MemoryBudget(10)
    budget.take(10, has_left=lambda: False)
    has_left = False
    waiting = asyncio.create_task(asyncio.to_thread(budget.take, 1, has_left=lambda: has_left))
    await asyncio.sleep(0.05)
    has_left = True
    budget.wake()
    with pytest.raises(GaveUpError):
        await waiting
    assert budget.free_bytes == 0
