"""Calling TextGenerationService in tests."""

from collections.abc import Callable

import grpc
import pytest

from tests.serving import Failure
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

Stub = TextGenerationServiceStub


def generate(stub: Stub, source: pb.GenerationInput) -> pb.GenerateResponse:
    return stub.Generate(pb.GenerateRequest(input=source), timeout=60)


def stream(stub: Stub, source: pb.GenerationInput, **options: object) -> list[pb.StreamGenerateResponse]:
    request = pb.StreamGenerateRequest(input=source, stream=pb.StreamOptions(**options))  # type: ignore[arg-type]  # by name
    return list(stub.StreamGenerate(request, timeout=60))


def refused(call: Callable[[], object]) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return Failure(caught.value)


def text_of(candidate: pb.Candidate) -> str:
    return "".join(part.text for part in candidate.message.parts)
