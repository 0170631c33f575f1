"""What holds of every sentence encoder, whatever it is asked and whoever else asks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.architectures.encoding import CUT_END, DENSE, embed, embedded, in_groups, load, one, running, soon, vectors
from tests.architectures.tiny_encoders import POSITIONS, WORDS, Style, write_encoder
from trivium_server.architectures.encoder.embedding import SentenceEncoder
from trivium_server.architectures.text_capabilities import (
    Embedded,
    EmbeddingOptions,
    EncoderMeter,
    Outcome,
    Truncation,
    VectorKind,
)
from trivium_server.errors import CallAborted, DeadlineExceeded, InputTooLong, QueueFull, QueueTimeout

STYLES: tuple[Style, ...] = ("bert", "mpnet", "xlm-roberta")
TOO_LONG = " ".join(["cat"] * (POSITIONS + 1))
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), min_size=1, max_size=40)
LAW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=STYLES)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner
) -> Iterator[SentenceEncoder]:
    """A tiny model in each layout, whose batches are small enough to mix and split every call."""
    style: Style = request.param
    folder = write_encoder(tmp_path_factory.mktemp("encoder") / style, style)
    with running(loop, folder, SentenceEncoder, batch_tokens=64) as started:
        yield started


async def stream(
    model: SentenceEncoder, texts: Sequence[str], sizes: Sequence[int], options: EmbeddingOptions = DENSE
) -> list[Outcome[Embedded]]:
    found: list[Outcome[Embedded]] = []
    groups = in_groups(texts, sizes)
    results = model.embed_stream(groups, options, deadline_s=soon(), meter=EncoderMeter())
    async with contextlib.aclosing(results):
        async for ready in results:
            assert ready
            found.extend(ready)
    return found


@given(texts=TEXTS)
@LAW
def test_batched_equals_single(model: SentenceEncoder, loop: asyncio.Runner, texts: list[str]) -> None:
    async def compare() -> None:
        for text, batched in zip(texts, await embed(model, texts, CUT_END), strict=True):
            single = await one(model, text, CUT_END)
            np.testing.assert_allclose(vectors(batched), vectors(single), atol=1e-6)
            assert (batched.input_tokens, batched.truncated) == (single.input_tokens, single.truncated)

    loop.run(compare())


@given(texts=TEXTS, sizes=st.lists(st.integers(0, 9), max_size=8), kind=st.sampled_from(list(VectorKind)[::2]))
@LAW
def test_stream_equals_unary_in_order(
    model: SentenceEncoder, loop: asyncio.Runner, texts: list[str], sizes: list[int], kind: VectorKind
) -> None:
    options = EmbeddingOptions(kind=kind, truncation=Truncation.KEEP_END)

    async def compare() -> None:
        unary = await embed(model, texts, options)
        streamed = await stream(model, texts, sizes, options)
        for expected, found in zip(unary, streamed, strict=True):
            np.testing.assert_allclose(vectors(found), vectors(expected), atol=1e-6)

    loop.run(compare())


@given(texts=TEXTS, bad=st.sets(st.integers(0, 40)))
@LAW
def test_a_bad_text_fails_alone(model: SentenceEncoder, loop: asyncio.Runner, texts: list[str], bad: set[int]) -> None:
    mixed = [TOO_LONG if index in bad else text for index, text in enumerate(texts)]
    good = [text for text in mixed if text != TOO_LONG]

    async def compare() -> None:
        meter = EncoderMeter()
        for outcomes in (
            await model.embed(mixed, DENSE, deadline_s=soon(), meter=meter),
            await stream(model, mixed, [3, 1, 4]),
        ):
            expected = iter(await embed(model, good) if good else ())
            for text, outcome in zip(mixed, outcomes, strict=True):
                if text == TOO_LONG:
                    assert isinstance(outcome, InputTooLong)
                    assert outcome.metadata["field"] == "text"
                    assert outcome.metadata["limit"] == str(model.max_input_tokens)
                else:
                    np.testing.assert_allclose(vectors(outcome), vectors(next(expected)), atol=1e-6)
        assert meter.input_characters == sum(map(len, good))

    loop.run(compare())


def test_callers_at_once_get_their_own(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    texts = [" ".join(WORDS[: 1 + index % len(WORDS)]) + " s" * (index % 7) for index in range(60)]

    async def compare() -> None:
        alone = [await one(model, text) for text in texts]
        together = await asyncio.gather(*(one(model, text) for text in texts))
        for expected, found in zip(alone, together, strict=True):
            np.testing.assert_allclose(vectors(found), vectors(expected), atol=1e-6)

    loop.run(compare())


def test_cancelled_call_leaves_nothing(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    async def cancel_after(delay_s: float) -> None:
        task = asyncio.create_task(embed(model, ["the cat sat"] * 4000))
        await asyncio.sleep(delay_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await idle(model)

    for delay_s in (0.0, 0.002, 0.02):
        loop.run(cancel_after(delay_s))


def test_left_stream_leaves_nothing_and_stops_reading(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    read = 0

    async def endless() -> AsyncIterator[Sequence[str]]:
        nonlocal read
        while True:
            read += 1
            yield ["the cat sat on the mat"]

    async def leave() -> None:
        results = model.embed_stream(endless(), DENSE, deadline_s=soon(), meter=EncoderMeter())
        async with contextlib.aclosing(results):
            await anext(results)
        await idle(model)
        seen = read
        await asyncio.sleep(0.05)
        assert read == seen

    loop.run(leave())


def test_reader_that_stops_is_not_read_ahead_of_without_end(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    read = 0

    async def endless() -> AsyncIterator[Sequence[str]]:
        nonlocal read
        while True:
            read += 1
            yield ["the cat sat on the mat"]

    async def stall() -> None:
        results = model.embed_stream(endless(), DENSE, deadline_s=soon(), meter=EncoderMeter())
        async with contextlib.aclosing(results):
            await anext(results)
            # What stands still for so long has stopped.
            seen = -1
            while read != seen:
                seen = read
                await asyncio.sleep(0.3)
            # 18 batches of 64 tokens may be under way, at 8 tokens a text, and some results are on their way.
            assert seen < 400

    loop.run(stall())


def test_stream_answers_a_lone_bad_text_while_it_waits_for_more(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    async def talk() -> None:
        asked: asyncio.Queue[Sequence[str]] = asyncio.Queue()

        async def groups() -> AsyncIterator[Sequence[str]]:
            while texts := await asked.get():
                yield texts

        results = model.embed_stream(groups(), DENSE, deadline_s=soon(), meter=EncoderMeter())
        async with contextlib.aclosing(results), asyncio.timeout(30):
            for text in (TOO_LONG, "the cat", TOO_LONG):
                asked.put_nowait([text])
                (outcome,) = await anext(results)
                assert isinstance(outcome, InputTooLong) == (text == TOO_LONG)
            asked.put_nowait([])
            with pytest.raises(StopAsyncIteration):
                await anext(results)

    loop.run(talk())


def test_what_the_source_raises_ends_the_stream(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    async def groups() -> AsyncIterator[Sequence[str]]:
        yield ["the cat"]
        raise ConnectionResetError

    async def read() -> None:
        results = model.embed_stream(groups(), DENSE, deadline_s=soon(), meter=EncoderMeter())
        async with contextlib.aclosing(results):
            with pytest.raises(ConnectionResetError):
                async for _ in results:
                    pass
        await idle(model)

    loop.run(read())


def test_meter_counts_what_was_read(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    texts = ["the cat", "sat", TOO_LONG]
    meter = EncoderMeter()
    outcomes = loop.run(_embed(model, texts, meter))
    assert meter.input_characters == len("the cat") + len("sat")
    assert meter.input_tokens == sum(embedded(outcome).input_tokens for outcome in outcomes[:2])
    assert meter.compute_s > 0
    assert min(meter.preprocess_s, meter.queue_s, meter.inference_s) >= 0


def test_deadline_ends_the_call(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    async def late() -> None:
        with pytest.raises((QueueTimeout, DeadlineExceeded)):
            await model.embed(["the cat"] * 20_000, DENSE, deadline_s=time.monotonic(), meter=EncoderMeter())
        await idle(model)

    loop.run(late())


def test_no_more_callers_than_allowed(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    with running(loop, folder, SentenceEncoder, max_callers=1) as model:

        async def crowd() -> None:
            first = asyncio.create_task(embed(model, ["the cat sat"] * 3000))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await embed(model, ["the cat"])
            await first
            await embed(model, ["the cat"])

        loop.run(crowd())


def test_close_aborts_what_runs_and_refuses_what_comes(tmp_path: Path, loop: asyncio.Runner) -> None:
    async def close() -> None:
        model = load(write_encoder(tmp_path / "tiny"), SentenceEncoder)
        await model.warm_up()
        running_call = asyncio.create_task(embed(model, ["the cat sat"] * 20_000))
        await asyncio.sleep(0.05)
        await model.close(0.0)
        for call in (running_call, embed(model, ["the cat"])):
            with pytest.raises(CallAborted):
                await call

    loop.run(close())


@pytest.mark.alone
@pytest.mark.parametrize("texts", [["the cats sat on mats, " * 47_000], ["the cat sat"] * 8_000], ids=["long", "many"])
def test_loop_goes_on_while_much_is_tokenized(model: SentenceEncoder, loop: asyncio.Runner, texts: list[str]) -> None:
    async def share_that_was_held() -> float:
        began_s = time.monotonic()
        task = asyncio.create_task(embed(model, texts, CUT_END))
        longest_s = 0.0
        while not task.done():
            before_s = time.monotonic()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.monotonic() - before_s)
        assert len(await task) == len(texts)
        return longest_s / (time.monotonic() - began_s)

    # Measured: less than a tenth; on the loop, nearly all. One of five: other programs have the machine, too.
    assert any(loop.run(share_that_was_held()) < 0.25 for _ in range(5))


def test_close_aborts_a_call_that_is_still_tokenizing(tmp_path: Path, loop: asyncio.Runner) -> None:
    async def close() -> None:
        model = load(write_encoder(tmp_path / "tiny"), SentenceEncoder)
        await model.warm_up()
        calls = [
            asyncio.create_task(embed(model, ["the cat sat " * 1000] * 4000, CUT_END)),
            asyncio.create_task(stream(model, ["the cat sat " * 1000] * 4000, [], CUT_END)),
        ]
        await asyncio.sleep(0.05)
        await model.close(0.0)
        for call in calls:
            with pytest.raises(CallAborted):
                await call

    loop.run(close())


async def _embed(model: SentenceEncoder, texts: Sequence[str], meter: EncoderMeter) -> Sequence[Outcome[Embedded]]:
    return await model.embed(texts, DENSE, deadline_s=soon(), meter=meter)


async def idle(model: SentenceEncoder) -> None:
    """Waits until what already ran has ended; nothing may be left then."""
    async with asyncio.timeout(30):
        while model.stats.num_accepted:
            await asyncio.sleep(0.002)
    assert model.stats.num_callers == 0


def test_only_what_the_model_read_is_counted(model: SentenceEncoder, loop: asyncio.Runner) -> None:
    """Also over several calls of one request, and not what failed before it was read."""

    async def calls() -> EncoderMeter:
        meter = EncoderMeter()
        with pytest.raises(QueueTimeout):
            await model.embed(["cat"] * 500, DENSE, deadline_s=time.monotonic() - 1.0, meter=meter)
        assert (meter.input_tokens, meter.input_characters) == (0, 0)
        for _ in range(2):
            await model.embed(["cat", TOO_LONG], DENSE, deadline_s=soon(), meter=meter)
        return meter

    meter = loop.run(calls())
    single = loop.run(one(model, "cat", CUT_END))
    assert (meter.input_tokens, meter.input_characters) == (2 * single.input_tokens, 2 * len("cat"))
    assert meter.compute_s > 0
