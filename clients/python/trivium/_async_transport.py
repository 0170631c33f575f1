"""Runs calls over a grpc.aio channel. All of it belongs to one event loop, the one that runs at the first call."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from trivium._async_responses import EOF, AsyncResponses, KeepStatus, keep_status
from trivium._calls import Method, StreamCall, UnaryCall, check_size
from trivium._error_base import CallCancelledError
from trivium._retry import Attempts, Deadline
from trivium._status import only_response, read_failure
from trivium._stream_state import StreamState
from trivium.settings import AsyncInterceptor, CallOptions, ClientSettings

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ResultT = TypeVar("ResultT")
EventT = TypeVar("EventT")


@contextmanager
def _open_channel(options: CallOptions) -> Iterator[None]:
    """Around a use of the channel, which says that it is closed by a UsageError."""
    try:
        yield
    except grpc.aio.UsageError as error:
        raise CallCancelledError("the client was closed", request_id=options.request_id) from error


class AsyncTransport:
    """A channel and the calls on it. close() ends them."""

    def __init__(self, settings: ClientSettings, interceptors: Sequence[AsyncInterceptor]) -> None:
        self.settings = settings
        # grpc-stubs declare no type for this argument that anything could have
        self._interceptors: Any = [*interceptors, KeepStatus()] if interceptors else None
        self._channel: grpc.aio.Channel | None = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, made at the first use, because grpc.aio binds it to the running event loop."""
        if self._channel is None:
            self._channel = self._make_channel()
        return self._channel

    def _make_channel(self) -> grpc.aio.Channel:
        settings, credentials = self.settings, self.settings.credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(
                settings.target, options=settings.options(), interceptors=self._interceptors
            )
        return grpc.aio.secure_channel(
            settings.target, credentials, options=settings.options(), interceptors=self._interceptors
        )

    async def close(self) -> None:
        """Closes the channel; calls under way, and later ones, end with CallCancelledError. May be called twice."""
        if self._channel is not None:
            await self._channel.close(None)

    async def unary(
        self, call: UnaryCall[RequestT, ResponseT, ResultT], options: CallOptions, deadline: Deadline | None = None
    ) -> ResultT:
        """Sends the call, again where the policy says so, and returns its result.

        deadline: where the call is one of several that share one; else it has all of options.timeout_s for itself.
        """
        check_size(call.request, self.settings.max_message_bytes)
        invoke = self.channel.unary_unary(
            call.method.path, call.method.request.SerializeToString, call.method.response.FromString
        )
        metadata = self.settings.request_metadata(options)
        attempts = Attempts(self.settings.retry, deadline or Deadline(options.timeout_s))
        while True:
            with _open_channel(options):
                pending = invoke(call.request, timeout=attempts.begin(), metadata=metadata)
            try:
                return call.parse(only_response(await pending, options.request_id))
            except grpc.RpcError as error:
                failure = read_failure(error, request_id=options.request_id, peer=self.settings.peer)
                delay = attempts.delay_before_retry(failure)
                if delay is None:
                    raise failure.error from None
            except asyncio.CancelledError as error:
                if is_being_cancelled():
                    raise
                raise CallCancelledError("the client was closed", request_id=options.request_id) from error
            await asyncio.sleep(delay)

    def open(
        self, method: Method[RequestT, ResponseT], request: RequestT, options: CallOptions, timeout_s: float | None
    ) -> AsyncResponses[ResponseT]:
        """Sends one attempt of a streaming call. Returns without waiting for the server."""
        check_size(request, self.settings.max_message_bytes)
        invoke = self.channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        with _open_channel(options):
            responses = invoke(request, timeout=timeout_s, metadata=self.settings.request_metadata(options))
        return cast(AsyncResponses[ResponseT], responses)  # grpc-stubs do not carry the deserialiser's type over

    def open_both(
        self,
        method: Method[RequestT, ResponseT],
        requests: AsyncIterator[RequestT],
        options: CallOptions,
        timeout_s: float | None,
    ) -> AsyncResponses[ResponseT]:
        """Sends one attempt of a call with streams in both directions. A task of gRPC's reads `requests`."""
        invoke = self.channel.stream_stream(method.path, method.request.SerializeToString, method.response.FromString)
        with _open_channel(options):
            responses = invoke(requests, timeout=timeout_s, metadata=self.settings.request_metadata(options))
        keep_status(responses)
        return cast(AsyncResponses[ResponseT], responses)  # grpc-stubs do not carry the deserialiser's type over


