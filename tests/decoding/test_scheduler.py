"""What runs next."""

import pytest

from trivium_server.decoding.sampling import SamplingParameters
from trivium_server.decoding.scheduler import PrefillChunk, Scheduler
from trivium_server.decoding.sequence import DecodeRequest, SampledToken, SequenceEnd, StopConditions


class Deaf:
    """A listener that ignores everything."""

    def on_token(self, token: SampledToken) -> bool:
        return False

    def on_end(self, end: SequenceEnd) -> None:
        pass

    def wake(self) -> None:
        pass


def request(length: int, *, candidates: int = 1, seed: int | None = None, deadline_s: float = 1e9) -> DecodeRequest:
    return DecodeRequest(
        [1] * length,
        listeners=[Deaf() for _ in range(candidates)],
        sampling=SamplingParameters(seed=seed),
        stop=StopConditions(max_tokens=9, min_tokens=0, end_ids=frozenset()),
        deadline_s=deadline_s,
        vocabulary_size=4,
    )


def chunks(scheduler: Scheduler) -> list[tuple[int, int]]:
    result = []
    while (chunk := scheduler.next_chunk()) is not None:
        result.append((chunk.start, chunk.end))
        scheduler.chunk_done(chunk, elapsed_s=0.001)
    return result


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 10, 15, 16, 17, 18, 31, 32, 33, 34, 35, 100])
@pytest.mark.parametrize("seed", [None, 5])
def test_chunks_cover_the_prompt_and_leave_no_single_token(length: int, seed: int | None) -> None:
    scheduler = Scheduler(slots=2, prefill_chunk_tokens=8)
    scheduler.add(request(length, seed=seed))
    cut = chunks(scheduler)
    assert [start for start, _ in cut] == [0, *(end for _, end in cut[:-1])]
    assert cut[-1][1] == length
    assert all(end - start > 1 for start, end in cut) or length == 1


def test_a_reproducible_prompt_is_cut_alike_in_any_company() -> None:
    alone, busy = (Scheduler(slots=4, prefill_chunk_tokens=8) for _ in range(2))
    other = request(3)
    busy.running.append((other, other.sequences[0]))
    for scheduler in (alone, busy):
        scheduler.add(request(50, seed=1))
    assert chunks(alone) == chunks(busy)


def test_a_prompt_alone_is_read_in_bigger_chunks() -> None:
    scheduler = Scheduler(slots=4, prefill_chunk_tokens=8)
    scheduler.add(request(64))
    assert chunks(scheduler) == [(0, 32), (32, 64)]


def test_a_request_starts_only_when_all_its_candidates_fit() -> None:
    scheduler = Scheduler(slots=3, prefill_chunk_tokens=8)
    running = request(3)
    scheduler.running.append((running, running.sequences[0]))
    scheduler.add(request(4, candidates=3))
    assert scheduler.next_chunk() is None
    scheduler.running.clear()
    assert isinstance(scheduler.next_chunk(), PrefillChunk)


def learned(scheduler: Scheduler, *, chunk_tokens: int, elapsed_s: float) -> None:
    """Lets the scheduler see so many chunks that its estimate settles."""
    seen = request(chunk_tokens)
    for _ in range(50):
        scheduler.chunk_done(PrefillChunk(request=seen, start=0, end=chunk_tokens), elapsed_s=elapsed_s)


def test_hopeless_requests_are_dropped() -> None:
    scheduler = Scheduler(slots=1, prefill_chunk_tokens=64)
    learned(scheduler, chunk_tokens=64, elapsed_s=6.4)
    fine, late, cancelled = request(10, deadline_s=2.0), request(10, deadline_s=0.4), request(10)
    cancelled.is_cancelled = True
    for each in (fine, late, cancelled):
        scheduler.add(each)
    assert scheduler.drop_hopeless(now_s=0.0) == [late, cancelled]
    assert list(scheduler.waiting) == [fine]


def test_short_prompts_do_not_make_long_ones_look_hopeless() -> None:
    scheduler = Scheduler(slots=1, prefill_chunk_tokens=64)
    learned(scheduler, chunk_tokens=1, elapsed_s=0.02)
    scheduler.add(request(1200, deadline_s=5.0))
    assert scheduler.drop_hopeless(now_s=0.0) == []


def test_a_wrong_estimate_heals_without_new_measurements() -> None:
    scheduler = Scheduler(slots=1, prefill_chunk_tokens=64)
    learned(scheduler, chunk_tokens=64, elapsed_s=64.0)
    for _ in range(60):
        scheduler.add(request(100, deadline_s=5.0))
        if not scheduler.drop_hopeless(now_s=0.0):
            return
    raise AssertionError("still dropped")


def test_a_wide_request_lets_as_many_past_as_there_are_slots() -> None:
    scheduler = Scheduler(slots=2, prefill_chunk_tokens=8)
    running = request(4)
    scheduler.running = [(running, running.sequences[0])]
    wide, narrow = request(4, candidates=2), [request(4) for _ in range(3)]
    for one in (wide, *narrow):
        scheduler.add(one)
    started = []
    while (chunk := scheduler.next_chunk()) is not None:
        scheduler.chunk_done(chunk, elapsed_s=0.001)
        started.append(chunk.request)
    assert started == narrow[:2]
    scheduler.running.clear()
    chunk = scheduler.next_chunk()
    assert chunk is not None
    assert chunk.request is wide
