"""Items of many callers on runner threads: everything that was accepted ends once, and rightly."""

import asyncio
import gc
import math
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from enum import Enum, auto

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.traffic import Text, ragged
from trivium_server.errors import CallAborted, DeadlineExceeded, QueueFull, QueueTimeout
from trivium_server.runtime.batch_forming import BatchPolicy
from trivium_server.runtime.batcher import Batcher, BatcherClosedError, BatchRecord

BUDGET = 256
Outcome = str | Exception
Run = Callable[[Sequence[Text]], Sequence[Outcome]]


class UnluckyError(Exception):
    """What runs of these tests fail with."""


class Gate:
    """Holds runs back until it is opened, and tells when one has arrived."""

    def __init__(self) -> None:
        self.batches: list[list[Text]] = []
        self._arrived = threading.Semaphore(0)
        self._is_open = threading.Event()

    def run(self, texts: Sequence[Text]) -> list[Outcome]:
        self.batches.append(list(texts))
        self._arrived.release()
        assert self._is_open.wait(60)
        return echo(texts)

    async def arrival(self) -> None:
        assert await asyncio.to_thread(self._arrived.acquire, timeout=60)

    def open(self) -> None:
        self._is_open.set()


def said(text: Text) -> str:
    return f"{text.name}: {text.length}"


def echo(texts: Sequence[Text]) -> list[Outcome]:
    return [said(text) for text in texts]


def make(
    run: Run,
    *,
    num_runners: int = 1,
    max_callers: int = 1000,
    window_tokens: int | None = None,
    on_batch: Callable[[BatchRecord], None] = lambda _: None,
) -> Batcher[Text, str]:
    return Batcher(
        run,
        model="echo",
        policy=BatchPolicy(budget_tokens=BUDGET),
        num_runners=num_runners,
        max_callers=max_callers,
        window_tokens=window_tokens,
        on_batch=on_batch,
    )


@asynccontextmanager
async def running(batcher: Batcher[Text, str]) -> AsyncIterator[Batcher[Text, str]]:
    """Closes it at the end, and expects nothing to be left of anything."""
    batcher.start()
    try:
        yield batcher
        await idle(batcher)
    finally:
        await batcher.close(grace_s=0.0)
    assert batcher.stats.num_callers == 0


async def idle(batcher: Batcher[Text, str]) -> None:
    """Waits for runs of callers that left."""
    async with asyncio.timeout(60):
        while batcher.stats.num_accepted:
            await asyncio.sleep(0.001)
    stats = batcher.stats
    assert (stats.num_waiting, stats.waiting_tokens, stats.num_running_batches) == (0, 0, 0)


async def one_call(batcher: Batcher[Text, str], texts: Sequence[Text], deadline_s: float = math.inf) -> list[Outcome]:
    with batcher.open(deadline_s) as caller:
        return await caller.all(texts)


async def each(texts: Sequence[Text]) -> AsyncIterator[Text]:
    for text in texts:
        yield text


async def one_stream(batcher: Batcher[Text, str], texts: AsyncIterable[Text]) -> list[tuple[int, Outcome]]:
    ended: list[tuple[int, Outcome]] = []
    with batcher.open(math.inf) as caller:
        async with aclosing(caller.stream(texts)) as parts:
            async for part in parts:
                assert part
                ended.extend(part)
    return ended


@pytest.mark.parametrize("num", [0, 1, 2, 1000])
@pytest.mark.parametrize("window_tokens", [1, 100, None])
@pytest.mark.parametrize("num_runners", [1, 3])
async def test_results_are_those_of_the_items_in_their_order(
    num: int, window_tokens: int | None, num_runners: int
) -> None:
    texts = list(ragged(num))
    async with running(make(echo, num_runners=num_runners, window_tokens=window_tokens)) as batcher:
        assert await one_call(batcher, texts) == echo(texts)


