"""The laws of generation, on the real default model: batched = single, cancelled = freed, one end for each."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import pytest

from tests.architectures.answers import QUESTIONS, ask, chat, hear, hear_all
from tests.architectures.conftest import QUEUE, SLOTS
from trivium_server.architectures.capabilities import FinishReason
from trivium_server.architectures.genai import GenaiModel
from trivium_server.errors import DeadlineExceeded, QueueFull, QueueTimeout, TriviumError

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0.0},
        {"temperature": 1.0, "top_p": 0.95},
        {"temperature": 0.7, "top_k": 50, "repetition_penalty": 1.2, "frequency_penalty": 0.5},
    ],
)
def test_batched_equals_single(model: GenaiModel, loop: asyncio.Runner, sampling: dict[str, Any]) -> None:  # by name
    requests = [ask(chat(question), seed=index, **sampling) for index, question in enumerate(QUESTIONS)]

    async def run() -> None:
        single = [await hear(model, request) for request in requests]
        batched = await asyncio.gather(*(hear(model, request) for request in requests))
        assert [one.token_ids for one in batched] == [one.token_ids for one in single]
        assert [one.text for one in batched] == [one.text for one in single]

    loop.run(run())


def test_joining_late_changes_nothing(model: GenaiModel, loop: asyncio.Runner) -> None:
    long_prompt = ask("One day a fox met a crow who " * 20, max_output_tokens=8)

    async def run() -> None:
        alone = await hear(model, long_prompt)
        others = [asyncio.create_task(hear(model, ask(chat(question), seed=None))) for question in QUESTIONS[:5]]
        await asyncio.sleep(0.1)
        in_company = await hear(model, long_prompt)
        await asyncio.gather(*others)
        assert in_company.token_ids == alone.token_ids

    loop.run(run())


def test_slow_reader_gets_the_same_text_in_fewer_deltas(model: GenaiModel, loop: asyncio.Runner) -> None:
    request = ask(chat(QUESTIONS[1]))

    async def run() -> None:
        fast = await hear(model, request)
        answer = await model.generate(request, deadline_s=time.monotonic() + 60)
        while model.engine.num_accepted:  # the engine does not wait for us
            await asyncio.sleep(0.01)
        async with aclosing(answer):
            events = [event async for event in answer]
        assert [getattr(event, "text", None) for event in events] == [fast.text, None]

    loop.run(run())


def every_kind_in(outcomes: Mapping[str, int]) -> bool:
    is_late = bool({"DEADLINE_EXCEEDED", "QUEUE_TIMEOUT"} & set(outcomes))
    return is_late and {"finished", "left", "QUEUE_FULL"} <= set(outcomes)


def test_a_storm_of_joins_leaves_cancels_and_deadlines_returns_every_slot(
    model: GenaiModel, loop: asyncio.Runner
) -> None:
    rng = random.Random(20)
    outcomes: dict[str, int] = {}

    async def one_call(index: int, within_s: float) -> None:
        await asyncio.sleep(rng.uniform(0.0, within_s))
        request = ask(
            "word " * rng.choice([1, 2, 33, 90]),
            max_output_tokens=rng.randint(1, 24),
            candidate_count=rng.choice([1, 1, 1, 2, 4]),
            seed=rng.choice([None, index]),
            temperature=1.0,
        )
        patience = rng.choice([0.05, 0.3, 60.0, 60.0])
        leaves_after = rng.choice([0, 1, 3, 99, 99])
        try:
            answer = await model.generate(request, deadline_s=time.monotonic() + patience)
            async with aclosing(answer):
                count = 0
                async for _ in answer:
                    count += 1
                    if count > leaves_after:
                        break
            outcome = "left" if count > leaves_after else "finished"
        except TriviumError as error:
            outcome = error.reason
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    async def storm(within_s: float) -> None:
        calls = [asyncio.create_task(one_call(index, within_s)) for index in range(120)]
        await asyncio.sleep(within_s / 2)
        for call in rng.sample(calls, 15):
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        async with asyncio.timeout(60):
            while model.engine.num_accepted:
                await asyncio.sleep(0.01)

    # On a busy machine, so much at once leaves nearly all refused: then once more, and slower.
    for within_s in (3.0, 6.0, 12.0, 24.0):
        loop.run(storm(within_s))
        assert model.engine.num_live_slots == 0
        if every_kind_in(outcomes):
            break
    assert every_kind_in(outcomes), outcomes


def test_cancelled_returns_the_slot_within_two_steps(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        answer = await model.generate(
            ask("Count: 1, 2,", max_output_tokens=400, min_output_tokens=400), deadline_s=time.monotonic() + 60
        )
        async with aclosing(answer):
            async for _ in answer:
                break
        left = answer.stats.output_tokens
        while model.engine.num_accepted:
            await asyncio.sleep(0.001)
        assert answer.stats.output_tokens <= left + 2
        assert model.engine.num_live_slots == 0

    loop.run(run())


def test_a_full_queue_refuses_at_once_and_does_nothing(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        requests = [ask("a", max_output_tokens=30, min_output_tokens=30) for _ in range(SLOTS + QUEUE)]
        answers = [await model.generate(request, deadline_s=time.monotonic() + 60) for request in requests]
        with pytest.raises(QueueFull) as caught:
            await model.generate(requests[0], deadline_s=time.monotonic() + 60)
        assert caught.value.retry_after_s > 0
        for answer in answers:
            await answer.aclose()
        while model.engine.num_accepted:
            await asyncio.sleep(0.001)

    loop.run(run())


def test_a_deadline_ends_a_running_answer_and_keeps_its_count(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        answer = await model.generate(
            ask("a", max_output_tokens=400, min_output_tokens=400), deadline_s=time.monotonic() + 1.5
        )
        with pytest.raises(DeadlineExceeded):
            async for _ in answer:
                pass
        assert 0 < answer.stats.output_tokens < 400

    loop.run(run())


def test_a_deadline_that_cannot_be_met_in_the_queue_is_a_queue_timeout(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        busy = [
            await model.generate(
                ask("a", max_output_tokens=300, min_output_tokens=300), deadline_s=time.monotonic() + 60
            )
            for _ in range(SLOTS)
        ]
        await asyncio.sleep(1.0)
        late = await model.generate(ask("b"), deadline_s=time.monotonic() + 0.2)
        with pytest.raises(QueueTimeout):
            async for _ in late:
                pass
        assert late.stats.output_tokens == 0
        for answer in busy:
            await answer.aclose()

    loop.run(run())


def test_candidates_share_a_prompt_and_differ(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        request = ask(chat(QUESTIONS[1]), candidate_count=4, temperature=1.5, seed=3)
        many, stats = await hear_all(model, request)
        assert len({one.text for one in many}) > 1
        assert stats.output_tokens == sum(len(one.token_ids) for one in many)
        # The first candidate is the answer that one candidate alone would have been.
        assert (await hear(model, ask(chat(QUESTIONS[1]), temperature=1.5, seed=3))).text == many[0].text

    loop.run(run())


def test_a_stop_sequence_across_tokens_ends_the_text_before_it(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        whole = await hear(model, ask(chat(QUESTIONS[3]), max_output_tokens=24))
        assert len(whole.text) > 40
        stop = whole.text[17:26]  # begins and ends in the middle of tokens
        cut = await hear(model, ask(chat(QUESTIONS[3]), max_output_tokens=24, stop_sequences=(stop,)))
        assert cut.end is not None
        assert (cut.text, cut.end.reason, cut.end.matched_stop_sequence) == (
            whole.text[:17],
            FinishReason.STOP_SEQUENCE,
            stop,
        )
        kept = await hear(
            model, ask(chat(QUESTIONS[3]), max_output_tokens=24, stop_sequences=(stop,), include_stop_sequence=True)
        )
        assert kept.text == whole.text[:26]
        assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]

    loop.run(run())


def test_stop_tokens_end_and_min_tokens_forbid_them(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        whole = await hear(model, ask(chat(QUESTIONS[3])))
        third = whole.token_ids[2]
        cut = await hear(model, ask(chat(QUESTIONS[3]), stop_token_ids=(third,)))
        assert cut.end is not None
        first = whole.token_ids.index(third)
        assert cut.token_ids == whole.token_ids[:first]
        assert (cut.end.reason, cut.end.matched_stop_token_id) == (FinishReason.STOP, third)
        forced = await hear(model, ask(chat(QUESTIONS[3]), stop_token_ids=(third,), min_output_tokens=12))
        assert len(forced.token_ids) >= 12
        assert third not in forced.token_ids[:12]

    loop.run(run())


def test_the_context_fills_and_says_so(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        capacity = model.limits.max_context_tokens
        prompt = "word " * (capacity - 8)
        num_prompt = len(await model.tokenize(ask(prompt).prompt))
        one = await hear(model, ask(prompt, max_output_tokens=100, min_output_tokens=100))
        assert one.end is not None
        assert one.end.reason is FinishReason.CONTEXT_FULL
        assert num_prompt + len(one.token_ids) == capacity

    loop.run(run())


def test_logprobs_are_those_of_the_greedy_choice(model: GenaiModel, loop: asyncio.Runner) -> None:
    async def run() -> None:
        one = await hear(model, ask(chat(QUESTIONS[0]), top_logprobs=3, repetition_penalty=1.0))
        logprobs = [entry for delta in one.deltas for entry in delta.logprobs]
        assert [entry.token_id for entry in logprobs] == one.token_ids
        for entry in logprobs:
            assert len(entry.alternatives) == 3
            assert entry.alternatives[0].token_id == entry.token_id
            assert entry.logprob == entry.alternatives[0].logprob <= 0
        assert b"".join(entry.token_bytes for entry in logprobs).decode() == one.text

    loop.run(run())
