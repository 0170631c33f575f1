"""Executes encoders: texts are tokenized off the event loop, run in batches with those of others, and come back in
order.
"""

import asyncio
import contextlib
import dataclasses
import functools
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from trivium_server.architectures.encoder.graph import EncoderGraph, EncoderItem, Output, Result
from trivium_server.architectures.text_capabilities import EncoderMeter, Outcome
from trivium_server.config import EncodingConfig
from trivium_server.errors import CallAborted, TriviumError
from trivium_server.runtime.batch_forming import BatchPolicy
from trivium_server.runtime.batcher import Batcher, BatcherClosedError, BatcherStats
from trivium_server.runtime.caller import Caller
from trivium_server.runtime.workload import Workload
from trivium_server.text.encoder_tokenizer import SHORT_CHARACTERS

_T = TypeVar("_T")

Prepare = Callable[[Sequence[str]], list[EncoderItem[Result]]]
"""Tokenizes texts. For any thread."""

_TOKENIZER_THREADS = 2
# What a text costs before its first character.
_TEXT_CHARACTERS = 128
# Texts that are tokenized in one go: some milliseconds, after which a call may be cancelled.
_CHUNK_TEXTS = 64
_CHUNK_CHARACTERS = 1 << 15
# What a batch may put out at most, where the graph has a row for each token.
_MAX_OUTPUT_BYTES = 1 << 26
_SHORT_TEXT = 16