@pytest.mark.parametrize("num", [0, 1, 1000])
@pytest.mark.parametrize("window_tokens", [1, 100, None])
async def test_a_stream_gives_the_same_as_one_call(num: int, window_tokens: int | None) -> None:
    texts = list(ragged(num))
    async with running(make(echo, num_runners=2, window_tokens=window_tokens)) as batcher:
        assert sorted(await one_stream(batcher, each(texts))) == list(enumerate(echo(texts)))


async def test_a_stream_answers_before_it_has_all_items() -> None:
    async with running(make(echo)) as batcher:
        answered = asyncio.Event()

        async def texts() -> AsyncIterator[Text]:
            for name in range(3):
                yield Text(5, name)
                await asyncio.wait_for(answered.wait(), 60)
                answered.clear()

        with batcher.open(math.inf) as caller:
            async with aclosing(caller.stream(texts())) as parts:
                got = []
                async for part in parts:
                    got.append(part)
                    answered.set()
        assert got == [[(name, f"{name}: 5")] for name in range(3)]


async def test_a_caller_goes_on_after_its_first_items() -> None:
    async with running(make(echo)) as batcher:
        with batcher.open(math.inf) as caller:
            for num in (3, 1, 7):
                texts = list(ragged(num, seed=num))
                assert await caller.all(texts) == echo(texts)
            assert caller.stats.num_items == 11


async def test_a_lone_item_runs_alone_and_what_came_meanwhile_runs_together() -> None:
    gate = Gate()
    async with running(make(gate.run)) as batcher, asyncio.TaskGroup() as tasks:
        tasks.create_task(one_call(batcher, [Text(10)]))
        await gate.arrival()
        for name in range(1, 6):
            tasks.create_task(one_call(batcher, [Text(10 + name, name)]))
        while batcher.stats.num_waiting < 5:
            await asyncio.sleep(0.001)
        gate.open()
    assert [len(batch) for batch in gate.batches] == [1, 5]


async def test_free_runners_share_a_call() -> None:
    together = threading.Barrier(4)

    def run(texts: Sequence[Text]) -> list[Outcome]:
        together.wait(60)
        return echo(texts)

    # Less than one budget for all four of them would leave them waiting for each other.
    texts = [Text(20, name) for name in range(20)]
    async with running(make(run, num_runners=4)) as batcher:
        while batcher.stats.num_free_runners < 4:
            await asyncio.sleep(0.001)
        assert await one_call(batcher, texts) == echo(texts)
    assert batcher.stats.num_batches == 4


async def test_a_query_is_in_the_next_batch_while_ten_thousand_items_are_asked_for() -> None:
    order: list[list[int]] = []
    queried = threading.Event()

    def run(texts: Sequence[Text]) -> list[Outcome]:
        order.append([text.name for text in texts])
        if len(order) == 20:
            queried.wait(60)
        return echo(texts)

    async with running(make(run)) as batcher, asyncio.TaskGroup() as tasks:
        bulk = tasks.create_task(one_call(batcher, list(ragged(10_000))))
        while len(order) < 20:
            await asyncio.sleep(0.001)
        query = tasks.create_task(one_call(batcher, [Text(18, -1)]))
        waiting = batcher.stats.num_waiting
        # The express may have taken it already.
        while batcher.stats.num_waiting == waiting and not query.done():
            await asyncio.sleep(0.001)
        queried.set()
        assert await query == ["-1: 18"]
        assert not bulk.done()
    assert order[20] == [-1]


async def test_bulk_has_little_padding_and_full_batches() -> None:
    records: list[BatchRecord] = []
    texts = list(ragged(5000))
    async with running(make(echo, num_runners=2, on_batch=records.append)) as batcher:
        await asyncio.gather(one_call(batcher, texts), one_call(batcher, texts))
        stats = batcher.stats
    assert stats.useful_tokens == 2 * sum(text.length for text in texts)
    # Measured: 0.02 to 0.04.
    assert 1 - stats.useful_tokens / stats.padded_tokens < 0.1
    assert sum(record.num_items for record in records) == 10_000
    assert sum(record.padded_tokens for record in records) == stats.padded_tokens
    assert len(records) == stats.num_batches


