"""Streams of embeddings: order, going on after a break, bounded memory, and how they end."""

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

import trivium
from tests.sdk.embedding_script import LOST, embed, embed_stream, vector_of
from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, fail, hang, reply
from tests.serving import wait_until
from trivium import RetryPolicy, _calls, errors
from trivium._embed_window import MAX_AHEAD_ITEMS, MAX_TEXT_BYTES
from trivium.v1 import embedding_pb2

Connect = Callable[..., Face]
TEXTS = [f"text {number}" for number in range(1000)]


def has_vector(entry: trivium.EmbedResult, text: str) -> bool:
    return entry.vector is not None and np.array_equal(entry.vector, vector_of(text))


def matches(results: list[trivium.EmbedResult], texts: list[str]) -> bool:
    """Whether there is the right vector for each text, in order."""
    assert [result.index for result in results] == list(range(len(texts)))
    return all(has_vector(entry, text) for entry, text in zip(results, texts, strict=True))


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 1000])
def test_one_result_for_each_text_in_order(connect: Connect, faults: ScriptedServer, count: int) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    results, opened = connect(faults.target).events("embed_stream", iter(TEXTS[:count]))
    assert matches(results, TEXTS[:count])
    assert opened.info.model.name == opened.model.name == "m"
    assert opened.input_tokens == 2 * count
    assert (opened.total, opened.failed_count) == (None, 0)


def test_stream_equals_one_call(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    faults.script(_calls.EMBED, embed)
    face = connect(faults.target)
    results, opened = face.events("embed_stream", TEXTS[:200])
    assert opened.total == 200
    matrix = face.call("embed", TEXTS[:200])
    assert np.array_equal(np.stack([result.vector for result in results]), matrix)


def test_ids_come_back(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    results, _ = connect(faults.target).events("embed_stream", [("a", "one"), "two", ("c", "three")])
    assert [result.item_id for result in results] == ["a", "", "c"]


@pytest.mark.parametrize("cut_after", [1, 50, 127, 999, 1000])
def test_broken_stream_goes_on_where_it_stopped(connect: Connect, faults: ScriptedServer, cut_after: int) -> None:
    second: list[str] = []
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=cut_after), embed_stream(seen=second))
    results, opened = connect(faults.target).events("embed_stream", iter(TEXTS))
    assert matches(results, TEXTS)
    start = len(TEXTS) - len(second)
    assert second == TEXTS[start:]
    # What came last may be lost with the stream: grpc.aio drops it where a send fails before it is read.
    assert cut_after - 100 < start <= cut_after
    assert opened.input_tokens == 2 * len(TEXTS)
    ids = {call.metadata["x-request-id"] for call in faults.received}
    assert ids == {opened.request_id}


def test_many_breaks_with_progress_between_them(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=100))
    results, _ = connect(faults.target).events("embed_stream", TEXTS)
    assert matches(results, TEXTS)
    assert 10 <= len(faults.received) <= 15


def test_stream_without_its_end_goes_on(connect: Connect, faults: ScriptedServer) -> None:
    ended = embed_stream(cut_after=300, cut=reply(embedding_pb2.StreamEmbedResponse()))  # whose message is not sent
    faults.script(_calls.STREAM_EMBED, ended, embed_stream())
    results, _ = connect(faults.target).events("embed_stream", TEXTS)
    assert matches(results, TEXTS)


def test_servers_own_limit_goes_on(connect: Connect, faults: ScriptedServer) -> None:
    limit = fail(grpc.StatusCode.DEADLINE_EXCEEDED, "the call took 3600 s", reason="DEADLINE_EXCEEDED")
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=300, cut=limit))
    results, _ = connect(faults.target).events("embed_stream", TEXTS)
    assert matches(results, TEXTS)


def test_break_without_progress_is_given_up(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=100), LOST)
    face = connect(faults.target)
    opened = face.open("embed_stream", TEXTS)
    with pytest.raises(errors.ConnectionLost):
        face.read(opened)
    assert len(faults.received) == 4


def test_one_attempt_does_not_go_on(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=100), embed_stream())
    with pytest.raises(errors.ConnectionLost):
        connect(faults.target, retry=RetryPolicy(max_attempts=1)).events("embed_stream", TEXTS)
    assert len(faults.received) == 1


def test_other_errors_end_the_stream(connect: Connect, faults: ScriptedServer) -> None:
    refusal = fail(grpc.StatusCode.INVALID_ARGUMENT, "no", reason="UNSUPPORTED_FEATURE")
    faults.script(_calls.STREAM_EMBED, refusal, refusal)
    with pytest.raises(errors.UnsupportedFeature):
        connect(faults.target).events("embed_stream", TEXTS)
    assert len(faults.received) == 1