class AsyncStream(Generic[RequestT, ResponseT, EventT]):
    """The events of a streaming call. The call is sent when the first event is asked for.

    Reading it to the end, leaving its `async with` block, breaking out of the `async for` loop, cancelling the task
    that reads, and aclose() each end the call, at the server too. Not for several tasks at once, except aclose().
    """

    def __init__(
        self,
        transport: AsyncTransport,
        call: StreamCall[RequestT, ResponseT, EventT],
        options: CallOptions,
        prepare: Callable[[Deadline], Awaitable[None]] | None = None,
    ) -> None:
        self._transport = transport
        self._call = call
        self._options = options
        self._prepare = prepare
        self._state = StreamState(call.assembly, call.replay, options, transport.settings.peer)
        self._responses: AsyncResponses[ResponseT] | None = None
        self._attempts: Attempts | None = None

    @property
    def request_id(self) -> str:
        """The request id that the call is sent with."""
        return self._options.request_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the call, at the server too. May be called twice, from any task, and after the end."""
        self._close()

    def _close(self) -> None:
        self._state.is_closed = True
        if self._responses is not None:
            self._responses.cancel()  # changes nothing about a call that is over

    async def _events(self) -> AsyncGenerator[EventT, None]:
        """Iterates what is left; ends the call where the caller stops early."""
        try:
            while (event := await self._next_event()) is not None:
                yield event
        finally:
            self._close()

    async def _next_event(self) -> EventT | None:
        """Returns the next event, None after the last. Ends the call when it raises."""
        try:
            while not self._state.is_over:
                self._state.ensure_open()
                response = await self._read(self._attempts or await self._begin())
                if response is None:
                    self._state.end()
                elif (event := self._state.accept(response)) is not None:
                    return event
        except BaseException:
            self._close()
            raise
        self._close()
        return None

    async def _begin(self) -> Attempts:
        deadline = Deadline(self._options.timeout_s)
        if self._prepare is not None:
            await self._prepare(deadline)
            self._state.ensure_open()  # another task may have closed it meanwhile
        self._attempts = Attempts(self._transport.settings.retry, deadline)
        return self._attempts

    async def _read(self, attempts: Attempts) -> ResponseT | None:
        """Returns the next message, None at the end. Sends the call first where it is not under way."""
        while True:
            if self._responses is None:
                self._responses = self._open(attempts.begin())
            try:
                response = await self._timed_read(self._responses)
            except TimeoutError as error:
                self._state.expire(error)
                return None
            except grpc.RpcError as error:
                delay = self._state.delay_before_retry(error, attempts)
            except asyncio.CancelledError as error:
                if is_being_cancelled():
                    raise
                raise self._state.cancelled() from error  # aclose() in another task, or the client's close()
            else:
                return None if response is EOF else response
            if delay is None:
                return None
            self._responses = None
            await asyncio.sleep(delay)
            self._state.ensure_open()

    def _open(self, timeout_s: float | None) -> AsyncResponses[ResponseT]:
        return self._transport.open(self._call.method, self._call.request, self._options, timeout_s)

    async def _timed_read(self, responses: AsyncResponses[ResponseT]) -> ResponseT:
        async with asyncio.timeout(self._options.idle_timeout_s):
            return await responses.read()


def is_being_cancelled() -> bool:
    """Tells a cancelled task from a cancelled call: grpc.aio raises CancelledError for both."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
