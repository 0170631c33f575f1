"""What holds of runs on images, whatever they do and whoever else asks."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from trivium_server.architectures.image.runner import ImageRunner, ImageWork
from trivium_server.architectures.vision_capabilities import VisionMeter
from trivium_server.errors import (
    CallAborted,
    DeadlineExceeded,
    QueueFull,
    QueueTimeout,
    TriviumError,
    UndecodableMedia,
    UnsupportedFeature,
)
from trivium_server.numerics import NotFiniteError
from trivium_server.runtime.session import SessionError

USUAL = 100
RUNNERS = 2


@contextlib.asynccontextmanager
async def started(*, num_runners: int = RUNNERS, max_callers: int = 300) -> AsyncIterator[ImageRunner]:
    """A runner in which nothing may be left at the end."""
    runner = ImageRunner(model="m", usual_cost=USUAL, num_runners=num_runners, max_callers=max_callers)
    await runner.start(lambda: None)
    try:
        yield runner
        await idle(runner)
    finally:
        await runner.close(0.0)


async def idle(runner: ImageRunner) -> None:
    async with asyncio.timeout(30):
        while runner.stats.num_accepted or runner.stats.num_callers:
            await asyncio.sleep(0.005)


def work(name: int, *, takes_s: float = 0.0, cost: int = USUAL) -> ImageWork[int, int]:
    def infer(value: int) -> int:
        time.sleep(takes_s)
        return 10 * value

    return ImageWork(prepare=lambda: name, infer=infer, cost=cost)


class Gate:
    """Holds runs back until it is opened, and counts those that arrived."""

    def __init__(self) -> None:
        self.num_arrived = 0
        self._is_open = threading.Event()

    def work(self, name: int, *, cost: int = USUAL) -> ImageWork[int, int]:
        def infer(value: int) -> int:
            self.num_arrived += 1
            assert self._is_open.wait(60)
            return 10 * value

        return ImageWork(prepare=lambda: name, infer=infer, cost=cost)

    async def arrival(self, num: int) -> None:
        async with asyncio.timeout(60):
            while self.num_arrived < num:
                await asyncio.sleep(0.002)

    def open(self) -> None:
        self._is_open.set()


def raising(error: Exception) -> ImageWork[int, int]:
    def infer(_: int) -> int:
        raise error

    return ImageWork(prepare=lambda: 0, infer=infer, cost=USUAL)


def soon() -> float:
    return time.monotonic() + 60.0


@pytest.mark.parametrize("num", [0, 1, 2, 3, 500])
async def test_all_come_back_in_order(num: int) -> None:
    async with started() as runner:
        with runner.call(soon(), VisionMeter()) as call:
            costs = [1 + 7919 * index % (3 * USUAL) for index in range(num)]
            made = await call.all(work(index, cost=cost) for index, cost in enumerate(costs))
        assert made == [10 * index for index in range(num)]


async def test_callers_at_once_get_their_own() -> None:
    async with started() as runner:
        calls = (runner.run(work(index), deadline_s=soon(), meter=VisionMeter()) for index in range(200))
        assert await asyncio.gather(*calls) == [10 * index for index in range(200)]


async def test_one_run_at_a_time_on_each_runner_and_both_halves_on_it() -> None:
    running: list[int] = []
    seen: list[int] = []
    loop_thread = threading.get_ident()

    def prepare() -> int:
        running.append(threading.get_ident())
        seen.append(len(running))
        time.sleep(0.001)
        return threading.get_ident()

    def infer(thread: int) -> bool:
        time.sleep(0.001)
        running.remove(thread)
        return thread == threading.get_ident() != loop_thread

    async with started() as runner:
        with runner.call(soon(), VisionMeter()) as call:
            assert all(await call.all([ImageWork(prepare=prepare, infer=infer, cost=USUAL)] * 50))
    # All runners were used. One more may be while they are on bulk, for who asks for little.
    assert RUNNERS <= max(seen) <= RUNNERS + 1


async def test_a_caller_with_one_run_does_not_wait_for_one_with_many() -> None:
    async with started(num_runners=1) as runner:
        with runner.call(soon(), VisionMeter()) as call:
            bulk = asyncio.create_task(call.all(work(index, takes_s=0.005) for index in range(200)))
            await asyncio.sleep(0.02)
            before = runner.stats.num_batches
            await runner.run(work(0), deadline_s=soon(), meter=VisionMeter())
            assert not bulk.done()
            assert runner.stats.num_batches - before < 100
            await bulk


async def test_callers_with_many_runs_share() -> None:
    async with started(num_runners=1) as runner:
        with runner.call(soon(), VisionMeter()) as first, runner.call(soon(), VisionMeter()) as second:
            ended: list[int] = []

            def noting(caller: int) -> ImageWork[None, None]:
                return ImageWork(prepare=lambda: time.sleep(0.001), infer=lambda _: ended.append(caller), cost=USUAL)

            await asyncio.gather(first.all([noting(1)] * 100), second.all([noting(2)] * 100))
    assert 30 <= ended[:100].count(1) <= 70


async def test_meter_says_what_the_runs_took() -> None:
    async with started() as runner:
        meter = VisionMeter()
        slow = ImageWork(prepare=lambda: time.sleep(0.05), infer=lambda _: time.sleep(0.1), cost=1)
        begun = time.monotonic()
        with runner.call(soon(), meter) as call:
            await call.run(slow)
            await call.run(slow)
        elapsed_s = time.monotonic() - begun
    assert 0.1 <= meter.preprocess_s < elapsed_s
    # From the first run of the model to the end of the last: the second preparation is in between.
    assert 0.25 <= meter.inference_s < elapsed_s
    assert 0.3 <= meter.compute_s <= elapsed_s
    assert 0 <= meter.queue_s <= elapsed_s - 0.3


@pytest.mark.parametrize(
    ("raised", "ends_with"),
    [
        (NotFiniteError(), UnsupportedFeature),
        (SessionError("no"), UnsupportedFeature),
        (UndecodableMedia("image", "is broken"), UndecodableMedia),
    ],
    ids=["no numbers", "session", "told"],
)
async def test_what_a_run_meets_ends_its_call_alone(raised: Exception, ends_with: type[TriviumError]) -> None:
    async with started() as runner:
        good = asyncio.create_task(runner.run(work(4, takes_s=0.02), deadline_s=soon(), meter=VisionMeter()))
        with pytest.raises(ends_with), runner.call(soon(), VisionMeter()) as call:
            await call.all([work(1), raising(raised), work(2)])
        assert await good == 40


async def test_a_defect_ends_its_call_with_what_it_raised(caplog: pytest.LogCaptureFixture) -> None:
    async with started() as runner:
        with pytest.raises(ZeroDivisionError):
            await runner.run(raising(ZeroDivisionError()), deadline_s=soon(), meter=VisionMeter())
        assert await runner.run(work(1), deadline_s=soon(), meter=VisionMeter()) == 10
    assert "ZeroDivisionError" in caplog.text


async def test_too_many_callers_are_refused_at_once() -> None:
    async with started(max_callers=2) as runner:
        gate = Gate()
        calls = [
            asyncio.create_task(runner.run(gate.work(1), deadline_s=soon(), meter=VisionMeter())) for _ in range(2)
        ]
        await gate.arrival(2)
        with pytest.raises(QueueFull) as refused:
            await runner.run(work(1), deadline_s=soon(), meter=VisionMeter())
        assert refused.value.retry_after_s > 0
        gate.open()
        assert await asyncio.gather(*calls) == [10, 10]


async def test_deadline_that_passes_while_waiting() -> None:
    async with started(num_runners=1) as runner:
        gate = Gate()
        busy = asyncio.create_task(runner.run(gate.work(1, cost=900), deadline_s=soon(), meter=VisionMeter()))
        await gate.arrival(1)
        asyncio.get_running_loop().call_later(0.2, gate.open)
        with pytest.raises(QueueTimeout):
            await runner.run(work(2, cost=900), deadline_s=time.monotonic() + 0.05, meter=VisionMeter())
        assert await busy == 10


async def test_deadline_that_passes_between_runs() -> None:
    async with started(num_runners=1) as runner:
        with pytest.raises(DeadlineExceeded), runner.call(time.monotonic() + 0.5, VisionMeter()) as call:
            await call.all(work(index, takes_s=0.03) for index in range(100))


async def test_cancelled_calls_leave_nothing() -> None:
    rng = random.Random(0)

    async def cancelled_soon(runner: ImageRunner) -> None:
        with runner.call(soon(), VisionMeter()) as call:
            async with asyncio.timeout(rng.uniform(0, 0.03)):
                await call.all(work(index, takes_s=0.001) for index in range(rng.choice([1, 3, 100])))

    async with started() as runner:
        for _ in range(5):
            storm = [cancelled_soon(runner) for _ in range(100)]
            ended = await asyncio.gather(*storm, return_exceptions=True)
            assert {type(each) for each in ended} <= {TimeoutError, type(None)}
            assert any(isinstance(each, TimeoutError) for each in ended)
            await idle(runner)
        assert await runner.run(work(1), deadline_s=soon(), meter=VisionMeter()) == 10


async def test_close_ends_what_runs_and_refuses_more() -> None:
    async with started() as runner:
        gate = Gate()
        calls = [
            asyncio.create_task(runner.run(gate.work(index), deadline_s=soon(), meter=VisionMeter()))
            for index in range(20)
        ]
        await gate.arrival(RUNNERS)
        asyncio.get_running_loop().call_later(0.1, gate.open)
        await runner.close(0.0)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in ended} <= {CallAborted, int}
        assert sum(isinstance(each, CallAborted) for each in ended) >= 16
        with pytest.raises(CallAborted):
            await runner.run(work(1), deadline_s=soon(), meter=VisionMeter())


async def test_close_with_grace_lets_calls_finish() -> None:
    async with started() as runner:
        calls = [
            asyncio.create_task(runner.run(work(index, takes_s=0.01), deadline_s=soon(), meter=VisionMeter()))
            for index in range(10)
        ]
        await asyncio.sleep(0)
        await runner.close(10.0)
        assert await asyncio.gather(*calls) == [10 * index for index in range(10)]


@pytest.mark.parametrize("failing", [NotFiniteError, SessionError])
async def test_a_first_run_that_fails_is_told(failing: Callable[[], Exception]) -> None:
    def rehearse() -> None:
        raise failing()

    runner = ImageRunner(model="m", usual_cost=1, num_runners=1, max_callers=1)
    with pytest.raises((NotFiniteError, SessionError)):
        await runner.start(rehearse)
    await runner.close(0.0)