class Passing(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(details, requests)


class BlockingPassing(grpc.StreamStreamClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(details, requests)


@pytest.mark.parametrize("is_intercepted", [False, True])
@pytest.mark.parametrize("num_answered", [0, 2])
def test_what_comes_while_a_text_is_sent_is_heard(
    connect: Connect, faults: ScriptedServer, num_answered: int, is_intercepted: bool
) -> None:
    async def texts() -> AsyncIterator[str]:
        for text in TEXTS[:50]:
            yield text
            await asyncio.sleep(0)
            time.sleep(0.002)  # noqa: ASYNC251  all that happens while the event loop is blocked is seen at once

    refusal = fail(grpc.StatusCode.INVALID_ARGUMENT, "no", reason="UNSUPPORTED_FEATURE")
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=num_answered, cut=refusal) if num_answered else refusal)
    face = connect(faults.target)
    if is_intercepted:
        face = connect(faults.target, interceptors=[Passing() if face.is_async else BlockingPassing()])
    for _ in range(5):
        results, error = face.read_until_error(face.open("embed_stream", texts() if face.is_async else TEXTS[:50]))
        assert isinstance(error, errors.UnsupportedFeature)
        assert matches(results, TEXTS[:num_answered])
    assert len(faults.received) == 5


def test_another_version_of_the_model_is_not_mixed_in(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=100), embed_stream(digest="sha256:2"))
    with pytest.raises(errors.AbortedError, match="after 100 texts"):
        connect(faults.target).events("embed_stream", TEXTS)


def test_failed_text_leaves_the_others(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    results, opened = connect(faults.target).events("embed_stream", ["one", "", "three"])
    assert [result.error is None for result in results] == [True, False, True]
    assert isinstance(results[1].error, errors.InvalidArgumentField)
    assert results[1].vector is None
    assert opened.failed_count == 1


@pytest.mark.parametrize("places", [{0}, {3}, {9}, {4, 5}, set(range(10))], ids=str)
def test_text_that_no_message_can_carry_fails_alone(connect: Connect, faults: ScriptedServer, places: set[int]) -> None:
    huge = "x" * (MAX_TEXT_BYTES + 1)
    seen: list[str] = []
    faults.script(_calls.STREAM_EMBED, embed_stream(seen=seen))
    texts = [huge if place in places else TEXTS[place] for place in range(10)]
    results, _ = connect(faults.target).events("embed_stream", texts)
    assert [result.index for result in results] == list(range(10))
    assert {result.index for result in results if result.error} == places
    assert huge not in seen
    assert all(isinstance(results[place].error, errors.InputTooLarge) for place in places)


def test_error_of_the_iterable_comes_after_the_results_before_it(connect: Connect, faults: ScriptedServer) -> None:
    def texts() -> Iterator[str]:
        yield from TEXTS[:300]
        raise OSError("the disk is gone")

    faults.script(_calls.STREAM_EMBED, embed_stream())
    face = connect(faults.target)
    results, error = face.read_until_error(face.open("embed_stream", texts()))
    assert isinstance(error, OSError)
    assert matches(results, TEXTS[:300])


@pytest.mark.parametrize("wrong", [None, 5, float("nan"), b"bytes", ("a", "b", "c"), "\udcff"], ids=repr)
def test_what_is_no_text_is_named(connect: Connect, faults: ScriptedServer, wrong: object) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    face = connect(faults.target)
    results, error = face.read_until_error(face.open("embed_stream", ["one", wrong]))
    assert isinstance(error, TypeError | ValueError)
    assert "texts[1]" in str(error)
    assert matches(results, ["one"])


@pytest.mark.parametrize("wrong", ["one text", b"bytes", None, 5], ids=repr)
def test_source_that_is_no_iterable_of_texts(connect: Connect, faults: ScriptedServer, wrong: object) -> None:
    with pytest.raises(TypeError, match="texts is"):
        connect(faults.target).open("embed_stream", wrong)


def test_source_is_read_a_bounded_number_ahead(connect: Connect, faults: ScriptedServer) -> None:
    read = itertools.count()
    furthest = 0

    def texts() -> Iterator[str]:
        nonlocal furthest
        for number in read:
            furthest = number
            yield f"text {number}"

    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=10, cut=hang()))
    face = connect(faults.target)
    face.first("embed_stream", texts())  # which has an end only because the loop is left
    assert faults.cancelled.wait(20)
    assert furthest <= MAX_AHEAD_ITEMS + 200
    stopped_at = furthest
    time.sleep(0.1)
    assert furthest == stopped_at


