"""A real gRPC server on a real socket that does in each call what a case says, and keeps what it received."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from functools import partial

import grpc
from google.protobuf.message import Message

from tests.conformance.contract import RPCS, Rpc
from tests.conformance.script import (
    AwaitHalfClose,
    AwaitRequests,
    Fail,
    Fault,
    Hang,
    Headers,
    Pause,
    Reply,
    Step,
)
from tests.conformance.wire import Wire
from tools.certificates import pem

__all__ = ["Received", "ScriptedServer", "server_credentials"]

_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Above what any client sends by default, so that the refusal of a larger request is the client's."""

_DELIVERY_S = 0.15
"""What was sent is at the client after this time, on one machine, so that a cut takes nothing of it away."""

_LONGEST_WAIT_S = 60.0


@dataclass(slots=True)
class Received:
    """A call that reached the server. time_left_s: of its deadline when it came at came_s, None without one."""

    rpc: Rpc
    metadata: dict[str, str | bytes]
    time_left_s: float | None
    came_s: float
    requests: list[Message] = field(default_factory=list)
    is_half_closed: bool = False
    is_cancelled: bool = False


class ScriptedServer:
    """Answers successive calls with successive scripts; the last one is repeated. close() breaks every connection."""

    def __init__(self, scripts: Sequence[Sequence[Step]], credentials: grpc.ServerCredentials | None = None) -> None:
        self.received: list[Received] = []
        self._scripts = list(scripts)
        self._lock = threading.Lock()
        self._wire = Wire(is_plain=credentials is None)
        options = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()
        self._wire.open(port)

    @property
    def target(self) -> str:
        """Where it listens."""
        return self._wire.target

    @property
    def num_connections(self) -> int:
        """How many connections were made to it."""
        return self._wire.num_connections

    def close(self) -> None:
        """Stops it."""
        self._wire.close()
        self._server.stop(None).wait(10)

    def answer(self, rpc: Rpc, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Follows the next script."""
        received = Received(
            rpc=rpc,
            metadata=dict(context.invocation_metadata()),
            time_left_s=_time_left(context),
            came_s=time.monotonic(),
        )
        with self._lock:
            self.received.append(received)
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        yield from _Conversation(received, requests, context, self._wire).follow(script)


def _time_left(context: grpc.ServicerContext) -> float | None:
    """Without a deadline gRPC says a time that is longer than anybody's."""
    left = context.time_remaining()
    return left if isinstance(left, float) and left < 1e8 else None


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Every method as a stream of bytes both ways, which all kinds of calls are on the wire."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        rpc = RPCS.get(details.method.removeprefix("/"))
        if rpc is None:
            return None

        def behave(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._server.answer(rpc, requests, context)

        return grpc.stream_stream_rpc_method_handler(behave)


class _Conversation:
    """One call: a thread reads what is sent while the script is followed."""

    def __init__(
        self, received: Received, requests: Iterator[bytes], context: grpc.ServicerContext, wire: Wire
    ) -> None:
        self._received = received
        self._context = context
        self._wire = wire
        self._changed = threading.Condition()
        self._is_over = False
        self._is_answered = False
        self._num_sent = 0
        self._num_counted = 0
        context.add_callback(self._end)
        threading.Thread(target=self._read, args=(requests,), name="conformance-requests", daemon=True).start()

    def follow(self, script: Sequence[Step]) -> Iterator[bytes]:
        for step in script:
            match step:
                case Reply():
                    yield from self._send(step)
                case Headers(entries):
                    self._context.send_initial_metadata(entries)
                case Fail():
                    self._finish_reading()
                    self._is_answered = True
                    self._context.set_trailing_metadata(step.trailers)
                    self._context.abort(step.code, step.message)
                case Pause(seconds):
                    time.sleep(seconds)
                case Hang():
                    self._wait(lambda: False)
                case Fault(inflict):
                    self._deliver()
                    inflict(self._wire, self._context.peer())
                    self._wait(lambda: False)
                case AwaitRequests(count):
                    self._wait(partial(self._has_requests, count))
                case AwaitHalfClose():
                    self._wait(lambda: self._received.is_half_closed)
        self._finish_reading()
        self._is_answered = True

    def _has_requests(self, count: int) -> bool:
        return len(self._received.requests) >= count

    def _send(self, reply: Reply) -> Iterator[bytes]:
        for _ in range(reply.times):
            if reply.every_s:
                time.sleep(reply.every_s)
            yield reply.serialized(self._num_counted)
            self._num_sent += 1
            self._num_counted += reply.counts

    def _deliver(self) -> None:
        self._finish_reading()
        if self._num_sent:
            time.sleep(_DELIVERY_S)

    def _finish_reading(self) -> None:
        """A call with one request is answered after that request, however quick the script is."""
        if not self._received.rpc.streams_requests:
            self._wait(lambda: self._received.is_half_closed)

    def _wait(self, is_met: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or is_met(), _LONGEST_WAIT_S)

    def _read(self, requests: Iterator[bytes]) -> None:
        try:
            for request in requests:
                with self._changed:
                    self._received.requests.append(self._received.rpc.request.FromString(request))
                    self._changed.notify_all()
        except grpc.RpcError:
            return  # the call is over
        except Exception:  # noqa: BLE001  # what grpc raises here where the call is cancelled has no class of its own
            return
        with self._changed:
            self._received.is_half_closed = True
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._is_over = True
            self._received.is_cancelled = not self._is_answered
            self._changed.notify_all()


def server_credentials(kind: str) -> grpc.ServerCredentials:
    """Returns those of a server: "server" asks for nothing, "mutual" for a certificate that the root signed."""
    pair = (pem("server_key").encode(), pem("server").encode())
    if kind == "server":
        return grpc.ssl_server_credentials([pair])
    if kind == "mutual":
        return grpc.ssl_server_credentials([pair], pem("root").encode(), require_client_auth=True)
    raise ValueError(f"server_tls is {kind!r}, not server or mutual")
