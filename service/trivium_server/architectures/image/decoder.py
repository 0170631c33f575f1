"""Decodes images for all models: on a few threads, within a budget of memory, with a queue that has a bound."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trivium_server.architectures.image.memory_budget import MemoryBudget
from trivium_server.architectures.image.turns import Turn, Turns
from trivium_server.architectures.vision_capabilities import Image
from trivium_server.config import ImagesConfig
from trivium_server.errors import (
    CallAborted,
    DeadlineExceeded,
    InputTooLarge,
    QueueFull,
    QueueTimeout,
    TriviumError,
    UndecodableMedia,
)
from trivium_server.vision.image import ImageLimits, OversizedImageError, Pixels, decode, divisor_for, inspect
from trivium_server.vision.image_header import BrokenImageError, Header, ImageFormat

# The path of the field that files come in, in requests and in frames.
_FIELD = "image"
# What an image is taken to need, until some were decoded.
_USUAL_S = 0.01


class ImageDecoder:
    """Turns files into images. For the event loop; close it when done.

    Memory is bounded: by config.memory_mib for what is decoded at the moment and for images that were decoded and are
    still in use, and by the number and the size of the files that wait. Small images do not wait for large ones.
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
        # Apart, so that what is only looked at waits for nothing that is decoded; and one for small images.
        self._inspectors = ThreadPoolExecutor(config.decoders, thread_name_prefix="inspect")
        self._decoders = ThreadPoolExecutor(config.decoders + 1, thread_name_prefix="decode")
        self._turns = Turns(config.decoders, num_bytes)
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
        return self._turns.memory.free_bytes

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
        job = _Job(timeout=asyncio.timeout(deadline_s - opened_s))
        self._jobs.add(job)
        refusal: TriviumError | None = None
        try:
            async with job.timeout:
                loop = asyncio.get_running_loop()
                header = await loop.run_in_executor(self._inspectors, inspect, content, self._limits)
                divisor = divisor_for(header, enough_side)
                turn = await self._turns.take(header.decoding_bytes(divisor))
                pixels = await self._decode(job, turn, header, divisor)
        except TimeoutError:
            if job.is_aborted:
                refusal = CallAborted("", server_stops=True)
            else:
                refusal = DeadlineExceeded(round(deadline_s - opened_s, 3)) if job.is_decoding else QueueTimeout()
        except BrokenImageError as error:
            refusal = UndecodableMedia(_FIELD, str(error))
        except OversizedImageError as error:
            refusal = InputTooLarge(_FIELD, error.actual, error.limit, error.unit)
        finally:
            if not job.is_decoding:
                self._on_end(job)
        # Not where the other was caught: through it, whoever keeps the refusal would keep the file.
        if refusal is not None:
            raise refusal
        is_turned = header.orientation >= 5
        return Image(
            pixels=pixels,
            width=header.height if is_turned else header.width,
            height=header.width if is_turned else header.height,
            orientation_applied=header.orientation > 1,
            mime_type=header.format.value,
        )

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
        self._inspectors.shutdown(wait=False)
        self._decoders.shutdown(wait=False)

    async def _decode(self, job: "_Job", turn: Turn, header: Header, divisor: int) -> Pixels:
        """Decodes in a thread, which has its turn until it is done, whoever waits for it."""
        job.is_decoding = True
        loop = asyncio.get_running_loop()
        future = self._decoders.submit(_decode, header, divisor, turn, self._turns.memory)

        def on_end() -> None:
            self._turns.end(turn)
            self._on_end(job)

        future.add_done_callback(lambda _: _call_soon(loop, on_end))
        # Shielded: one that is cancelled before its thread began would never give its memory back.
        pixels, took_s = await asyncio.shield(asyncio.wrap_future(future))
        self._usual_s += 0.2 * (took_s - self._usual_s)
        return pixels

    def _on_end(self, job: "_Job") -> None:
        self._jobs.discard(job)
        self._ended.set()

    def _retry_after_s(self) -> float:
        return round(min(max(self._usual_s * len(self._jobs) / self._num_threads, 0.1), 10.0), 1)


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    """An image on its way."""

    timeout: asyncio.Timeout
    is_decoding: bool = False
    is_aborted: bool = False

    def abort(self) -> None:
        """Ends the call, if it waits still."""
        self.is_aborted = True
        if self.timeout.when() is not None and not self.timeout.expired():
            self.timeout.reschedule(0)


def _decode(header: Header, divisor: int, turn: Turn, memory: MemoryBudget) -> tuple[Pixels, float]:
    """Decodes in this thread. Memory that was taken is given back: that of the pixels with them."""
    kept = 0
    try:
        started_s = time.monotonic()
        pixels = decode(header, divisor)
        took_s = time.monotonic() - started_s
        kept = min(pixels.nbytes, turn.num_bytes)
        weakref.finalize(pixels, memory.give, kept, was_small=turn.is_small).atexit = False
        return pixels, took_s
    finally:
        memory.give(turn.num_bytes - kept, was_small=turn.is_small)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
