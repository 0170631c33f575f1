"""R6: who leaves a stream of text gives the place back within a decoding step; who leaves the queue never has one."""

import asyncio
import bisect
import contextlib
import itertools
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import trivium
from tools.stack.settings import free_ports
from trials.fleet import Replica
from trials.load import undisturbed
from trials.results import keep
from trials.watched_server import FILE, WITHOUT, Note, read_notes
from trivium_models.store import Store

MODEL = "smollm2-135m-instruct"
NUM_STREAMS = 8  # as many as the server has slots, so that whoever comes later waits
NUM_CANCELS = 200
QUEUED_EVERY = 4
NUM_TOKENS = 2000
MAX_SEEN_S = 0.005
SEED = 6


class Caller:
    """Reads a stream, from its making until it is left."""

    def __init__(self, client: trivium.AsyncClient, name: str, num_tokens: int) -> None:
        self.name = name
        self.left_s = math.inf
        self.is_accepted, self.is_answered = asyncio.Event(), asyncio.Event()
        self._stream = client.text.stream(
            "Tell me a long story.",
            model=MODEL,
            request_id=name,
            min_output_tokens=num_tokens,
            max_output_tokens=num_tokens,
        )
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self._stream.events():
            self.is_accepted.set()
            if isinstance(event, trivium.Delta):
                self.is_answered.set()

    async def leave(self) -> None:
        self.left_s = time.monotonic()
        await self._stream.aclose()
        with contextlib.suppress(trivium.TriviumError, asyncio.CancelledError):
            await self._task


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the server noted of the callers that left. Times are in seconds.

    seen: from the client's cancel to the engine's. freed: from then until the slot and its keys and values are free;
    infinite where it was not freed for that. turns: of the engine beside it, from one decoding step to the next.
    begun: the most decoding steps that began between `seen` and `freed`. num_read: callers of the queue whose prompt
    was read after they had left.
    """

    seen: Sequence[float]
    freed: Sequence[float]
    turns: Sequence[float]
    begun: int
    num_queued: int
    num_read: int

    @property
    def failures(self) -> list[str]:
        """What is not as it should be."""
        wanted = {
            "the handler sees it late": p99(self.seen) < MAX_SEEN_S,
            "the slot is free late": p99(self.freed) <= p99(self.turns) and self.begun <= 1,
            "a call that was cancelled in the queue is executed": not self.num_read,
        }
        return [what for what, is_so in wanted.items() if not is_so]


def p99(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.99, method="higher"))


@contextlib.asynccontextmanager
async def streams(client: trivium.AsyncClient, num_tokens: int) -> AsyncIterator[list[Caller]]:
    """As many streams as there are slots, all of which have begun."""
    callers = [Caller(client, f"first-{number}", num_tokens) for number in range(NUM_STREAMS)]
    try:
        await asyncio.gather(*(caller.is_answered.wait() for caller in callers))
        yield callers
    finally:
        await asyncio.gather(*(caller.leave() for caller in callers))


async def leave_in_turn(target: str, num_cancels: int, num_tokens: int) -> tuple[list[Caller], list[Caller]]:
    """Leaves one stream after the other, each at any time within a step; another takes its place.

    Now and then one more waits, and leaves the queue right before the place is free. Returns those that left.
    """
    rng = random.Random(SEED)
    left, left_queue = [], []
    no_retries = trivium.RetryPolicy(max_attempts=1)
    async with trivium.AsyncClient(target, retry=no_retries) as client, streams(client, num_tokens) as callers:
        for number in range(num_cancels):
            await asyncio.sleep(rng.uniform(0.02, 0.08))
            if number % QUEUED_EVERY == 0:
                queued = Caller(client, f"queued-{number}", num_tokens)
                await queued.is_accepted.wait()
                await asyncio.sleep(rng.uniform(0, 0.05))
                await queued.leave()
                left_queue.append(queued)
                await asyncio.sleep(0.05)
            place = number % NUM_STREAMS
            await callers[place].leave()
            left.append(callers[place])
            callers[place] = Caller(client, f"next-{number}", num_tokens)
            async with asyncio.timeout(60):
                await callers[place].is_answered.wait()
    return left, left_queue


def cancel_streams(folder: Path, num_cancels: int, num_tokens: int, *, without: str = "") -> Found:
    """Runs a server, leaves its streams, and returns what it noted."""
    store = Store().pull(MODEL).folder.parent
    file = folder / "notes"
    # The other processor is for the event loop and for the callers, of which there are none on a real server.
    settings = {
        "TRIVIUM_RUNTIME_INTRA_OP_THREADS": "1",
        "TRIVIUM_MODELS_LOAD": MODEL,
        FILE: str(file),
        WITHOUT: without,
    }
    server = Replica("trials.watched_server", free_ports(1)[0], store, folder, settings)
    server.start()
    try:
        with trivium.Client(server.target) as client:
            client.wait_ready(120, model=MODEL)
        begun_s = time.monotonic()
        with undisturbed():
            left, left_queue = asyncio.run(leave_in_turn(server.target, num_cancels, num_tokens))
        notes = read_notes(file, since_s=begun_s)
        assert server.stop()[0] == 0, server.last_words
    finally:
        server.close()
    return judge(notes, left, left_queue)


def judge(notes: Sequence[Note], left: Sequence[Caller], left_queue: Sequence[Caller]) -> Found:
    seen_s = {note.about: note.begun_s for note in notes if note.kind == "cancel"}
    over_s = {note.about: note.ended_s for note in notes if note.kind == "over"}
    frees = [note.ended_s for note in notes if note.kind == "freed"]
    steps = [note.begun_s for note in notes if note.kind == "decode"]
    reads = {note.about for note in notes if note.kind == "read"}
    assert all(caller.name in reads for caller in left), "every stream was read before it was left"
    freed: list[float] = []
    begun = 0
    for caller in left:
        seen, over = seen_s[caller.name], over_s.get(caller.name, 0.0)
        # What was freed last before the sequence was told of its end is what it had.
        free = max((at for at in frees if seen <= at <= over), default=math.inf)
        freed.append(free - seen)
        begun = max(begun, bisect.bisect(steps, free) - bisect.bisect(steps, seen))
    return Found(
        seen=[seen_s[caller.name] - caller.left_s for caller in (*left, *left_queue)],
        freed=freed,
        turns=[second - first for first, second in itertools.pairwise(steps)],
        begun=begun,
        num_queued=len(left_queue),
        num_read=sum(caller.name in reads for caller in left_queue),
    )


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


@pytest.mark.timeout(600)
def test_a_cancelled_stream_is_gone_within_a_step(tmp_path: Path) -> None:
    found = cancel_streams(tmp_path, NUM_CANCELS, NUM_TOKENS)
    keep(
        "R6",
        passed=not found.failures,
        load=f"{NUM_STREAMS} streams in {NUM_STREAMS} slots, one thread of two for the model, seed {SEED}",
        faults=f"{len(found.freed)} streams and {found.num_queued} calls in the queue cancelled, one at a time",
        outcome=f"the handler sees it within {ms(p99(found.seen))} (p99; median {ms(np.median(found.seen))}); slot and "
        f"cache are free {ms(p99(found.freed))} later (p99; median {ms(np.median(found.freed))}), a turn of the engine "
        f"takes {ms(p99(found.turns))} (p99; median {ms(np.median(found.turns))}); {found.num_read} of "
        f"{found.num_queued} cancelled in the queue are executed",
    )
    assert found.failures == []


@pytest.mark.timeout(600)
def test_control_an_engine_that_is_not_told_goes_on(tmp_path: Path) -> None:
    """The control: where Engine.cancel does nothing, the slot is freed at the text's end, and the queue is executed."""
    found = cancel_streams(tmp_path, 1, 100, without="cancel")
    assert "the slot is free late" in found.failures
    assert "a call that was cancelled in the queue is executed" in found.failures
