"""What tests of embeddings share: requests to the toys of toy_encoders, and what their answers say."""

from collections.abc import Iterable, Iterator

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from numpy.typing import NDArray

from tests.rpc.toy_encoders import DIMENSIONS, MAX_TOKENS, vector_of
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub as Stub

EMBEDDER = "toy-embedder"
TOO_LONG = "word " * (MAX_TOKENS + 1)


def items_of(*texts: str) -> list[pb.EmbedItem]:
    return [pb.EmbedItem(item_id=f"id-{place}", text=text) for place, text in enumerate(texts)]


def embed(stub: Stub, *texts: str, **config: object) -> pb.EmbedResponse:
    request = pb.EmbedRequest(config=pb.EmbedConfig(model=EMBEDDER), items=items_of(*texts))
    request.config.MergeFrom(pb.EmbedConfig(**config))  # type: ignore[arg-type]  # by name
    return stub.Embed(request, timeout=60)


def messages(groups: Iterable[Iterable[str]], **config: object) -> Iterator[pb.StreamEmbedRequest]:
    setup = pb.StreamEmbedSetup(config=pb.EmbedConfig(model=EMBEDDER))
    setup.config.MergeFrom(pb.EmbedConfig(**config))  # type: ignore[arg-type]  # by name
    yield pb.StreamEmbedRequest(setup=setup)
    place = 0
    for texts in groups:
        message = pb.StreamEmbedRequest()
        for text in texts:
            message.items.items.add(item_id=f"id-{place}", text=text)
            place += 1
        yield message


def results_of(events: Iterable[pb.StreamEmbedResponse]) -> list[pb.EmbedResult]:
    return [result for event in events for result in event.results.results]


def unit(text: str, size: int = DIMENSIONS) -> NDArray[np.float32]:
    vector = vector_of(text)[:size]
    return vector / np.linalg.norm(vector)


def reason_of(status: status_pb2.Status) -> tuple[str, dict[str, str]]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status.details[0].Unpack(info)
    status.details[1].Unpack(bad)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert info.domain == "trivium.v1"
    return info.reason, {violation.field: violation.description for violation in bad.field_violations}
