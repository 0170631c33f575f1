"""A run of which nobody wants the result ends at its graph's next node, wherever it runs; all others go on.

The graph makes as many steps as it is told. One that is not ended would run for minutes, and so hang these tests.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from tests.runtime.long_graph import long_session, run_steps
from trivium_server.architectures.speech.runner import SpeechRunner
from trivium_server.architectures.speech_capabilities import SpeechMeter, Urgency
from trivium_server.errors import CallAborted, DeadlineExceeded
from trivium_server.runtime.batch_forming import BatchPolicy
from trivium_server.runtime.batcher import Batcher
from trivium_server.runtime.session import RunEndedError, RunToken, Session

FOR_EVER = 10_000_000
# On an idle machine a millisecond; with all cores taken by others, some turns of the scheduler.
SOON_S = 1.0


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Steps:
    count: int
    length: int = 1


@pytest.fixture(scope="module")
def session() -> Session:
    return long_session()


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Runs work; the list gets what it returned or raised."""
    became: list[object] = []

    def run() -> None:
        try:
            became.append(work())
        except Exception as error:  # noqa: BLE001  whatever it is
            became.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, became


def governed(session: Session, token: RunToken, steps: int) -> int:
    with token.governs():
        return run_steps(session, steps)


def test_ends_what_runs_and_nothing_else(session: Session, capfd: pytest.CaptureFixture[str]) -> None:
    token = RunToken()
    ended, became = in_thread(lambda: governed(session, token, FOR_EVER))
    other, became_other = in_thread(lambda: governed(session, RunToken(), 20_000))
    free, became_free = in_thread(lambda: run_steps(session, 20_000))
    time.sleep(0.1)
    assert ended.is_alive()
    began = time.monotonic()
    token.end()
    ended.join(60)
    assert time.monotonic() - began < SOON_S
    assert isinstance(became[0], RunEndedError)
    other.join(60)
    free.join(60)
    assert became_other == became_free == [20_000]
    assert run_steps(session, 7) == 7
    assert capfd.readouterr().err == "", "it is no error, and onnxruntime says nothing of it"


def test_what_is_ended_before_it_begins_does_not_run(session: Session) -> None:
    token = RunToken()
    token.end()
    with pytest.raises(RunEndedError):
        governed(session, token, FOR_EVER)
    assert run_steps(session, 3) == 3, "the token governs no longer"


def test_bound_runs_end_too(session: Session) -> None:
    token, binding = RunToken(), session.binding()
    binding.bind_input("steps", np.array(FOR_EVER, np.int64))
    done = np.zeros((), np.int64)
    binding.bind_output("done", done)

    def run() -> None:
        with token.governs():
            binding.run()

    thread, became = in_thread(run)
    time.sleep(0.05)
    token.end()
    thread.join(60)
    assert isinstance(became[0], RunEndedError)
    binding.bind_input("steps", np.array(5, np.int64))
    binding.run()
    assert done == 5


def batcher_of(session: Session, *, num_runners: int = 1) -> Batcher[Steps, int]:
    def run(items: Sequence[Steps]) -> list[int | Exception]:
        done = run_steps(session, max(item.count for item in items))
        return [min(item.count, done) for item in items]

    return Batcher(run, model="m", policy=BatchPolicy(budget_tokens=8), num_runners=num_runners, max_callers=10)


async def ask(batcher: Batcher[Steps, int], *counts: int) -> list[int | Exception]:
    with batcher.open(time.monotonic() + 600) as caller:
        return await caller.all([Steps(count) for count in counts])


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_batch_ends_once_all_its_callers_have_left(session: Session) -> None:
    batcher = batcher_of(session)
    batcher.start()
    blocker = asyncio.create_task(ask(batcher, FOR_EVER))
    await until(lambda: batcher.workload.num_busy == 1)
    # These wait, and so share the next batch.
    first, second = (asyncio.create_task(ask(batcher, FOR_EVER, 3)) for _ in range(2))
    await until(lambda: batcher.workload.num_waiting == 4)
    blocker.cancel()
    await until(lambda: batcher.workload.num_waiting == 0, SOON_S)
    first.cancel()
    await asyncio.sleep(0.1)
    assert batcher.workload.num_busy == 1, "one of the two still waits for it"
    second.cancel()
    await until(lambda: batcher.workload.num_busy == 0, SOON_S)
    assert await ask(batcher, 5) == [5]
    await batcher.close(grace_s=0.0)


async def test_a_batch_of_which_one_stays_is_finished(session: Session) -> None:
    batcher = batcher_of(session)
    batcher.start()
    blocker = asyncio.create_task(ask(batcher, FOR_EVER))
    await until(lambda: batcher.workload.num_busy == 1)
    leaver, stayer = (asyncio.create_task(ask(batcher, 20_000)) for _ in range(2))
    await until(lambda: batcher.workload.num_waiting == 2)
    blocker.cancel()
    await until(lambda: batcher.workload.num_waiting == 0)
    leaver.cancel()
    assert await stayer == [20_000]
    await batcher.close(grace_s=0.0)


async def test_closing_a_batcher_ends_its_runs(session: Session) -> None:
    batcher = batcher_of(session, num_runners=2)
    batcher.start()
    asked: list[asyncio.Task[list[int | Exception]]] = []
    while len(asked) < 2:
        asked.append(asyncio.create_task(ask(batcher, FOR_EVER)))
        await until(lambda: batcher.workload.num_busy == len(asked))
    began = time.monotonic()
    await batcher.close(grace_s=0.0)
    assert time.monotonic() - began < SOON_S
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(outcome, CallAborted)


async def test_speech_runs_end_with_their_calls(session: Session) -> None:
    def run(items: Sequence[int]) -> list[int | Exception]:
        return [run_steps(session, max(items))] * len(items)

    runner: SpeechRunner[int, int] = SpeechRunner(run, model="m", num_runners=1, max_items=2, max_waiting=10)
    await runner.start(lambda: None)

    def ask(count: int, within_s: float = 600.0) -> "asyncio.Task[int]":
        call = runner.run(count, urgency=Urgency.FILE, deadline_s=time.monotonic() + within_s, meter=SpeechMeter())
        return asyncio.ensure_future(call)

    blocker = ask(FOR_EVER)
    await until(lambda: runner.workload.num_busy == 1)
    leaver, stayer = ask(20_000), ask(20_000)
    await until(lambda: runner.workload.num_waiting == 2)
    blocker.cancel()
    await until(lambda: runner.workload.num_waiting == 0, SOON_S)
    leaver.cancel()
    assert await stayer == 20_000
    # A deadline is a caller that leaves.
    with pytest.raises(DeadlineExceeded):
        await ask(FOR_EVER, within_s=0.3)
    await until(lambda: runner.workload.num_busy == 0, SOON_S)
    last = ask(FOR_EVER)
    await until(lambda: runner.workload.num_busy == 1)
    began = time.monotonic()
    await runner.close(0.0)
    assert time.monotonic() - began < SOON_S
    with pytest.raises(CallAborted):
        await last