class EncoderEngine(Generic[Result]):
    """One model's graph, its runners and its tokenizer threads. Calls are made on the event loop."""

    def __init__(
        self, graph: EncoderGraph, outputs: Sequence[Output], *, model: str, max_tokens: int, config: EncodingConfig
    ) -> None:
        """outputs: those that calls ask for. max_tokens: of one text."""
        self._graph = graph
        self._outputs = [output.name for output in outputs]
        self._model = model
        self._max_tokens = max_tokens
        widest = max([output.width for output in outputs if output.is_per_token], default=1)
        self._budget = max(1, min(config.batch_tokens, _MAX_OUTPUT_BYTES // (4 * widest)))
        self._batcher: Batcher[EncoderItem[Result], Result | TriviumError] = Batcher(
            graph.run,
            model=model,
            policy=BatchPolicy(budget_tokens=self._budget),
            num_runners=config.runners,
            max_callers=config.max_callers,
        )
        self._executor = ThreadPoolExecutor(_TOKENIZER_THREADS, thread_name_prefix="tokenize")

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry."""
        return self._batcher.stats

    @property
    def workload(self) -> Workload:
        """How busy the runners are."""
        return self._batcher.workload

    async def warm_up(self) -> None:
        """Runs the longest text and a full batch of short ones, and starts the runners. Raises SessionError."""
        loop = asyncio.get_running_loop()
        for lengths in ([self._max_tokens], [_SHORT_TEXT] * max(1, self._budget // _SHORT_TEXT)):
            await loop.run_in_executor(self._executor, self._graph.rehearse, lengths, self._outputs)
        self._batcher.start()

    async def close(self, grace_s: float) -> None:
        """Ends running calls with CallAborted after at most grace_s seconds, and stops the threads."""
        await self._batcher.close(grace_s)
        self._executor.shutdown(wait=False)

    async def _tokenize(self, function: Callable[[], _T]) -> _T:
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, function)
        except RuntimeError as error:  # it was shut down
            raise CallAborted(self._model) from error
        return await future

    @contextlib.contextmanager
    def call(self, deadline_s: float, meter: EncoderMeter) -> Iterator["EncoderCall[Result]"]:
        """Lets a call in until it is left, which drops what waits of it. Raises QueueFull and CallAborted."""
        try:
            caller = self._batcher.open(deadline_s)
        except BatcherClosedError as error:
            raise CallAborted(self._model) from error
        with caller:
            call = EncoderCall(caller, self._tokenize, meter)
            try:
                yield call
            finally:
                call.update_meter()


class _OnThread(Protocol):
    """Runs a function on a thread and returns what it does. Raises CallAborted when there are no more threads."""

    async def __call__(self, function: Callable[[], _T]) -> _T: ...


class EncoderCall(Generic[Result]):
    """One call of an engine. Its methods raise QueueTimeout, DeadlineExceeded and CallAborted for the call as a whole.

    The last method to be called is all() or stream(), once.
    """

    def __init__(
        self,
        caller: Caller[EncoderItem[Result], Result | TriviumError],
        tokenize: _OnThread,
        meter: EncoderMeter,
    ) -> None:
        self._caller = caller
        self._tokenize = tokenize
        self._meter = meter
        self._opened_s = time.monotonic()
        self._first_ready_s: float | None = None
        # Tokens and characters of texts that the model has read. Runners append, the event loop takes.
        self._read: deque[tuple[int, int]] = deque()
        # A request may make several calls, one after the other.
        self._earlier = dataclasses.replace(meter)

    async def compute(self, function: Callable[[], _T], *, is_short: bool) -> _T:
        """Tokenizes: on the event loop where that is quicker than a hop to a thread, else on a thread."""
        started_s = time.monotonic()
        result = function() if is_short else await self._tokenize(function)
        self._meter.preprocess_s += time.monotonic() - started_s
        return result

    async def items(self, prepare: Prepare[Result], texts: Sequence[str]) -> list[EncoderItem[Result]]:
        """Tokenizes texts, however many and long."""
        return [item async for chunk in self._chunks(prepare, texts) for item in chunk]

    async def all(self, items: Sequence[EncoderItem[Result]]) -> list[Outcome[Result]]:
        """Returns what became of each item, in their order."""
        self._first_ready_s = time.monotonic()
        return [_outcome(outcome) for outcome in await self._caller.all(items)]

    async def stream(
        self, prepare: Prepare[Result], groups: AsyncIterable[Sequence[str]]
    ) -> AsyncGenerator[list[Outcome[Result]]]:
        """Yields what became of the texts, in their order; no group is empty. Wrap it in contextlib.aclosing.

        A text that has ended waits for those before it; that is little, as the queue's own order is nearly theirs.
        """
        ended: dict[int, Outcome[Result]] = {}
        num_given = 0
        async with (
            contextlib.aclosing(self._all_items(prepare, groups)) as items,
            contextlib.aclosing(self._caller.stream(items)) as results,
        ):
            async for batch in results:
                ended.update((index, _outcome(outcome)) for index, outcome in batch)
                ready = []
                while num_given in ended:
                    ready.append(ended.pop(num_given))
                    num_given += 1
                if ready:
                    self.update_meter()
                    yield ready

    def update_meter(self) -> None:
        """Brings the meter up to date."""
        stats = self._caller.stats
        waited_s = (self._first_ready_s or time.monotonic()) - self._opened_s
        meter, earlier = self._meter, self._earlier
        meter.queue_s = earlier.queue_s + max(0.0, stats.queue_s - waited_s)
        meter.inference_s = earlier.inference_s + stats.inference_s
        meter.compute_s = earlier.compute_s + stats.compute_s
        while self._read:
            tokens, characters = self._read.popleft()
            meter.input_tokens += tokens
            meter.input_characters += characters

    async def _all_items(
        self, prepare: Prepare[Result], groups: AsyncIterable[Sequence[str]]
    ) -> AsyncGenerator[EncoderItem[Result]]:
        async for texts in groups:
            async for chunk in self._chunks(prepare, texts):
                for item in chunk:
                    self._first_ready_s = self._first_ready_s or time.monotonic()
                    yield item
            # A source that never waits, and a window with room, would keep the event loop to themselves.
            await asyncio.sleep(0)

    async def _chunks(
        self, prepare: Prepare[Result], texts: Sequence[str]
    ) -> AsyncGenerator[list[EncoderItem[Result]]]:
        # Of all together: many short runs in a row would hold up the event loop as a long one does.
        short = is_short(texts)
        for chunk in _chunked(texts):
            items = await self.compute(functools.partial(prepare, chunk), is_short=short)
            for item, text in zip(items, chunk, strict=True):
                item.on_read = functools.partial(self._read.append, (item.length, len(text)))
            yield items


def is_short(texts: Sequence[str]) -> bool:
    """Says whether texts are tokenized in a tenth of a millisecond."""
    return sum(_TEXT_CHARACTERS + len(text) for text in texts) <= SHORT_CHARACTERS


def _chunked(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yields the texts in runs that take some milliseconds to tokenize."""
    chunk: list[str] = []
    num_characters = 0
    for text in texts:
        if chunk and (len(chunk) == _CHUNK_TEXTS or num_characters + len(text) > _CHUNK_CHARACTERS):
            yield chunk
            chunk, num_characters = [], 0
        chunk.append(text)
        num_characters += len(text)
    if chunk:
        yield chunk


def _outcome(outcome: Result | TriviumError | Exception) -> Outcome[Result]:
    """Returns an item's own result or error. A defect, which is none of its own, ends the call."""
    if isinstance(outcome, Exception) and not isinstance(outcome, TriviumError):
        raise outcome
    return outcome