async def test_a_bad_item_fails_alone() -> None:
    def run(texts: Sequence[Text]) -> list[Outcome]:
        return [UnluckyError(text.name) if text.name % 7 == 3 else said(text) for text in texts]

    texts = list(ragged(50))
    async with running(make(run)) as batcher:
        outcomes = await one_call(batcher, texts)
    for text, outcome in zip(texts, outcomes, strict=True):
        if text.name % 7 == 3:
            assert isinstance(outcome, UnluckyError)
            assert outcome.args == (text.name,)
        else:
            assert outcome == said(text)


@pytest.mark.parametrize("kind", [UnluckyError, ValueError])
async def test_a_failed_run_fails_its_batch_and_nothing_else(kind: type[Exception]) -> None:
    def run(texts: Sequence[Text]) -> list[Outcome]:
        if texts[0].length < 100:
            return echo(texts)
        if kind is UnluckyError:
            raise UnluckyError
        return echo(texts)[1:]  # A ValueError of the batcher: one too few.

    async with running(make(run)) as batcher:
        texts = [Text(100, 0), Text(10, 1), Text(100, 2), Text(11, 3)]
        outcomes = await one_call(batcher, texts)
        assert [type(outcome) for outcome in outcomes] == [kind, str, kind, str]
        assert await one_call(batcher, [Text(5)]) == ["0: 5"]


async def test_whoever_leaves_leaves_nothing() -> None:
    gate = Gate()
    async with running(make(gate.run)) as batcher:
        first = asyncio.create_task(one_call(batcher, [Text(10)]))
        await gate.arrival()
        texts = list(ragged(100))
        remains = [weakref.ref(text) for text in texts]
        with batcher.open(math.inf) as caller:
            call = asyncio.create_task(caller.all(texts))
            await asyncio.sleep(0)
            assert batcher.stats.num_waiting == 100
            call.cancel()
            await asyncio.wait([call])
        # Its runner has not moved.
        assert batcher.stats.num_accepted == 1
        assert batcher.stats.waiting_tokens == 0
        del texts, call, caller
        gc.collect()
        assert [ref() for ref in remains] == [None] * 100
        gate.open()
        await first


async def test_nothing_is_kept_of_what_ended() -> None:
    async with running(make(echo)) as batcher:
        texts = list(ragged(100))
        remains = [weakref.ref(text) for text in texts]
        await one_call(batcher, texts)
        while not batcher.stats.num_free_runners:
            await asyncio.sleep(0.001)
        del texts
        gc.collect()
        assert [ref() for ref in remains] == [None] * 100


async def test_a_stream_that_is_closed_leaves_nothing() -> None:
    async with running(make(echo, num_runners=2)) as batcher:
        with batcher.open(math.inf) as caller:
            async with aclosing(caller.stream(each(list(ragged(2000))))) as parts:
                async for _ in parts:
                    break
        assert batcher.stats.num_waiting == 0


async def test_a_stream_ends_with_what_its_items_raise() -> None:
    async def texts() -> AsyncIterator[Text]:
        yield Text(5)
        raise UnluckyError

    async with running(make(echo)) as batcher:
        with pytest.raises(UnluckyError):
            await one_stream(batcher, texts())


async def test_items_are_not_read_faster_than_results_are_taken() -> None:
    num_read = 0

    async def texts() -> AsyncIterator[Text]:
        nonlocal num_read
        for text in ragged(5000):
            num_read += 1
            yield text

    async with running(make(echo, window_tokens=400)) as batcher:
        with batcher.open(math.inf) as caller:
            async with aclosing(caller.stream(texts())) as parts:
                num_taken = 0
                async for part in parts:
                    num_taken += len(part)
                    if num_taken > 100:
                        break
                # Now nobody takes.
                await asyncio.sleep(0.1)
                held_back = list(ragged(5000))[num_taken : num_read - 1]
                assert sum(text.length for text in held_back) <= 400
                assert num_read < 5000


