"""The blocking client's stream of embeddings."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Self

import grpc

from trivium import _calls
from trivium._embed_course import EmbedCourse
from trivium._idle_watch import Wait
from trivium._retry import Deadline
from trivium._sync_transport import Responses, SyncTransport
from trivium._text_input import Item, TextInput, checked_item
from trivium.call_info import CallInfo, ServedModel
from trivium.embeddings import EmbedResult
from trivium.settings import CallOptions
from trivium.v1 import embedding_pb2

__all__ = ["EmbedStream"]


class EmbedStream:
    """The results of a stream of texts, one EmbedResult for each, in their order. Iterate it.

        for result in client.embed_stream(lines):
            store(result.index, result.vector)

    A thread reads the texts while results arrive, at most 2048 of them, or 4 MiB, ahead of the results that were
    taken. The call is sent when the first result is asked for. Reading to the end, leaving its `with` block, breaking
    out of the `for` loop and close() each end the call, at the server too, and the thread as soon as the iterable
    returns. Not for several threads at once, except close().

    A connection that breaks is no error as long as the retry policy goes on: the stream continues in a new call with
    the texts that have no result yet. Iterating raises what the iterable raised, after the results of the texts before
    that; StreamIdleTimeout where texts were sent and no result came for the idle limit; AbortedError where the server
    has another version of the model after a break; and any other TriviumError.
    """

    def __init__(
        self,
        transport: SyncTransport,
        texts: Iterable[TextInput | Item],
        config: embedding_pb2.EmbedConfig,
        options: CallOptions,
        prepare: Callable[[Deadline], None],
    ) -> None:
        self._transport = transport
        self._texts = texts
        self._config = config
        self._options = options
        self._prepare = prepare
        self._course = EmbedCourse(options, transport.settings.retry, transport.settings.peer)
        self._changed = threading.Condition()  # guards the course
        self._ready: deque[EmbedResult] = deque()
        self._responses: Responses[embedding_pb2.StreamEmbedResponse] | None = None
        self._has_begun = False
        self._is_reading = False
        self._wait = Wait(options.idle_timeout_s or 0, self._cancel) if options.idle_timeout_s else None
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the call, at the server too. May be called twice, from any thread, and after the end."""
        with self._changed:
            self._course.is_closed = True
            self._changed.notify_all()
        self._cancel()
        self._transport.wake()
        if self._wait is not None:
            self._transport.idle_watch.remove(self._wait)

    def _cancel(self) -> None:
        responses = self._responses
        if responses is not None:
            responses.cancel()  # changes nothing about a call that is over

    def __iter__(self) -> Iterator[EmbedResult]:
        try:
            while self._ready or self._advance():
                while self._ready:
                    yield self._ready.popleft()
        finally:
            self.close()

    def _advance(self) -> bool:
        """Reads the next message. Returns False after the end. Raises what the source raised, at its place."""
        self._course.ensure_open()
        if not self._has_begun:
            self._begin()
        if self._responses is None:
            self._open()
        if not self._read():
            self._raise_source_error()
            return False
        return True

    def _raise_source_error(self) -> None:
        if self._course.window.source_error is not None:
            raise self._course.window.source_error

    def _begin(self) -> None:
        self._has_begun = True
        self._prepare(self._course.begin())
        if self._wait is not None:
            self._transport.idle_watch.add(self._wait)
        threading.Thread(target=self._pull, name="trivium-embed-texts", daemon=True).start()

    def _open(self) -> None:
        with self._changed:
            self._course.ensure_open()  # another thread may have closed it meanwhile
            timeout_s = self._course.begin_call()
            requests = self._requests(self._course.window.call_number)
            self._changed.notify_all()
        self._responses = self._transport.open_both(_calls.STREAM_EMBED, requests, self._options, timeout_s)
        with self._changed:
            if self._course.is_closed:
                self._cancel()

    def _read(self) -> bool:
        """Takes one message, or decides how to go on without one. Returns False where the stream is over."""
        try:
            response = self._timed_next()
        except StopIteration:
            with self._changed:
                delay = self._course.delay_after_end()
        except grpc.RpcError as error:
            if self._wait is not None and self._wait.has_expired:
                raise self._course.idle() from error
            with self._changed:
                delay = self._course.delay_after(error)
        else:
            with self._changed:
                self._ready.extend(self._course.accept(response))
                self._changed.notify_all()
            return True
        if delay is None:
            return False
        self._responses = None
        self._transport.pause(delay, lambda: self._course.is_closed)
        return True

    def _timed_next(self) -> embedding_pb2.StreamEmbedResponse:
        assert self._responses is not None
        with self._changed:
            self._is_reading = True
            self._watch()
        try:
            return next(self._responses)
        finally:
            with self._changed:
                self._is_reading = False
                if self._wait is not None:
                    self._wait.end()

    def _watch(self) -> None:
        """The idle limit counts while this side reads and the server owes something."""
        is_owed = self._is_reading and self._course.is_owed_something
        if self._wait is not None and self._wait.since is None and is_owed:
            self._wait.begin()

    def _requests(self, call_number: int) -> Iterator[embedding_pb2.StreamEmbedRequest]:
        """Gives a call what it sends. Runs in a thread of gRPC's."""
        yield embedding_pb2.StreamEmbedRequest(setup=embedding_pb2.StreamEmbedSetup(config=self._config))
        while items := self._next_items(call_number):
            yield embedding_pb2.StreamEmbedRequest(items=embedding_pb2.EmbedItems(items=items))

    def _next_items(self, call_number: int) -> list[embedding_pb2.EmbedItem]:
        """Waits for items to send. Returns none at the end of the source, and when the call is over."""
        with self._changed:
            while (items := self._course.items_to_send(call_number)) is None:
                self._changed.wait()
            self._watch()
            return items

    def _pull(self) -> None:
        """Reads the source, as far ahead as the window goes."""
        error: BaseException | None = None
        try:
            for place, given in enumerate(self._texts):
                if not self._put(given, place):
                    return
        except BaseException as raised:  # noqa: BLE001  # whatever the caller's iterable raises is raised to the caller
            error = raised
        with self._changed:
            self._course.window.end_source(error)
            self._changed.notify_all()

    def _put(self, given: TextInput | Item, place: int) -> bool:
        item = checked_item(given, "texts", place)
        with self._changed:
            while not self._course.window.has_room and not self._course.is_closed:
                self._changed.wait()
            if self._course.is_closed:
                return False
            self._course.window.put(item)
            self._changed.notify_all()
            return True
