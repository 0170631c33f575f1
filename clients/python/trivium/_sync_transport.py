"""Runs calls over a blocking gRPC channel. Thread-safe; each stream belongs to one thread at a time."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message

from trivium._calls import Method, StreamCall, UnaryCall, check_size
from trivium._error_base import CallCancelledError
from trivium._idle_watch import IdleWatch, Wait
from trivium._retry import Attempts, Deadline
from trivium._status import only_response, read_failure
from trivium._stream_state import StreamState
from trivium.settings import CallOptions, ClientSettings, Interceptor

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ResultT = TypeVar("ResultT")
EventT = TypeVar("EventT")
_ReadT_co = TypeVar("_ReadT_co", covariant=True)


class Responses(Protocol[_ReadT_co]):
    """What grpc returns for a call with a stream of responses."""

    def __iter__(self) -> Iterator[_ReadT_co]: ...
    def __next__(self) -> _ReadT_co: ...
    def cancel(self) -> bool: ...


class SyncTransport:
    """A channel and the calls on it. close() ends them."""

    def __init__(self, settings: ClientSettings, interceptors: Sequence[Interceptor]) -> None:
        self.settings = settings
        self.idle_watch = IdleWatch()
        credentials = settings.credentials()
        if credentials is None:
            self._plain = grpc.insecure_channel(settings.target, settings.options())
        else:
            self._plain = grpc.secure_channel(settings.target, credentials, settings.options())
        self.channel = grpc.intercept_channel(self._plain, *interceptors) if interceptors else self._plain
        self._changed = threading.Condition()
        self._is_closed = False

    def close(self) -> None:
        """Closes the channel; calls under way, and later ones, end with CallCancelledError. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._plain.close()

    def pause(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Waits before a call is sent again; not any longer once the client is closed, or is_over at a wake()."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or is_over(), seconds)

    def wake(self) -> None:
        """Lets who pauses see whether it is over."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def _open_channel(self, options: CallOptions) -> Iterator[None]:
        """Around a use of the channel, which says that it is closed by a ValueError."""
        try:
            yield
        except ValueError as error:
            if self._is_closed:
                raise CallCancelledError("the client was closed", request_id=options.request_id) from error
            raise

    def unary(
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
            # A future, because a blocking call that Ctrl-C interrupts would go on at the server.
            with self._open_channel(options):
                future = invoke.future(call.request, timeout=attempts.begin(), metadata=metadata)
            try:
                return call.parse(only_response(future.result(), options.request_id))
            except grpc.FutureCancelledError as error:
                raise CallCancelledError("the client was closed", request_id=options.request_id) from error
            except grpc.RpcError as error:
                failure = read_failure(error, request_id=options.request_id, peer=self.settings.peer)
                delay = attempts.delay_before_retry(failure)
                if delay is None:
                    raise failure.error from None
            finally:
                future.cancel()  # type: ignore[no-untyped-call]  # untyped in grpc-stubs; a call that is over stays as it is
            self.pause(delay)

    def open(
        self, method: Method[RequestT, ResponseT], request: RequestT, options: CallOptions, timeout_s: float | None
    ) -> Responses[ResponseT]:
        """Sends one attempt of a streaming call. Returns without waiting for the server."""
        check_size(request, self.settings.max_message_bytes)
        invoke = self.channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        with self._open_channel(options):
            responses = invoke(request, timeout=timeout_s, metadata=self.settings.request_metadata(options))
        return cast(Responses[ResponseT], responses)  # grpc-stubs do not carry the deserialiser's type over

    def open_both(
        self,
        method: Method[RequestT, ResponseT],
        requests: Iterator[RequestT],
        options: CallOptions,
        timeout_s: float | None,
    ) -> Responses[ResponseT]:
        """Sends one attempt of a call with streams in both directions. A thread of gRPC's reads `requests`."""
        invoke = self.channel.stream_stream(method.path, method.request.SerializeToString, method.response.FromString)
        with self._open_channel(options):
            responses = invoke(requests, timeout=timeout_s, metadata=self.settings.request_metadata(options))
        return cast(Responses[ResponseT], responses)  # grpc-stubs do not carry the deserialiser's type over


class SyncStream(Generic[RequestT, ResponseT, EventT]):
    """The events of a streaming call. The call is sent when the first event is asked for.

    Reading it to the end, leaving its `with` block, breaking out of the `for` loop and close() each end the call, at
    the server too. Not for several threads at once, except close().
    """

    def __init__(
        self,
        transport: SyncTransport,
        call: StreamCall[RequestT, ResponseT, EventT],
        options: CallOptions,
        prepare: Callable[[Deadline], None] | None = None,
    ) -> None:
        self._transport = transport
        self._call = call
        self._options = options
        self._prepare = prepare
        self._state = StreamState(call.assembly, call.replay, options, transport.settings.peer)
        self._responses: Responses[ResponseT] | None = None
        self._attempts: Attempts | None = None
        self._wait = Wait(options.idle_timeout_s or 0, self._cancel) if options.idle_timeout_s else None

    @property
    def request_id(self) -> str:
        """The request id that the call is sent with."""
        return self._options.request_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the call, at the server too. May be called twice, from any thread, and after the end."""
        self._state.is_closed = True
        self._cancel()
        self._transport.wake()
        if self._wait is not None:
            self._transport.idle_watch.remove(self._wait)

    def _cancel(self) -> None:
        responses = self._responses
        if responses is not None:
            responses.cancel()  # changes nothing about a call that is over

    def _events(self) -> Iterator[EventT]:
        """Iterates what is left; ends the call where the caller stops early."""
        try:
            while (event := self._next_event()) is not None:
                yield event
        finally:
            self.close()

    def _next_event(self) -> EventT | None:
        """Returns the next event, None after the last. Ends the call when it raises."""
        try:
            while not self._state.is_over:
                self._state.ensure_open()
                response = self._read(self._attempts or self._begin())
                if response is None:
                    self._state.end()
                elif (event := self._state.accept(response)) is not None:
                    return event
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def _begin(self) -> Attempts:
        deadline = Deadline(self._options.timeout_s)
        if self._prepare is not None:
            self._prepare(deadline)
            self._state.ensure_open()  # another thread may have closed it meanwhile
        self._attempts = Attempts(self._transport.settings.retry, deadline)
        if self._wait is not None:
            self._transport.idle_watch.add(self._wait)
        return self._attempts

    def _read(self, attempts: Attempts) -> ResponseT | None:
        """Returns the next message, None at the end. Sends the call first where it is not under way."""
        while True:
            if self._responses is None:
                self._responses = self._open(attempts.begin())
                if self._state.is_closed:  # by another thread, which found nothing to cancel yet
                    self._cancel()
            try:
                return self._timed_next(self._responses)
            except StopIteration:
                return None
            except grpc.RpcError as error:
                if self._wait is not None and self._wait.has_expired:
                    self._state.expire(error)
                    return None
                delay = self._state.delay_before_retry(error, attempts)
            if delay is None:
                return None
            self._responses = None
            self._transport.pause(delay, lambda: self._state.is_closed)
            self._state.ensure_open()

    def _open(self, timeout_s: float | None) -> Responses[ResponseT]:
        return self._transport.open(self._call.method, self._call.request, self._options, timeout_s)

    def _timed_next(self, responses: Responses[ResponseT]) -> ResponseT:
        if self._wait is None:
            return next(responses)
        self._wait.begin()
        try:
            return next(responses)
        finally:
            self._wait.end()