def test_texts_that_come_slowly_are_sent_at_once(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    given = threading.Semaphore(0)

    def texts() -> Iterator[str]:
        for text in TEXTS[:3]:
            yield text
            assert given.acquire(timeout=20)  # goes on once the result of this text was taken

    with trivium.Client(faults.target, default_model="m", idle_timeout_s=20) as client:
        for result in client.embed_stream(texts()):
            assert has_vector(result, TEXTS[result.index])
            given.release()


async def test_asynchronous_texts(faults: ScriptedServer) -> None:
    async def texts() -> AsyncIterator[str]:
        for text in TEXTS[:300]:
            await asyncio.sleep(0)
            yield text

    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=100), embed_stream())
    async with trivium.AsyncClient(faults.target, default_model="m") as client:
        assert matches([result async for result in client.embed_stream(texts())], TEXTS[:300])


def test_slow_source_is_not_idle(faults: ScriptedServer) -> None:
    def texts() -> Iterator[str]:
        for text in TEXTS[:3]:
            yield text
            time.sleep(1.3 if text == TEXTS[1] else 0)

    faults.script(_calls.STREAM_EMBED, embed_stream())
    with trivium.Client(faults.target, default_model="m", idle_timeout_s=1) as client:
        assert matches(list(client.embed_stream(texts())), TEXTS[:3])


async def test_slow_asynchronous_source_is_not_idle(faults: ScriptedServer) -> None:
    async def texts() -> AsyncIterator[str]:
        for text in TEXTS[:3]:
            yield text
            await asyncio.sleep(1.3 if text == TEXTS[1] else 0)

    faults.script(_calls.STREAM_EMBED, embed_stream())
    async with trivium.AsyncClient(faults.target, default_model="m", idle_timeout_s=1) as client:
        assert matches([result async for result in client.embed_stream(texts())], TEXTS[:3])


def test_slow_reader_is_not_idle(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(group=1))
    with trivium.Client(faults.target, default_model="m") as client:
        results: list[trivium.EmbedResult] = []
        for result in client.embed_stream(TEXTS[:4], idle_timeout_s=1):
            time.sleep(0 if results else 1.3)
            results.append(result)
    assert matches(results, TEXTS[:4])


def test_silent_server_is_idle(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=10, cut=hang()))
    face = connect(faults.target)
    begun = time.monotonic()
    results, error = face.read_until_error(face.open("embed_stream", TEXTS, idle_timeout_s=1))
    assert isinstance(error, errors.StreamIdleTimeout)
    assert matches(results, TEXTS[:10])
    assert 1 <= time.monotonic() - begun < 20
    assert faults.cancelled.wait(20)


def test_total_limit(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=10, cut=hang()))
    with pytest.raises(errors.DeadlineExceededError):
        connect(faults.target).events("embed_stream", TEXTS, timeout_s=0.3)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("trivium-embed")}


def test_leaving_early_cancels_and_ends_the_threads(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=10, cut=hang()))
    assert connect(faults.target).first("embed_stream", itertools.repeat("text")).index == 0
    assert faults.cancelled.wait(20)
    assert wait_until(lambda: not threads()), "the thread that reads the texts goes on"


def test_close_from_another_thread_ends_a_read(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=10, cut=hang()))
    with trivium.Client(faults.target, default_model="m") as client:
        opened = client.embed_stream(TEXTS)
        threading.Timer(0.2, opened.close).start()
        with pytest.raises(errors.CallCancelledError):
            list(opened)
        with pytest.raises(errors.CallCancelledError):
            list(opened)


async def test_cancelled_task_cancels_at_the_server(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=10, cut=hang()))
    async with trivium.AsyncClient(faults.target, default_model="m") as client:
        has_come = asyncio.Event()

        async def read() -> None:
            async for _ in client.embed_stream(itertools.repeat("text")):
                has_come.set()

        before = asyncio.all_tasks()
        task = asyncio.create_task(read())
        await has_come.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(faults.cancelled.wait, 20)
        async with asyncio.timeout(20):
            while not asyncio.all_tasks() <= before | {asyncio.current_task()}:
                await asyncio.sleep(0.01)


MEMORY = """
import asyncio, resource, sys, trivium
from itertools import repeat

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def texts(count):
    return (f"text {number}" for number in range(count))

def read(count):
    with trivium.Client(sys.argv[1], default_model="m") as client:
        return sum(result.vector is not None for result in client.embed_stream(texts(count)))

async def aread(count):
    async with trivium.AsyncClient(sys.argv[1], default_model="m") as client:
        return sum([1 async for result in client.embed_stream(texts(count)) if result.vector is not None])

run = read if sys.argv[2] == "sync" else lambda count: asyncio.run(aread(count))
assert run(10_000) == 10_000
before = peak_mib()
assert run(100_000) == 100_000
print(peak_mib() - before)
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_hundred_thousand_texts_take_no_more_memory_than_ten_thousand(faults: ScriptedServer, kind: str) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=60_000), embed_stream())
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, faults.target, kind], check=True, capture_output=True, text=True, timeout=200
    )
    assert float(done.stdout) < 15  # the results alone would take more than 100 MiB
