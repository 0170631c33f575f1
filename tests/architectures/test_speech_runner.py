"""The lines before a model that hears."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from trivium_server.architectures.speech.runner import SpeechRunner
from trivium_server.architectures.speech_capabilities import SpeechMeter, Urgency
from trivium_server.errors import CallAborted, DeadlineExceeded, QueueFull, QueueTimeout

LIVE, INTERIM, FILE = Urgency.LIVE, Urgency.INTERIM, Urgency.FILE


class Work:
    """What a runner runs: notes its items, and holds each run until it is let go."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.gate = threading.Event()

    def __call__(self, items: Sequence[str]) -> list[str]:
        self.runs.append(list(items))
        self.gate.wait(10)
        if "broken" in items:
            raise ValueError("broken")
        return [item.upper() for item in items]


@asynccontextmanager
async def running(
    work: Work, *, num_runners: int = 1, max_items: int = 1, max_waiting: int = 100
) -> AsyncGenerator[SpeechRunner[str, str]]:
    runner: SpeechRunner[str, str] = SpeechRunner(
        work, model="tiny", num_runners=num_runners, max_items=max_items, max_waiting=max_waiting
    )
    await runner.start(lambda: None)
    try:
        yield runner
    finally:
        work.gate.set()
        await runner.close(0.0)


def ask(
    runner: SpeechRunner[str, str], item: str, urgency: Urgency = LIVE, *, within_s: float = 60.0
) -> "asyncio.Task[str]":
    call = runner.run(item, urgency=urgency, deadline_s=time.monotonic() + within_s, meter=SpeechMeter())
    return asyncio.ensure_future(call)


async def until_begun(work: Work, num_runs: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(work.runs) < num_runs:
            await asyncio.sleep(0.001)


async def test_what_is_urgent_goes_first_and_the_others_take_turns() -> None:
    work = Work()
    async with running(work) as runner:
        first = ask(runner, "first")
        await until_begun(work)
        order = [("f1", FILE), ("f2", FILE), ("f3", FILE), ("i1", INTERIM), ("i2", INTERIM), ("l1", LIVE), ("l2", LIVE)]
        tasks = [ask(runner, item, urgency) for item, urgency in order]
        await asyncio.sleep(0)
        assert runner.stats.num_waiting == len(order)
        work.gate.set()
        assert await asyncio.gather(first, *tasks) == ["FIRST", *(item.upper() for item, _ in order)]
        assert [run[0] for run in work.runs] == ["first", "l1", "l2", "i1", "f1", "i2", "f2", "f3"]
        assert runner.stats.num_accepted == 0


async def test_company_is_of_one_line_and_shared_among_free_runners() -> None:
    work = Work()
    async with running(work, max_items=3) as runner:
        first = ask(runner, "first")
        await until_begun(work)
        tasks = [ask(runner, f"f{turn}", FILE) for turn in range(4)] + [ask(runner, "i", INTERIM)]
        await asyncio.sleep(0)
        work.gate.set()
        await asyncio.gather(first, *tasks)
        assert work.runs == [["first"], ["i"], ["f0", "f1", "f2"], ["f3"]]


async def test_cancelled_item_that_waits_never_runs() -> None:
    work = Work()
    async with running(work) as runner:
        first = ask(runner, "first")
        await until_begun(work)
        waiting = ask(runner, "waiting")
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert runner.stats.num_waiting == 0
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        work.gate.set()
        assert await ask(runner, "next") == "NEXT"
        assert work.runs == [["first"], ["next"]]


async def test_deadline_says_whether_anything_was_done() -> None:
    work = Work()
    async with running(work) as runner:
        first = ask(runner, "first", within_s=0.2)
        await until_begun(work)
        late = ask(runner, "late", within_s=0.05)
        with pytest.raises(QueueTimeout):
            await late
        with pytest.raises(DeadlineExceeded):
            await first
        assert runner.stats.num_waiting == 0


async def test_line_has_an_end() -> None:
    work = Work()
    async with running(work, max_waiting=2) as runner:
        tasks = [ask(runner, "first")]
        await until_begun(work)
        tasks += [ask(runner, "second"), ask(runner, "third", FILE)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as refused:
            await ask(runner, "fourth")
        assert refused.value.retry_after_s >= 0.1
        work.gate.set()
        assert await asyncio.gather(*tasks) == ["FIRST", "SECOND", "THIRD"]


async def test_run_that_fails_ends_its_items_and_no_others() -> None:
    work = Work()
    work.gate.set()
    async with running(work) as runner:
        with pytest.raises(ValueError, match="broken"):
            await ask(runner, "broken")
        assert await ask(runner, "fine") == "FINE"


async def test_close_aborts_what_runs_and_what_waits() -> None:
    work = Work()
    async with running(work) as runner:
        tasks = [ask(runner, "runs"), ask(runner, "waits")]
        await until_begun(work)
        asyncio.get_running_loop().call_later(0.1, work.gate.set)
        await runner.close(0.0)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, CallAborted) for each in ended)
        with pytest.raises(CallAborted):
            await ask(runner, "late")


async def test_close_lets_calls_finish_within_the_grace() -> None:
    work = Work()
    async with running(work) as runner:
        task = ask(runner, "runs")
        await until_begun(work)
        asyncio.get_running_loop().call_later(0.05, work.gate.set)
        await runner.close(5.0)
        assert await task == "RUNS"
