"""The one interceptor that every call passes, whatever its stream kind.

It gives each call an id and a deadline, lets it in or not, parses its request, turns what it raises into a status
with details, and takes note of it. Handlers below raise the errors of trivium_server.errors and never abort a call
themselves.

Nothing is sent of a call before its first message, or its end: until then a proxy may ask another replica. A single
answer leaves in one piece with its status, so that a server that dies has sent all of it or nothing. So the ids of a
call are in its trailing metadata, and only those of a stream that has begun in the initial metadata.

Requests and responses cross grpc.aio as bytes and are parsed and serialized on this side of it, because grpc.aio would
answer bytes that do not parse with INTERNAL. Handlers that yield are drained here, in a coroutine, so that a cancelled
call reaches them as one thing: `aclose()`.
"""

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import grpc
from google.protobuf.message import Message

from trivium_server.config import LimitsConfig
from trivium_server.errors import CallAborted, DeadlineExceeded, TriviumError
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.call import Call, enter
from trivium_server.rpc.load_report import LOAD_REPORT_KEY, LoadMeter
from trivium_server.rpc.methods import Method, Treatment, method_named
from trivium_server.rpc.passage import Context, Handler, Metadata, Passage
from trivium_server.rpc.status import InternalError, MethodNotFound, call_status
from trivium_server.telemetry import ACCESS, OTHER_METHOD, CallMetrics, log, printable

_logger = logging.getLogger("trivium.rpc")
_access = logging.getLogger(ACCESS)

REQUEST_ID_KEY = "x-request-id"
INSTANCE_KEY = "trivium-instance"
CLIENT_KEY = "trivium-client"
USAGE_KEY = "trivium-usage-bin"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

# A call ends this much before its client gives up, so that the reason and the usage still arrive. grpc-timeout has few
# digits: a client's deadline reaches the server rounded up by as much as one hundredth.
_MARGIN_S = 0.02
_MARGIN_SHARE = 0.01
_MAX_MARGIN_SHARE = 0.1

# Another replica answers at once; this one is back soon.
_RETRY_ELSEWHERE_S = 1.0

# A status is behind all messages that were sent: a caller that does not read them is not waited for longer than this.
_LAST_STATUS_S = 2.0

Body = Callable[[Passage], Awaitable[bytes | None]]