async def test_what_waits_past_its_deadline_does_not_run() -> None:
    gate = Gate()
    async with running(make(gate.run, window_tokens=100)) as batcher:
        began_s = time.monotonic()
        limit_s = 1.0
        started = asyncio.create_task(one_call(batcher, [Text(50, 1), Text(5, 2)], began_s + limit_s))
        await gate.arrival()
        waiting = asyncio.create_task(one_call(batcher, [Text(10, 3)], began_s + limit_s))
        patient = asyncio.create_task(one_call(batcher, [Text(10, 4)]))
        await asyncio.sleep(began_s + 1.1 * limit_s - time.monotonic())
        gate.open()
        with pytest.raises(QueueTimeout):
            await waiting
        with pytest.raises(DeadlineExceeded):
            await started
        assert await patient == ["4: 10"]
    assert [text.name for batch in gate.batches for text in batch] == [1, 4]


async def test_callers_are_bounded() -> None:
    async with running(make(echo, max_callers=2)) as batcher:
        with batcher.open(math.inf), batcher.open(math.inf):
            with pytest.raises(QueueFull) as refused:
                batcher.open(math.inf)
            assert 0.1 <= refused.value.retry_after_s <= 10
            assert batcher.stats.num_callers == 2
        assert await one_call(batcher, [Text(3)]) == ["0: 3"]


async def test_close_lets_calls_finish() -> None:
    texts = list(ragged(2000))

    def run(texts: Sequence[Text]) -> list[Outcome]:
        time.sleep(0.001)
        return echo(texts)

    batcher = make(run, num_runners=2)
    batcher.start()
    call = asyncio.create_task(one_call(batcher, texts))
    await asyncio.sleep(0)
    await batcher.close(grace_s=60)
    assert await call == echo(texts)
    with pytest.raises(BatcherClosedError):
        batcher.open(math.inf)
    await batcher.close(grace_s=60)


@pytest.mark.parametrize("is_stuck", [False, True])
async def test_close_aborts_what_does_not_finish(is_stuck: bool) -> None:
    gate = Gate()
    batcher = make(gate.run)
    batcher.start()
    calls = [asyncio.create_task(one_call(batcher, [Text(10)])) for _ in range(2)]
    stream = asyncio.create_task(one_stream(batcher, each(list(ragged(100)))))
    await gate.arrival()
    if not is_stuck:
        asyncio.get_running_loop().call_later(0.1, gate.open)
    await batcher.close(grace_s=0.01, stuck_s=0.2 if is_stuck else 60)
    for call in (*calls, stream):
        with pytest.raises(CallAborted):
            await call
    stats = batcher.stats
    assert (stats.num_callers, stats.num_waiting, stats.num_running_batches) == (0, 0, int(is_stuck))
    gate.open()
    await idle(batcher)


async def test_a_batcher_that_never_started_closes() -> None:
    await make(echo).close(grace_s=1)


async def test_what_watches_batches_cannot_stop_them() -> None:
    def watch(record: BatchRecord) -> None:
        raise UnluckyError

    async with running(make(echo, on_batch=watch)) as batcher:
        for _ in range(3):
            assert await one_call(batcher, [Text(3)]) == ["0: 3"]


async def test_a_call_knows_its_times() -> None:
    def run(texts: Sequence[Text]) -> list[Outcome]:
        time.sleep(0.05)
        return echo(texts)

    async with running(make(run)) as batcher:
        with batcher.open(math.inf) as caller:
            assert caller.stats.inference_s == 0
            await caller.all([Text(10), Text(30)])
            stats = caller.stats
    assert (stats.num_items, stats.tokens) == (2, 40)
    assert stats.queue_s >= 0
    assert stats.compute_s >= 0.05
    assert stats.inference_s >= 0.05


