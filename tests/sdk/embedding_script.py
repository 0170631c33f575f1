"""What the scripted server answers to embedding calls: vectors that a test can compute, and cuts."""

import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
from google.rpc import code_pb2, error_details_pb2, status_pb2
from numpy.typing import NDArray

from tests.sdk.scripted import Act, fail
from trivium.v1 import common_pb2, embedding_pb2

LOST = fail(grpc.StatusCode.UNAVAILABLE, "connection reset")


def vector_of(text: str) -> NDArray[np.float32]:
    """Four components that differ from text to text."""
    mixed = zlib.crc32(text.encode())
    return np.array([len(text), mixed % 997, mixed % 991, 1], np.float32)


def served(digest: str = "sha256:1") -> common_pb2.ServedModel:
    return common_pb2.ServedModel(name="m", digest=digest)


def info() -> common_pb2.CallInfo:
    return common_pb2.CallInfo(model=served())


def refused_item(text: str = "text is empty") -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=text)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="INVALID_ARGUMENT_FIELD", domain="trivium.v1", metadata={"field": "text"})
    )
    return status


def result(index: int, item: embedding_pb2.EmbedItem) -> embedding_pb2.EmbedResult:
    """The result of one item, an error for an empty text."""
    made = embedding_pb2.EmbedResult(item_id=item.item_id, index=index)
    if not item.text:
        made.error.CopyFrom(refused_item())
        return made
    packed = made.embedding.packed
    packed.data = vector_of(item.text).tobytes()
    packed.encoding, packed.dimensions = embedding_pb2.VECTOR_ENCODING_FLOAT32_BYTES, 4
    made.input_tokens = len(item.text.split())
    return made


def embed(request: embedding_pb2.EmbedRequest, context: grpc.ServicerContext) -> embedding_pb2.EmbedResponse:
    """An act for Embed."""
    results = [result(index, item) for index, item in enumerate(request.items)]
    return embedding_pb2.EmbedResponse(results=results, info=info())


def embed_stream(
    *,
    cut_after: int | None = None,
    cut: Act = LOST,
    digest: str = "sha256:1",
    group: int = 50,
    seen: list[str] | None = None,
) -> Act:
    """An act for StreamEmbed. cut_after: acts as `cut` says in place of the result after this many.

    group: results in one message. seen: gets the texts that arrived.
    """

    def act(requests: Any, context: grpc.ServicerContext) -> Iterator[embedding_pb2.StreamEmbedResponse]:
        assert next(requests).HasField("setup")
        sequence, index = 0, 0
        yield embedding_pb2.StreamEmbedResponse(started=embedding_pb2.StreamEmbedStarted(model=served(digest)))
        for items in requests:
            pending = []
            for item in items.items.items:
                if seen is not None:
                    seen.append(item.text)
                pending.append(result(index, item))
                index += 1
                is_cut = index == cut_after
                if len(pending) == group or is_cut or len(pending) == len(items.items.items):
                    sequence += 1
                    yield _results(sequence, pending)
                    pending = []
                if is_cut:
                    cut(items, context)
                    return
            if pending:
                sequence += 1
                yield _results(sequence, pending)
        completed = embedding_pb2.StreamEmbedCompleted(info=info(), succeeded_count=index)
        yield embedding_pb2.StreamEmbedResponse(sequence=sequence + 1, completed=completed)

    return act


def _results(sequence: int, results: list[embedding_pb2.EmbedResult]) -> embedding_pb2.StreamEmbedResponse:
    return embedding_pb2.StreamEmbedResponse(sequence=sequence, results=embedding_pb2.EmbedResults(results=results))
