"""A real gRPC server on a real socket that fails, hangs and breaks off as a test tells it: a double of the network."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from trivium._calls import Method
from trivium.v1 import common_pb2, generation_pb2

TEXT = "/trivium.v1.TextGenerationService"
Act = Callable[[Any, grpc.ServicerContext], object]
"""What a method does with a request of its own class and the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A call that reached the server."""

    path: str
    request: Any  # of the class of its method
    metadata: dict[str, str | bytes]


@dataclass(slots=True)
class ScriptedServer:
    """Answers each call with the next act of its method; the last act is repeated."""

    target: str = ""
    received: list[Received] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    _acts: dict[str, deque[Act]] = field(default_factory=dict)
    _server: grpc.Server | None = None

    def script(self, method: Method[Any, Any], *acts: Act) -> None:
        """Sets what the method does, call by call."""
        self._acts[method.path] = deque(acts)

    def start(self) -> None:
        """Listens on a free port."""
        from trivium import _calls

        methods = [value for value in vars(_calls).values() if isinstance(value, Method)]
        self._server = grpc.server(
            futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 16 * 1024 * 1024)]
        )
        self._server.add_generic_rpc_handlers((_Handlers(self, {method.path: method for method in methods}),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.target = f"127.0.0.1:{port}"

    def stop(self) -> None:
        """Breaks every connection."""
        if self._server is not None:
            self._server.stop(None).wait()

    def next_act(self, path: str) -> Act:
        """Takes the act for one call."""
        acts = self._acts.get(path)
        if not acts:
            return fail(grpc.StatusCode.UNIMPLEMENTED, "not in the script")
        return acts.popleft() if len(acts) > 1 else acts[0]


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    def __init__(self, server: ScriptedServer, methods: dict[str, Method[Any, Any]]) -> None:
        self._server = server
        self._methods = methods

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        method = self._methods.get(details.method)
        if method is None:
            return None
        name = method.path.rpartition("/")[2]
        make = grpc.unary_unary_rpc_method_handler
        if name in ("StreamGenerate", "WatchModels", "LoadModel"):
            make = grpc.unary_stream_rpc_method_handler
        elif name in ("StreamEmbed", "StreamAnalyzeImage", "StreamRecognize", "StreamSynthesize"):
            # Its act gets an iterator of requests.
            make = grpc.stream_stream_rpc_method_handler

        def behave(request: Message, context: grpc.ServicerContext) -> object:
            metadata = dict(context.invocation_metadata())
            self._server.received.append(Received(path=method.path, request=request, metadata=metadata))
            context.add_callback(lambda: self._note_end(context))
            return self._server.next_act(method.path)(request, context)

        return make(behave, method.request.FromString, method.response.SerializeToString)

    def _note_end(self, context: grpc.ServicerContext) -> None:
        code = context.code()  # type: ignore[attr-defined]  # public, but missing in grpc-stubs
        if code is not grpc.StatusCode.OK:
            self._server.cancelled.set()


def reply(message: Message) -> Act:
    """Answers with one message."""

    def act(request: Message, context: grpc.ServicerContext) -> object:
        return message

    return act


def fail(
    code: grpc.StatusCode,
    text: str,
    *details: Message,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
    retry_after_s: float | None = None,
    trailing: tuple[tuple[str, str | bytes], ...] = (),
) -> Act:
    """Fails with a status, and with google.rpc details where a reason is given."""
    packed = status_pb2.Status(code=getattr(code_pb2, code.name), message=text)
    if reason is not None:
        packed.details.add().Pack(
            error_details_pb2.ErrorInfo(reason=reason, domain="trivium.v1", metadata=metadata or {})
        )
    if retry_after_s is not None:
        delay = Duration(seconds=int(retry_after_s), nanos=int(retry_after_s % 1 * 1e9))
        packed.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        packed.details.add().Pack(detail)

    def act(request: Message, context: grpc.ServicerContext) -> object:
        extra = (("grpc-status-details-bin", packed.SerializeToString()),) if packed.details else ()
        context.set_trailing_metadata((*extra, *trailing))
        context.abort(code, text)

    return act


def events(*texts: str, finish: bool = True, completed: bool = True) -> list[generation_pb2.StreamGenerateResponse]:
    """The messages of a stream with these deltas."""
    response = generation_pb2.StreamGenerateResponse
    made = [response(started=generation_pb2.GenerationStarted(response_id="r1", input_tokens=7))]
    made += [response(delta=generation_pb2.ContentDelta(text=text, token_count=1)) for text in texts]
    if finish:
        finished = generation_pb2.CandidateFinished(finish_reason=generation_pb2.FINISH_REASON_STOP)
        made.append(response(candidate_finished=finished))
    if completed:
        usage = common_pb2.Usage(tokens=common_pb2.TokenUsage(input_tokens=7, output_tokens=len(texts)))
        made.append(response(completed=generation_pb2.GenerationCompleted(info=common_pb2.CallInfo(usage=usage))))
    for sequence, message in enumerate(made):
        message.sequence = sequence
    return made


def stream(messages: Sequence[Message], then: Act | None = None) -> Act:
    """Sends the messages, then acts."""

    def act(request: Message, context: grpc.ServicerContext) -> Iterator[object]:
        yield from messages
        if then is not None:
            then(request, context)

    return act


def hang(limit_s: float = 120) -> Act:
    """Says nothing until the call is over; the limit is longer than any test waits for that."""

    def act(request: Message, context: grpc.ServicerContext) -> object:
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(limit_s)
        context.abort(grpc.StatusCode.CANCELLED, "the test is over")

    return act