class Storm:
    """Runs that count what they run, take a while, and fail now and then."""

    def __init__(self, seed: int) -> None:
        self.num_runs: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._rng = random.Random(seed)

    def run(self, texts: Sequence[Text]) -> list[Outcome]:
        with self._lock:
            self.num_runs.update(text.name for text in texts)
            luck = self._rng.random()
        time.sleep(luck * 0.002)
        if luck < 0.1:
            raise UnluckyError
        return [UnluckyError() if text.name % 11 == 0 else said(text) for text in texts]


class Kind(Enum):
    """How a call of the storm behaves."""

    ALL = auto()
    STREAM = auto()
    LEAVES = auto()
    IS_LATE = auto()


async def storm_call(batcher: Batcher[Text, str], kind: Kind, texts: list[Text], patience_s: float) -> None:
    try:
        match kind:
            case Kind.ALL:
                outcomes = await one_call(batcher, texts)
            case Kind.STREAM:
                ended = await one_stream(batcher, each(texts))
                assert len(ended) == len(texts)
                outcomes = [dict(ended)[index] for index in range(len(texts))]
            case Kind.LEAVES:
                async with asyncio.timeout(patience_s):
                    outcomes = await one_call(batcher, texts)
            case Kind.IS_LATE:
                outcomes = await one_call(batcher, texts, time.monotonic() + patience_s)
    except TimeoutError:
        assert kind is Kind.LEAVES
    except (QueueTimeout, DeadlineExceeded):
        assert kind is Kind.IS_LATE
    else:
        for text, outcome in zip(texts, outcomes, strict=True):
            assert isinstance(outcome, UnluckyError) or (outcome == said(text) and text.name % 11)


@settings(max_examples=40)
@given(
    calls=st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 120), st.floats(0, 0.02)), min_size=1, max_size=40),
    num_runners=st.integers(1, 4),
    window_tokens=st.sampled_from([1, 50, 500, None]),
    seed=st.integers(0, 2**32),
)
def test_every_accepted_item_ends_once(
    calls: list[tuple[Kind, int, float]], num_runners: int, window_tokens: int | None, seed: int
) -> None:
    storm = Storm(seed)
    batches = [
        [Text(text.length, 1000 * number + text.name) for text in ragged(num, seed + number)]
        for number, (_, num, _) in enumerate(calls)
    ]

    async def everything() -> None:
        batcher = make(storm.run, num_runners=num_runners, window_tokens=window_tokens)
        async with running(batcher), asyncio.TaskGroup() as tasks:
            for texts, (kind, _, patience_s) in zip(batches, calls, strict=True):
                tasks.create_task(storm_call(batcher, kind, texts, patience_s))

    asyncio.run(everything())
    assert all(num == 1 for num in storm.num_runs.values())
    for texts, (kind, _, _) in zip(batches, calls, strict=True):
        if kind in (Kind.ALL, Kind.STREAM):
            assert all(storm.num_runs[text.name] for text in texts)


async def test_a_query_does_not_wait_for_running_bulk() -> None:
    """With every runner on bulk, the express runs what goes ahead of it."""
    release = threading.Event()

    def run(texts: Sequence[Text]) -> list[Outcome]:
        if any(text.length == 100 for text in texts):
            assert release.wait(60)
        return echo(texts)

    batcher = make(run, num_runners=2)
    batcher.start()
    try:
        with batcher.open(math.inf) as bulk, batcher.open(time.monotonic() + 60) as query:
            running = asyncio.create_task(bulk.all([Text(100, name) for name in range(400)]))
            while batcher.stats.num_running_batches < 2:
                await asyncio.sleep(0.001)
            async with asyncio.timeout(30):
                for name in range(3):
                    assert await query.all([Text(8, name)]) == [f"{name}: 8"]
            assert not running.done()
            release.set()
            assert len(await running) == 400
    finally:
        release.set()
        await batcher.close(1)
