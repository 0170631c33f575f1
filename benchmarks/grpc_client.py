"""Calls over gRPC with the generated stubs: the least that a client can do in Python."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import Enum
from typing import Protocol, TypeVar, cast

import grpc

from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub


class Sampling(Enum):
    """SAMPLED: temperature 0.2 and top-p 0.9. SEEDED: the same, repeatable."""

    SAMPLED = "sampled"
    GREEDY = "greedy"
    SEEDED = "seeded"


class StreamCall(Protocol):
    """What the generated stub returns on an asyncio channel; its own type stands for the blocking one."""

    def __aiter__(self) -> AsyncIterator[pb.StreamGenerateResponse]: ...

    def cancel(self) -> bool: ...


def request(model: str, ids: Sequence[int], num_tokens: int, sampling: Sampling) -> pb.StreamGenerateRequest:
    """A request for exactly num_tokens tokens after the prompt `ids`."""
    parameters = pb.SamplingParameters(min_output_tokens=num_tokens, max_output_tokens=num_tokens)
    parameters.repetition_penalty = 1.0  # the others have none
    if sampling is Sampling.GREEDY:
        parameters.temperature = 0.0
    else:
        parameters.temperature, parameters.top_p = 0.2, 0.9
    if sampling is Sampling.SEEDED:
        parameters.seed = 7
    tokens = pb.TokenSequence(ids=ids)
    return pb.StreamGenerateRequest(input=pb.GenerationInput(model=model, tokens=tokens, sampling=parameters))


def start(stub: TextGenerationServiceStub, message: pb.StreamGenerateRequest) -> StreamCall:
    """Sends the request on an asyncio channel."""
    # grpc-stubs types a stub by its own blocking channel.
    return cast("StreamCall", stub.StreamGenerate(message))


_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


def unary(method: Callable[[_Request], _Response]) -> Callable[[_Request], Awaitable[_Response]]:
    """The type that a unary method of a stub has on an asyncio channel."""
    # grpc-stubs types a stub by its own blocking channel.
    return cast("Callable[[_Request], Awaitable[_Response]]", method)


def open_channel(address: str) -> grpc.aio.Channel:
    """An asyncio channel of its own connection."""
    return grpc.aio.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),))
