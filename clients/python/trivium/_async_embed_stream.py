"""The asynchronous client's stream of embeddings."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sized
from types import TracebackType
from typing import Self, TypeVar

import grpc

from trivium import _calls
from trivium._async_responses import EOF, AsyncResponses
from trivium._async_transport import AsyncTransport, is_being_cancelled
from trivium._embed_course import EmbedCourse
from trivium._retry import Deadline
from trivium._text_input import Item, TextInput, checked_item
from trivium.call_info import CallInfo, ServedModel
from trivium.embeddings import EmbedResult
from trivium.settings import CallOptions
from trivium.v1 import embedding_pb2

__all__ = ["AsyncEmbedStream"]

_T = TypeVar("_T")


class AsyncEmbedStream:
    """The results of a stream of texts, one EmbedResult for each, in their order. Iterate it.

        async for result in client.embed_stream(lines):
            await store(result.index, result.vector)

    A task reads the texts, from a plain or an asynchronous iterable, while results arrive, at most 2048 of them, or
    4 MiB, ahead of the results that were taken. A plain iterable that blocks holds up the event loop. The call is sent
    when the first result is asked for. Reading to the end, leaving its `async with` block, breaking out of the
    `async for` loop, cancelling the task that reads, and aclose() each end the call, at the server too, and the task
    that reads the texts. Not for several tasks at once, except aclose().

    A connection that breaks is no error as long as the retry policy goes on: the stream continues in a new call with
    the texts that have no result yet. Iterating raises what the iterable raised, after the results of the texts before
    that; StreamIdleTimeout where texts were sent and no result came for the idle limit; AbortedError where the server
    has another version of the model after a break; and any other TriviumError.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        texts: Iterable[TextInput | Item] | AsyncIterable[TextInput],
        config: embedding_pb2.EmbedConfig,
        options: CallOptions,
        prepare: Callable[[Deadline], Awaitable[None]],
    ) -> None:
        self._transport = transport
        self._texts = texts
        self._config = config
        self._options = options
        self._prepare = prepare
        self._course = EmbedCourse(options, transport.settings.retry, transport.settings.peer)
        self._changed = asyncio.Condition()
        self._ready: deque[EmbedResult] = deque()
        self._responses: AsyncResponses[embedding_pb2.StreamEmbedResponse] | None = None
        self._puller: asyncio.Task[None] | None = None
        self._limit: asyncio.Timeout | None = None
        self.total: int | None = len(texts) if isinstance(texts, Sized) else None
        """How many texts there are, None where the iterable does not know."""

    @property
    def request_id(self) -> str:
        """The request id that the calls are sent with."""
        return self._options.request_id

    @property
    def model(self) -> ServedModel | None:
        """The model that answers. None until the server said."""
        return self._course.model

    @property
    def info(self) -> CallInfo | None:
        """What the last call of the stream did. None before the end, and where only the end was lost."""
        return self._course.info

    @property
    def input_tokens(self) -> int:
        """Tokens of all texts that have a result so far, over all calls."""
        return self._course.input_tokens

    @property
    def failed_count(self) -> int:
        """How many of the texts that have a result so far failed."""
        return self._course.failed_count

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the call, at the server too. May be called twice, from any task, and after the end."""
        self._course.is_closed = True
        if self._responses is not None:
            self._responses.cancel()  # changes nothing about a call that is over
        if self._puller is not None and not self._puller.done():
            self._puller.cancel()
            await asyncio.wait([self._puller])
        await self._notify()

    async def __aiter__(self) -> AsyncGenerator[EmbedResult, None]:
        try:
            while self._ready or await self._advance():
                while self._ready:
                    yield self._ready.popleft()
        finally:
            await self.aclose()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _advance(self) -> bool:
        """Reads the next message. Returns False after the end. Raises what the source raised, at its place."""
        self._course.ensure_open()
        if self._puller is None:
            await self._prepare(self._course.begin())
            self._course.ensure_open()  # another task may have closed it meanwhile
            self._puller = asyncio.create_task(self._pull())
        if self._responses is None:
            await self._open()
        if not await self._read():
            self._raise_source_error()
            return False
        return True

    def _raise_source_error(self) -> None:
        if self._course.window.source_error is not None:
            raise self._course.window.source_error

    async def _open(self) -> None:
        timeout_s = self._course.begin_call()
        await self._notify()  # ends what gave the call before its requests
        requests = self._requests(self._course.window.call_number)
        self._responses = self._transport.open_both(_calls.STREAM_EMBED, requests, self._options, timeout_s)

    async def _read(self) -> bool:
        """Takes one message, or decides how to go on without one. Returns False where the stream is over."""
        assert self._responses is not None
        try:
            response = await self._timed_read(self._responses)
        except TimeoutError as error:
            raise self._course.idle() from error
        except grpc.RpcError as error:
            delay = self._course.delay_after(error)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            raise self._course.cancelled() from error  # aclose() in another task, or the client's close()
        else:
            if response is not EOF:
                self._ready.extend(self._course.accept(response))
                await self._notify()
                return True
            delay = self._course.delay_after_end()
        if delay is None:
            return False
        self._responses = None
        await asyncio.sleep(delay)
        return True

    async def _timed_read(
        self, responses: AsyncResponses[embedding_pb2.StreamEmbedResponse]
    ) -> embedding_pb2.StreamEmbedResponse:
        async with asyncio.timeout(None) as limit:
            self._limit = limit
            self._watch()
            try:
                return await responses.read()
            finally:
                self._limit = None

    def _watch(self) -> None:
        """The idle limit counts while this side reads and the server owes something."""
        idle_s, limit = self._options.idle_timeout_s, self._limit
        if idle_s is None or limit is None or limit.when() is not None:
            return
        if self._course.is_owed_something:
            limit.reschedule(asyncio.get_running_loop().time() + idle_s)

    async def _requests(self, call_number: int) -> AsyncIterator[embedding_pb2.StreamEmbedRequest]:
        """Gives a call what it sends. Runs in a task of gRPC's."""
        yield embedding_pb2.StreamEmbedRequest(setup=embedding_pb2.StreamEmbedSetup(config=self._config))
        while items := await self._next_items(call_number):
            yield embedding_pb2.StreamEmbedRequest(items=embedding_pb2.EmbedItems(items=items))

    async def _next_items(self, call_number: int) -> list[embedding_pb2.EmbedItem]:
        """Waits for items to send. Returns none at the end of the source, and when the call is over."""
        async with self._changed:
            while (items := self._course.items_to_send(call_number)) is None:
                await self._changed.wait()
            self._watch()
            return items

    async def _pull(self) -> None:
        """Reads the source, as far ahead as the window goes."""
        error: BaseException | None = None
        place = 0
        try:
            async for given in iterate(self._texts):
                await self._put(given, place)
                place += 1
        except Exception as raised:  # noqa: BLE001  # whatever the caller's iterable raises is raised to the caller
            error = raised
        self._course.window.end_source(error)
        await self._notify()

    async def _put(self, given: TextInput | Item, place: int) -> None:
        item = checked_item(given, "texts", place)
        async with self._changed:
            while not self._course.window.has_room:
                await self._changed.wait()
            self._course.window.put(item)
            self._changed.notify_all()


async def iterate(source: Iterable[_T] | AsyncIterable[_T]) -> AsyncIterator[_T]:
    """Iterates a plain or an asynchronous iterable."""
    if isinstance(source, AsyncIterable):
        async for given in source:
            yield given
    else:
        for entry in source:
            yield entry
