"""EmbeddingService: requests in, vectors and scores out; the model does the rest."""

import contextlib
import itertools
from collections.abc import AsyncIterator

import numpy as np

from trivium.v1 import common_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.text_capabilities import (
    Embedded,
    EmbeddingOptions,
    Outcome,
    Reranker,
    Scored,
    TextEmbedder,
    VectorKind,
)
from trivium_server.errors import InputTooLarge, StreamProtocolViolation, TriviumError
from trivium_server.rpc.embed_results import MAX_VECTOR_BYTES, EmbedCall, write_result
from trivium_server.rpc.embed_stream import EmbedStream
from trivium_server.rpc.embedding_convert import EmbedSpec, RerankSpec, compare_options, embed_spec, rerank_spec
from trivium_server.rpc.status import rpc_status
from trivium_server.rpc.text_call import text_call
from trivium_server.rpc.text_items import checked_items, under_field
from trivium_server.rpc.vectors import num_bytes, vector_bytes
from trivium_server.rpc.violations import MAX_ITEMS, Violations

# grpc's servicer context: the boundary alone talks to it.
Context = object
# Sparse vectors and those of tokens have no size that is known before: so many texts run before it is looked at.
_TEXTS_AT_ONCE = 32


class EmbeddingService(EmbeddingServiceServicer):
    """See proto/trivium/v1/embedding.proto."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        def check(model: TextEmbedder | None, found: Violations) -> EmbedSpec:
            num_items = len(request.items)
            found.count("embed.items", num_items, "items", at_least=1)
            spec = embed_spec(request.config, model.embedding_info if model else None, found, "config")
            if model and spec.options.kind is VectorKind.DENSE:
                dimensions = spec.options.dimensions or model.embedding_info.dimensions
                _check_size(num_items * vector_bytes(dimensions, spec.encoding))
            return spec

        path = "config.model" if request.HasField("config") else "config"
        # A Protocol is what the catalog asks of a model; mypy wants concrete classes for type[T].
        with text_call(self._catalog, TextEmbedder, request.config.model, path, check) as call:  # type: ignore[type-abstract]
            response = pb.EmbedResponse()
            size = 0
            async for item, outcome in _embedded(call, request):
                result = response.results.add(item_id=item.item_id, index=len(response.results))
                if isinstance(outcome, Embedded):
                    size += num_bytes(outcome.vectors, call.spec.encoding)
                    _check_size(size)
                write_result(result, outcome, call)
                await call.pacer.pause()
            response.info.CopyFrom(call.info("config.truncation"))
            return response

    async def StreamEmbed(
        self, requests: AsyncIterator[pb.StreamEmbedRequest], context: Context
    ) -> AsyncIterator[pb.StreamEmbedResponse]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "setup":
            raise StreamProtocolViolation("setup", "is missing; the first message must be one")
        config = first.setup.config

        def check(model: TextEmbedder | None, found: Violations) -> EmbedSpec:
            return embed_spec(config, model.embedding_info if model else None, found, "setup.config")

        path = "setup.config.model" if first.setup.HasField("config") else "setup.config"
        with text_call(self._catalog, TextEmbedder, config.model, path, check) as call:  # type: ignore[type-abstract]
            number = itertools.count()
            yield pb.StreamEmbedResponse(sequence=next(number), started=pb.StreamEmbedStarted(model=call.served))
            stream = EmbedStream(call, requests)
            async with contextlib.aclosing(stream.results()) as groups:
                async for results in groups:
                    event = pb.StreamEmbedResponse(sequence=next(number))
                    event.results.results.extend(results)
                    yield event
            completed = pb.StreamEmbedCompleted(
                info=call.info("setup.config.truncation"),
                succeeded_count=stream.num_succeeded,
                failed_count=stream.num_failed,
            )
            yield pb.StreamEmbedResponse(sequence=next(number), completed=completed)

    async def Rerank(self, request: pb.RerankRequest, context: Context) -> pb.RerankResponse:
        def check(model: Reranker | None, found: Violations) -> RerankSpec:
            return rerank_spec(request, model.rerank_scales if model else (), found)

        with text_call(self._catalog, Reranker, request.model, "model", check) as call:  # type: ignore[type-abstract]
            spec = call.spec
            named = ((document.document_id, document.text) for document in request.documents)
            checked = await checked_items(named, "text", "document_id", call.pacer)
            outcomes = await call.model.rerank(
                request.query,
                checked.texts,
                scale=spec.scale,
                truncation=spec.truncation,
                deadline_s=call.call.deadline_s,
                meter=call.meter,
            )
            ranked: list[tuple[int, Scored]] = []
            response = pb.RerankResponse(score_scale=common_pb2.ScoreScale.Value(f"SCORE_SCALE_{spec.scale.value}"))
            for index, outcome in enumerate(checked.joined(outcomes)):
                if isinstance(outcome, Scored):
                    ranked.append((index, outcome))
                    call.num_truncated += outcome.truncated
                else:
                    failed = response.failed_documents.add(
                        index=index, document_id=request.documents[index].document_id
                    )
                    failed.error.CopyFrom(rpc_status(outcome, call.call.request_id))
                await call.pacer.pause()
            ranked.sort(key=lambda one: -one[1].scores[0])  # stable: those of equal score stay in their order
            for index, scored in ranked[: spec.top_n]:
                response.results.add(
                    index=index,
                    document_id=request.documents[index].document_id,
                    score=scored.scores[0],
                    input_tokens=scored.input_tokens,
                    truncated=scored.truncated,
                )
            response.info.CopyFrom(call.info("truncation"))
            return response

    async def CompareTexts(self, request: pb.CompareTextsRequest, context: Context) -> pb.CompareTextsResponse:
        def check(model: TextEmbedder | None, found: Violations) -> EmbeddingOptions:
            return compare_options(request, model.embedding_info if model else None, found)

        with text_call(self._catalog, TextEmbedder, request.model, "model", check) as call:  # type: ignore[type-abstract]
            checked = await checked_items((("", target) for target in request.targets), "target", "", call.pacer)
            deadline_s = call.call.deadline_s
            # By itself and first: where it fails, nothing else is worth computing.
            (source,) = await call.model.embed([request.source], call.spec, deadline_s=deadline_s, meter=call.meter)
            if isinstance(source, TriviumError):
                raise under_field(source, "source")
            outcomes = await call.model.embed(checked.texts, call.spec, deadline_s=deadline_s, meter=call.meter)
            call.num_truncated += source.truncated
            response = pb.CompareTextsResponse(source_truncated=source.truncated)
            for index, outcome in enumerate(checked.joined(outcomes)):
                comparison = response.comparisons.add(index=index)
                if isinstance(outcome, Embedded):
                    comparison.similarity = _cosine(source, outcome)
                    comparison.input_tokens = outcome.input_tokens
                    comparison.truncated = outcome.truncated
                    call.num_truncated += outcome.truncated
                else:
                    comparison.error.CopyFrom(rpc_status(under_field(outcome, "target"), call.call.request_id))
                await call.pacer.pause()
            response.info.CopyFrom(call.info("truncation"))
            return response


async def _embedded(call: EmbedCall, request: pb.EmbedRequest) -> AsyncIterator[tuple[pb.EmbedItem, Outcome[Embedded]]]:
    options = call.spec.options
    step = MAX_ITEMS["embed.items"] if options.kind is VectorKind.DENSE else _TEXTS_AT_ONCE
    for start in range(0, len(request.items), step):
        items = request.items[start : start + step]
        checked = await checked_items(((item.item_id, item.text) for item in items), "text", "item_id", call.pacer)
        outcomes = await call.model.embed(checked.texts, options, deadline_s=call.call.deadline_s, meter=call.meter)
        for one in zip(items, checked.joined(outcomes), strict=True):
            yield one


def _check_size(num_vector_bytes: int) -> None:
    if num_vector_bytes > MAX_VECTOR_BYTES:
        raise InputTooLarge("items", num_vector_bytes, MAX_VECTOR_BYTES, "bytes of vectors")


def _cosine(first: Embedded, second: Embedded) -> float:
    """Returns the cosine of two vectors of length 1, or 0 where one is of length 0."""
    assert isinstance(first.vectors, np.ndarray)
    assert isinstance(second.vectors, np.ndarray)
    return float(np.clip(first.vectors @ second.vectors, -1, 1))
