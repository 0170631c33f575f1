"""A call on its way through the boundary: its messages are parsed, serialized and measured here."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from trivium_server.errors import StreamIdle
from trivium_server.rpc.call import Call
from trivium_server.rpc.methods import Method
from trivium_server.rpc.wire import parse
from trivium_server.rpc.write_lag import WriteLag
from trivium_server.telemetry import CallRecord

# grpc's own types are generic over messages that only the generated code knows.
Handler = Any
Context = Any

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(slots=True)
class Passage:
    """One call, with grpc's context of it and what has gone through so far.

    ids: the metadata that names the call, sent with the first message of a stream, or with the status.
    """

    context: Context
    method: Method
    call: Call
    client: str
    ids: Metadata
    max_write_lag_s: float
    has_begun: bool = False
    request_bytes: int = 0
    response_bytes: int = 0
    responses: int = 0
    lag: WriteLag = field(init=False)

    def __post_init__(self) -> None:
        self.lag = WriteLag(self._send, self.max_write_lag_s)

    async def begin(self) -> None:
        """Sends the initial metadata of a stream. To be called once, right before its first message."""
        self.has_begun = True
        await self.context.send_initial_metadata(self.ids)

    def parse(self, handler: Handler, raw: bytes) -> Message:
        """Returns a request. Raises InvalidArgument that names the field whose bytes are wrong."""
        self.request_bytes += len(raw)
        message: Message = parse(handler.request_deserializer, raw, self.method.request_type)
        return message

    async def parse_all(
        self, handler: Handler, raws: AsyncIterator[bytes], *, first_within_s: float
    ) -> AsyncGenerator[Message]:
        """Yields the requests of a stream. Raises StreamIdle where not even the first one comes in that time."""
        source: Any = aiter(raws)  # a generator of grpc.aio
        # Left open, it would keep the last request, in a cycle, until it is collected.
        async with contextlib.aclosing(source):
            try:
                async with asyncio.timeout(first_within_s):
                    first = await anext(source, None)
            except TimeoutError:
                raise StreamIdle(first_within_s, "send the setup when the stream begins") from None
            if first is None:
                return
            yield self.parse(handler, first)
            async for raw in source:
                yield self.parse(handler, raw)

    def answer(self, message: Message) -> bytes:
        """Returns a response as it goes on the wire."""
        raw = message.SerializeToString()
        self.response_bytes += len(raw)
        self.responses += 1
        return raw

    async def write(self, message: Message) -> None:
        """Sends a response of a stream."""
        await self.lag.write(self.answer(message))

    async def send_all(self, behaviour: Handler, request: object) -> None:
        """Sends what a streaming handler makes, and closes it whatever happens.

        Raises StreamStalled where the reader does not take it.
        """
        async with self.lag.limited():
            await self._send_all(behaviour, request)

    async def _send_all(self, behaviour: Handler, request: object) -> None:
        if not inspect.isasyncgenfunction(behaviour):
            # A servicer that writes itself, such as grpcio-health-checking's Watch.
            await behaviour(request, _WritingContext(self))
            return
        async with contextlib.aclosing(behaviour(request, self.context)) as responses:
            write, answer = self.lag.write, self.answer
            async for response in responses:
                await write(answer(response))

    async def _send(self, raw: bytes) -> None:
        if not self.has_begun:
            await self.begin()
        await self.context.write(raw)

    def record(self, status: str, reason: str) -> CallRecord:
        """Returns how the call went."""
        usage = self.call.usage() if self.call.usage else None
        return CallRecord(
            method=self.method.name,
            status=status,
            reason=reason,
            duration_s=self.call.elapsed_s(),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            responses=self.responses,
            input_tokens=usage.tokens.input_tokens if usage else 0,
            output_tokens=usage.tokens.output_tokens if usage else 0,
            num_images=usage.images.image_count if usage else 0,
            num_pixels=usage.images.pixel_count if usage else 0,
            input_audio_s=usage.audio.input_duration.ToNanoseconds() / 1e9 if usage else 0.0,
            output_audio_s=usage.audio.output_duration.ToNanoseconds() / 1e9 if usage else 0.0,
        )

    def access_fields(self, record: CallRecord) -> dict[str, object]:
        """Returns the fields of the access log line: no content, and no metadata but the client's name."""
        return {
            "method": record.method,
            "status": record.status,
            "reason": record.reason,
            "request_id": self.call.request_id,
            "response_id": self.call.response_id,
            "model": self.call.model,
            "duration_ms": round(1000 * record.duration_s, 3),
            "request_bytes": record.request_bytes,
            "response_bytes": record.response_bytes,
            "responses": record.responses,
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "num_images": record.num_images,
            "num_pixels": record.num_pixels,
            "input_audio_ms": round(1000 * record.input_audio_s),
            "output_audio_ms": round(1000 * record.output_audio_s),
            "peer": self.context.peer(),
            "client": self.client,
        }


class _WritingContext:
    """Stands in for the servicer context of a handler that writes messages itself."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    async def write(self, message: Message) -> None:
        await self._passage.write(message)

    def __getattr__(self, name: str) -> object:
        return getattr(self._passage.context, name)
