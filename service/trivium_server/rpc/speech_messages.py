"""Messages of callers on streams of speech, and what is wrong with those that come out of turn."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from trivium.v1 import speech_pb2 as pb
from trivium_server.errors import FieldViolation, InvalidArgument, StreamIdle, StreamProtocolViolation, TriviumError

_RequestT = TypeVar("_RequestT", pb.StreamRecognizeRequest, pb.StreamSynthesizeRequest)


async def first_request(requests: AsyncIterator[_RequestT]) -> _RequestT:
    """Returns the first message, which has the setup. Raises StreamProtocolViolation for another one, or none."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("request") != "setup":
        raise StreamProtocolViolation("setup", "is missing; the first message must be one")
    return first


async def timely_requests(requests: AsyncIterator[_RequestT], max_idle_s: float) -> AsyncGenerator[_RequestT]:
    """Yields the messages. Raises StreamIdle where none comes for so long, while one is waited for."""
    while True:
        try:
            async with asyncio.timeout(max_idle_s):
                request = await anext(requests, None)
        except TimeoutError:
            raise StreamIdle(max_idle_s, "send keep_alive while there is nothing to send") from None
        if request is None:
            return
        yield request


def out_of_turn(kind: str | None, choices: str) -> TriviumError:
    """Returns the error for a later message that is a setup, or nothing. choices: what it may be."""
    if kind == "setup":
        return StreamProtocolViolation("setup", "came again; only the first message may be a setup")
    return InvalidArgument(FieldViolation("request", f"is required: one of {choices}"))


def file_piece(request: pb.StreamRecognizeRequest) -> bytes:
    """Returns what a message adds to a file. Raises StreamProtocolViolation or InvalidArgument."""
    kind = request.WhichOneof("request")
    if kind == "audio":
        return request.audio
    if kind == "keep_alive":
        return b""
    if kind == "finalize":
        raise InvalidArgument(FieldViolation("finalize", "is not for a file, which is transcribed once it is whole"))
    raise out_of_turn(kind, "audio, keep_alive")
