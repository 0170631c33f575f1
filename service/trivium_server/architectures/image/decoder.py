"""Decodes images for all models: on a few threads, within a budget of memory, with a queue that has a bound."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from trivium_server.architectures.image.memory_budget import GaveUpError, MemoryBudget
from trivium_server.architectures.vision_capabilities import Image
from trivium_server.config import ImagesConfig
from trivium_server.errors import (
    CallAborted,
    DeadlineExceeded,
    InputTooLarge,
    QueueFull,
    QueueTimeout,
    UndecodableMedia,
)
from trivium_server.vision.image import ImageLimits, OversizedImageError, decode, inspect
from trivium_server.vision.image_header import BrokenImageError, ImageFormat

# The path of the field that files come in, in requests and in frames.
_FIELD = "image"
# What an image is taken to need, until some were decoded.
_USUAL_S = 0.01


class ImageDecoder:
    """Turns files into images. For the event loop; close it when done.

    Memory is bounded: by config.memory_mib for what is decoded at the moment and for images that were decoded and are
    still in use, and by the number and the size of the files that wait.
    """

    def __init__(self, config: ImagesConfig) -> None:
        num_bytes = config.memory_mib << 20
        self._limits = ImageLimits(
            max_bytes=config.max_bytes,
            max_pixels=config.max_pixels,
            max_side=config.max_side,
            # One large image is not to keep all others waiting.
            max_decoding_bytes=num_bytes // 2,
            formats=frozenset(ImageFormat[name.upper()] for name in config.formats),
        )
        self._num_threads = config.decoders
        self._max_waiting = config.max_waiting
        self._executor = ThreadPoolExecutor(config.decoders, thread_name_prefix="decode")
        self._memory = MemoryBudget(num_bytes)
        self._jobs: set[_Job] = set()
        self._ended = asyncio.Event()
        self._is_closed = False
        self._usual_s = _USUAL_S

    @property
    def num_jobs(self) -> int:
        """How many images wait or are being decoded. For tests and telemetry."""
        return len(self._jobs)

    @property
    def free_bytes(self) -> int:
        """What is left of the memory for images. For tests and telemetry."""
        return self._memory.free_bytes

    async def decode(self, content: bytes, *, deadline_s: float, enough_side: int | None = None) -> Image:
        """Decodes the image of a file. deadline_s is absolute, on the clock of time.monotonic().

        enough_side: what the shorter side must have at least; then a larger JPEG is decoded at a half, a quarter or an
        eighth of its size, which takes a fraction of the time. None: its own size.

        Raises UndecodableMedia, InputTooLarge, QueueFull, QueueTimeout, DeadlineExceeded and CallAborted. Cancelling it
        drops an image that waits; one that is being decoded is finished and thrown away, and has its thread till then.
        """
        if self._is_closed:
            raise CallAborted("", server_stops=True)
        if len(self._jobs) >= self._num_threads + self._max_waiting:
            raise QueueFull(self._max_waiting, self._retry_after_s(), "images")
        opened_s = time.monotonic()
        if deadline_s <= opened_s:
            raise QueueTimeout
        job = _Job(content, self._limits, self._memory, enough_side)
        self._jobs.add(job)
        future = self._executor.submit(job.run)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _call_soon(loop, lambda: self._on_end(job)))
        job.result = asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(deadline_s - opened_s):
                image = await job.result
        except TimeoutError:
            raise (DeadlineExceeded(round(deadline_s - opened_s, 3)) if job.has_begun else QueueTimeout()) from None
        except asyncio.CancelledError:
            if job.is_aborted:
                raise CallAborted("", server_stops=True) from None
            raise
        except BrokenImageError as error:
            raise UndecodableMedia(_FIELD, str(error)) from error
        except OversizedImageError as error:
            raise InputTooLarge(_FIELD, error.actual, error.limit, error.unit) from error
        finally:
            job.leave()
            # It has the image, and through its callback the job: a cycle, which would keep the image in memory.
            job.result = None
        self._usual_s += 0.2 * (job.took_s - self._usual_s)
        return image

    async def close(self, grace_s: float = 0.0) -> None:
        """Takes no more images, ends those that wait or run after at most grace_s seconds with CallAborted."""
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._jobs:
                    self._ended.clear()
                    await self._ended.wait()
        for job in list(self._jobs):
            job.abort()
        self._executor.shutdown(wait=False)

    def _on_end(self, job: "_Job") -> None:
        self._jobs.discard(job)
        self._ended.set()

    def _retry_after_s(self) -> float:
        return round(min(max(self._usual_s * len(self._jobs) / self._num_threads, 0.1), 10.0), 1)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)


class _Job:
    """An image on its way. `run` is for a thread, all else for the event loop."""

    def __init__(self, content: bytes, limits: ImageLimits, memory: MemoryBudget, enough_side: int | None) -> None:
        self._content = content
        self._limits = limits
        self._memory = memory
        self._enough_side = enough_side
        self._has_left = False
        self.result: asyncio.Future[Image] | None = None
        self.has_begun = False
        self.is_aborted = False
        self.took_s = 0.0

    def run(self) -> Image:
        """Raises BrokenImageError, OversizedImageError, and GaveUpError when nobody waits for the image any more."""
        content, self._content = self._content, b""
        if self._has_left:
            raise GaveUpError
        self.has_begun = True
        header = inspect(content, self._limits)
        self._memory.take(header.decoding_bytes, has_left=lambda: self._has_left)
        kept = 0
        try:
            started_s = time.monotonic()
            pixels = decode(header, self._enough_side)
            self.took_s = time.monotonic() - started_s
            kept = min(pixels.nbytes, header.decoding_bytes)
            weakref.finalize(pixels, self._memory.give, kept).atexit = False
        finally:
            self._memory.give(header.decoding_bytes - kept)
        is_turned = header.orientation >= 5
        return Image(
            pixels=pixels,
            width=header.height if is_turned else header.width,
            height=header.width if is_turned else header.height,
            orientation_applied=header.orientation > 1,
            mime_type=header.format.value,
        )

    def leave(self) -> None:
        """Drops the image: its file too, where it has not begun."""
        self._has_left = True
        self._content = b""
        if self.result is not None and not self.result.done():
            self.result.cancel()
            self._memory.wake()

    def abort(self) -> None:
        """Ends the call, which waits for the image, with CallAborted."""
        self.is_aborted = True
        self.leave()
