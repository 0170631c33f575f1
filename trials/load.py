"""Calls at a steady rate, whether or not earlier ones were answered, as they come from many callers."""

import asyncio
import contextlib
import gc
import random
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import trivium

__all__ = ["Call", "Load", "steady_load", "undisturbed"]

OneCall = Callable[[trivium.AsyncClient, int], Awaitable[object]]


@dataclass(slots=True)
class Call:
    """One call: when it began on the monotonic clock, how long it took, and how it failed, None where it did not."""

    begun_s: float
    took_s: float = 0.0
    failure: Exception | None = None
    answer: object = None


@dataclass(slots=True)
class Load:
    """What is being done. Grows while the load runs."""

    calls: list[Call] = field(default_factory=list)

    @property
    def failures(self) -> list[Call]:
        return [call for call in self.calls if call.failure]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keeps the garbage collector from what is there already: to look through a whole test session takes it 50 ms."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def steady_load(
    target: str,
    one: OneCall,
    *,
    rate: float,
    max_attempts: int = 1,
    tls: bool | None = None,
    rng: random.Random | None = None,
) -> Iterator[Load]:
    """Calls so many times a second from a thread of its own until the block ends; then waits for the calls under way.

    one: makes a call with the client; the number counts calls from 0. max_attempts: 1 keeps the SDK's own retries out.
    rng: makes the calls come at random times of this rate (Poisson); without one they come at equal distances.
    """

    def client() -> trivium.AsyncClient:
        return trivium.AsyncClient(target, tls=tls, retry=trivium.RetryPolicy(max_attempts=max_attempts))

    load = Load()
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_run(client, one, _gaps(rate, rng), load, stop)), name="load", daemon=True
    )
    with undisturbed():
        thread.start()
        try:
            yield load
        finally:
            stop.set()
            thread.join(120)
    assert not thread.is_alive(), "calls are still under way two minutes after the load ended"


async def _run(
    connect: Callable[[], trivium.AsyncClient], one: OneCall, gaps: Iterator[float], load: Load, stop: threading.Event
) -> None:
    async with connect() as client:
        tasks = set()
        async for number in _ticks(gaps, stop):
            call = Call(time.monotonic())
            load.calls.append(call)
            task = asyncio.create_task(_make(client, one, number, call))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


def _gaps(rate: float, rng: random.Random | None) -> Iterator[float]:
    while True:
        yield rng.expovariate(rate) if rng else 1 / rate


async def _ticks(gaps: Iterator[float], stop: threading.Event) -> AsyncGenerator[int]:
    """Counts, after these seconds from one number to the next; one that is late makes none later."""
    due_s = time.monotonic()
    for number, gap_s in enumerate(gaps):
        if stop.is_set():
            return
        yield number
        due_s += gap_s
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


async def _make(client: trivium.AsyncClient, one: OneCall, number: int, call: Call) -> None:
    try:
        call.answer = await one(client, number)
    except Exception as error:  # noqa: BLE001  # whatever a call fails with is what is counted
        call.failure = error
    call.took_s = time.monotonic() - call.begun_s