class Boundary(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """See the module. One instance serves all calls of a server, on its event loop."""

    def __init__(
        self,
        *,
        limits: LimitsConfig,
        admission: Admission,
        metrics: CallMetrics,
        instance_id: str,
        load: LoadMeter | None = None,
    ) -> None:
        """load: what inference calls report at their end; None for no report."""
        self._limits = limits
        self._admission = admission
        self._metrics = metrics
        self._instance_id = instance_id
        self._load = load
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Callable[[Handler], Awaitable[Handler | None]], handler_call_details: Handler
    ) -> Handler:
        name = handler_call_details.method
        wrapped = self._wrapped.get(name)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._unknown(name)
            wrapped = self._wrapped[name] = self._wrap(method_named(name), handler)
        return wrapped

    def _wrap(self, method: Method, handler: Handler) -> Handler:
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream_stream(method, handler))
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self._stream_unary(method, handler))
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._unary_stream(method, handler))
        return grpc.unary_unary_rpc_method_handler(self._unary_unary(method, handler))

    def _unary_unary(self, method: Method, handler: Handler) -> Handler:
        async def serve(raw: bytes, context: Context) -> bytes | None:
            async def body(passage: Passage) -> bytes:
                request = passage.parse(handler, raw)
                return passage.answer(await handler.unary_unary(request, context))

            try:
                return await self._pass(method, context, self._limits.default_deadline_s, body)
            finally:
                # grpc.aio keeps the error that ends a call, and with its traceback this frame, until it is collected.
                raw = b""

        return serve

    def _unary_stream(self, method: Method, handler: Handler) -> Handler:
        async def serve(raw: bytes, context: Context) -> None:
            async def body(passage: Passage) -> None:
                request = passage.parse(handler, raw)
                await passage.send_all(handler.unary_stream, request)

            try:
                await self._pass(method, context, self._limits.default_stream_deadline_s, body)
            finally:
                raw = b""  # as above

        return serve

    def _stream_unary(self, method: Method, handler: Handler) -> Handler:
        async def serve(raws: AsyncIterator[bytes], context: Context) -> bytes | None:
            async def body(passage: Passage) -> bytes:
                async with self._requests(passage, handler, raws) as requests:
                    return passage.answer(await handler.stream_unary(requests, context))

            return await self._pass(method, context, self._limits.default_stream_deadline_s, body)

        return serve

    def _stream_stream(self, method: Method, handler: Handler) -> Handler:
        async def serve(raws: AsyncIterator[bytes], context: Context) -> None:
            async def body(passage: Passage) -> None:
                async with self._requests(passage, handler, raws) as requests:
                    await passage.send_all(handler.stream_stream, requests)

            await self._pass(method, context, self._limits.default_stream_deadline_s, body)

        return serve

    def _requests(
        self, passage: Passage, handler: Handler, raws: AsyncIterator[bytes]
    ) -> contextlib.aclosing[AsyncGenerator[Message]]:
        # A stream that never begins holds a place of all calls for no longer than a call may take.
        first_within_s = self._limits.default_deadline_s
        return contextlib.aclosing(passage.parse_all(handler, raws, first_within_s=first_within_s))

    def _unknown(self, name: str) -> Handler:
        method = Method(name=OTHER_METHOD, treatment=Treatment.CONTROL)

        async def serve(_raws: AsyncIterator[bytes], context: Context) -> None:
            async def body(_passage: Passage) -> None:
                raise MethodNotFound(printable(name))

            await self._pass(method, context, self._limits.default_deadline_s, body)

        # On the wire all four kinds look alike; this one fits whatever the client sends.
        return grpc.stream_stream_rpc_method_handler(serve)

    async def _pass(self, method: Method, context: Context, default_limit_s: float, body: Body) -> bytes | None:
        passage = self._open(method, context, default_limit_s)
        self._metrics.call_started(method.name)
        status, reason = "CANCELLED", ""
        try:
            error: TriviumError | None = None
            # For a servicer that is not ours and ends the call itself.
            context.set_trailing_metadata(passage.ids)
            try:
                answer = await self._admitted(passage, body)
            except TriviumError as raised:
                # A traceback would keep what the call had in memory, in a cycle, until it is collected.
                error = self._told(raised.with_traceback(None), passage.call)
            except (asyncio.CancelledError, grpc.aio.AbortError, grpc.aio.InternalError):
                # The caller left, or a servicer that is not ours ended the call itself.
                raise
            except Exception:
                log(
                    _logger,
                    logging.ERROR,
                    "a call met a defect",
                    request_id=passage.call.request_id,
                    method=method.name,
                )
                _logger.exception("the defect of request %s", passage.call.request_id)
                error = InternalError()
            if error is None:
                status = "OK"
                context.set_trailing_metadata(self._trailers(passage, status))
                return answer
            ending = call_status(error, passage.call.request_id)
            status, reason = ending.code.name, error.reason
            del error  # What caused it may hold the request; see `_unary_unary`.
            trailers = (*ending.trailing_metadata, *self._trailers(passage, status))
            try:
                async with asyncio.timeout(_LAST_STATUS_S):
                    await context.abort(ending.code, ending.message, trailers)
            except TimeoutError:
                # It is on its way, behind what the caller has not read yet; grpc keeps it, and needs no task for that.
                raise grpc.aio.AbortError from None
        except grpc.aio.AbortError:
            status = status if reason else (context.code() or grpc.StatusCode.UNKNOWN).name
            raise
        except grpc.aio.InternalError:
            return None  # the connection is gone; grpc.aio has nobody left to tell
        finally:
            self._close(passage, status, reason)
        return None

    async def _admitted(self, passage: Passage, body: Body) -> bytes | None:
        """Runs the handler within its admission and its deadline."""
        with contextlib.ExitStack() as stack:
            if passage.method.treatment is Treatment.INFERENCE:
                stack.enter_context(self._admission.admit())
            if passage.method.treatment is Treatment.WATCH:
                stack.enter_context(self._admission.watch())
                return await body(passage)
            call = passage.call
            # Half of the margin later than what the handler was told, so that its own, better reason comes first.
            left_s = call.deadline_s + _margin_s(call.limit_s) / 2 - time.monotonic()
            try:
                async with asyncio.timeout(left_s) as fence:
                    if passage.method.treatment is Treatment.INFERENCE:
                        stack.enter_context(self._admission.fenced(fence))
                    return await body(passage)
            except TimeoutError:
                if fence.expired() and self._admission.was_cut:
                    raise CallAborted(call.model, server_stops=True) from None
                if fence.expired():
                    raise DeadlineExceeded(call.limit_s) from None
                raise

    def _told(self, error: TriviumError, call: Call) -> TriviumError:
        """Returns what the caller is told: the boundary knows the whole deadline, and whether the server stops."""
        if isinstance(error, DeadlineExceeded):
            return DeadlineExceeded(float(f"{call.limit_s:.3g}"))
        if isinstance(error, CallAborted) and not self._admission.is_open:
            return CallAborted(call.model, server_stops=True, retry_after_s=_RETRY_ELSEWHERE_S)
        return error

    def _open(self, method: Method, context: Context, default_limit_s: float) -> Passage:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        given_id = metadata.get(REQUEST_ID_KEY, "")
        now = time.monotonic()
        remaining_s = context.time_remaining()
        default_limit_s = self._limits.max_deadline_s if method.is_long else default_limit_s
        limit_s = min(default_limit_s if remaining_s is None else remaining_s, self._limits.max_deadline_s)
        call = Call(
            request_id=given_id if _REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex,
            accepted_s=now,
            deadline_s=now + limit_s - _margin_s(limit_s),
            limit_s=limit_s,
        )
        enter(call)
        client = printable(metadata.get(CLIENT_KEY, ""))
        ids = ((REQUEST_ID_KEY, call.request_id), (INSTANCE_KEY, self._instance_id))
        return Passage(context, method, call, client, ids, self._limits.max_write_lag_s)

    def _trailers(self, passage: Passage, status: str) -> Metadata:
        usage = passage.call.usage
        used = ((USAGE_KEY, usage().SerializeToString()),) if usage else ()
        ids = () if passage.has_begun else passage.ids
        if self._load is None or passage.method.treatment is not Treatment.INFERENCE:
            return (*ids, *used)
        self._load.note(status)
        return (*ids, *used, (LOAD_REPORT_KEY, self._load.report))

    def _close(self, passage: Passage, status: str, reason: str) -> None:
        record = passage.record(status, reason)
        self._metrics.call_finished(record)
        # It may hold what was asked, and an error that is kept holds the call.
        passage.call.usage = None
        level = logging.DEBUG if passage.method.is_quiet and status in {"OK", "CANCELLED"} else logging.INFO
        if _access.isEnabledFor(level):
            log(_access, level, "call", **passage.access_fields(record))


def _margin_s(limit_s: float) -> float:
    return min(_MARGIN_S + _MARGIN_SHARE * limit_s, _MAX_MARGIN_SHARE * limit_s)
