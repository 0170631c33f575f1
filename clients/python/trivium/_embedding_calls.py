"""The calls of EmbeddingService: requests from what callers give, results from what the server answers. Pure."""

import math
from collections.abc import AsyncIterable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

from google.protobuf.message import Message
from google.rpc import status_pb2

from trivium._calls import COMPARE_TEXTS, EMBED, RERANK, UnaryCall
from trivium._error_base import DataLossError, TriviumError
from trivium._status import read_item_error
from trivium._text_input import Item, checked_choice, checked_items, checked_text
from trivium.call_info import parse_call_info
from trivium.embeddings import (
    CompareTextsResponse,
    EmbeddingKind,
    EmbedOptions,
    EmbedPurpose,
    EmbedResponse,
    EmbedResult,
    FailedDocument,
    RankedDocument,
    RerankDocument,
    RerankResponse,
    ScoreScale,
    TextComparison,
    TruncationPolicy,
    VectorEncoding,
    parse_scale,
)
from trivium.v1 import common_pb2, embedding_pb2

EmbedCall: TypeAlias = UnaryCall[embedding_pb2.EmbedRequest, embedding_pb2.EmbedResponse, EmbedResponse]
RerankCall: TypeAlias = UnaryCall[embedding_pb2.RerankRequest, embedding_pb2.RerankResponse, RerankResponse]
CompareCall: TypeAlias = UnaryCall[
    embedding_pb2.CompareTextsRequest, embedding_pb2.CompareTextsResponse, CompareTextsResponse
]
Document: TypeAlias = str | tuple[str, str] | RerankDocument
"""A text, (id, text), or a RerankDocument."""

_MAX_UNARY_ITEMS = 256
_MAX_UNARY_BYTES = 1024 * 1024
"""What goes into one Embed call: small enough that the vectors of any model fit into its response, and that no text is
larger than the contract allows. More goes through a stream."""

_MAX_INT32 = 2**31 - 1


def embed_config(options: EmbedOptions, kind: EmbeddingKind | str) -> embedding_pb2.EmbedConfig:
    """Builds the settings of a call. Raises TypeError or ValueError for what cannot be sent."""
    given: dict[str, object] = dict(options)
    if unknown := sorted(given.keys() - EmbedOptions.__annotations__.keys()):
        known = ", ".join(EmbedOptions.__annotations__)
        raise TypeError(f"unknown option {unknown[0]!r}; there are {known}, kind, and those of every call")
    config = embedding_pb2.EmbedConfig(truncation=truncation_policy(given.get("truncation")))
    config.kind = embedding_pb2.EmbeddingKind.Value(f"EMBEDDING_KIND_{checked_choice(EmbeddingKind, kind, 'kind')}")
    if given.get("purpose") is not None:
        purpose = checked_choice(EmbedPurpose, given["purpose"], "purpose")
        config.purpose = embedding_pb2.EmbedPurpose.Value(f"EMBED_PURPOSE_{purpose}")
    if given.get("dimensions") is not None:
        config.dimensions = checked_count(given["dimensions"], "dimensions")
    if given.get("normalize") is not None:
        config.normalize = checked_bool(given["normalize"], "normalize")
    if given.get("prompt_name") is not None:
        config.prompt_name = checked_text(given["prompt_name"], "prompt_name")
    if given.get("encoding") is not None:
        encoding = checked_choice(VectorEncoding, given["encoding"], "encoding", suffix="_BYTES")
        config.encoding = embedding_pb2.VectorEncoding.Value(f"VECTOR_ENCODING_{encoding}")
    elif config.kind != embedding_pb2.EMBEDDING_KIND_SPARSE:  # which has only the list, the server's default
        config.encoding = embedding_pb2.VECTOR_ENCODING_FLOAT32_BYTES
    return config


def truncation_policy(given: object) -> common_pb2.TruncationPolicy.ValueType:
    """Returns the value of a name; None leaves it to the server."""
    if given is None:
        return common_pb2.TRUNCATION_POLICY_UNSPECIFIED
    policy = checked_choice(TruncationPolicy, given, "truncation")
    return common_pb2.TruncationPolicy.Value(f"TRUNCATION_POLICY_{policy}")


def checked_count(given: object, name: str) -> int:
    """Returns a whole number of at least 1 that 32 bits hold. TypeError or ValueError for anything else."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name} is {given!r}, not a whole number")
    if not 1 <= given <= _MAX_INT32:
        raise ValueError(f"{name} is {given}; it must be at least 1")
    return given


def checked_bool(given: object, name: str) -> bool:
    """Returns True or False. TypeError for anything else."""
    if not isinstance(given, bool):
        raise TypeError(f"{name} is {given!r}, not True or False")
    return given


def checked_number(given: object, name: str) -> float:
    """Returns a finite number. TypeError or ValueError for anything else."""
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise TypeError(f"{name} is {given!r}, not a number")
    if not math.isfinite(given):
        raise ValueError(f"{name} is {given}; it must be finite")
    return float(given)


def embed_item(item: Item) -> embedding_pb2.EmbedItem:
    """Builds the message of one item."""
    return embedding_pb2.EmbedItem(item_id=item.item_id, text=item.text)


def fits_one_call(items: Sequence[Item], config: embedding_pb2.EmbedConfig) -> bool:
    """Tells whether Embed takes these; else they go through a stream."""
    return (
        len(items) <= _MAX_UNARY_ITEMS
        and config.kind != embedding_pb2.EMBEDDING_KIND_PER_TOKEN  # a vector for each token has no useful bound
        and sum(3 * len(item.text) for item in items) <= _MAX_UNARY_BYTES
    )


def embed(items: Sequence[Item], config: embedding_pb2.EmbedConfig, request_id: str) -> EmbedCall:
    """Embed."""
    request = embedding_pb2.EmbedRequest(config=config, items=[embed_item(item) for item in items])
    return UnaryCall(EMBED, request, partial(_parse_embed, count=len(items), request_id=request_id))


def _parse_embed(raw: embedding_pb2.EmbedResponse, count: int, request_id: str) -> EmbedResponse:
    check_places([result.index for result in raw.results], count)
    results = tuple(parse_embed_result(result, result.index, request_id) for result in raw.results)
    return EmbedResponse(results=results, info=parse_call_info(raw.info))


def check_places(indices: Sequence[int], count: int) -> None:
    """Raises DataLossError where the results are not one for each item, in their order."""
    if list(indices) != list(range(count)):
        raise DataLossError(f"the server answered {len(indices)} items of {count}, or not in their order")


def parse_embed_result(raw: embedding_pb2.EmbedResult, index: int, request_id: str) -> EmbedResult:
    """Wraps the message. DataLossError where it holds neither a vector nor an error, or a damaged vector."""
    from trivium import _vectors

    error = item_error(raw, "embedding", request_id)
    vector, packed = (None, ()) if error else _vectors.decode(raw.embedding)
    is_sparse = error is None and raw.embedding.HasField("sparse")
    sparse = _vectors.decode_sparse(raw.embedding.sparse) if is_sparse else None
    if error is None and vector is None and sparse is None:
        raise DataLossError(f"the vector of item {index} is of a kind that this version cannot read")
    return EmbedResult(
        index=index,
        item_id=raw.item_id,
        vector=vector,
        sparse=sparse,
        packed=packed,
        error=error,
        input_tokens=raw.input_tokens,
        truncated=raw.truncated,
        raw=raw,
    )


def item_error(raw: Message, outcome: str, request_id: str) -> TriviumError | None:
    """Returns why an item failed, None where it has the outcome of that name. DataLossError where it has neither."""
    found = raw.WhichOneof("outcome")
    if found == outcome:
        return None
    if found != "error":
        raise DataLossError("an item of the response has neither a result nor an error")
    status: status_pb2.Status = getattr(raw, "error")  # noqa: B009  # every message with an outcome has it
    return read_item_error(status, request_id)


def rerank(
    query: str,
    documents: Iterable[Document],
    *,
    top_n: int | None,
    score_scale: ScoreScale | str | None,
    truncation: TruncationPolicy | str | None,
    request_id: str,
) -> RerankCall:
    """Rerank, without the model. Raises TypeError or ValueError for what cannot be sent."""
    items = checked_items(_as_pairs(documents), "documents")
    request = embedding_pb2.RerankRequest(
        query=checked_text(query, "query"),
        documents=[embedding_pb2.RerankDocument(document_id=item.item_id, text=item.text) for item in items],
        truncation=truncation_policy(truncation),
    )
    if top_n is not None:
        request.top_n = checked_count(top_n, "top_n")
    if score_scale is not None:
        scale = checked_choice(ScoreScale, score_scale, "score_scale")
        request.score_scale = common_pb2.ScoreScale.Value(f"SCORE_SCALE_{scale}")
    return UnaryCall(RERANK, request, partial(_parse_rerank, items=items, request_id=request_id))


def _as_pairs(documents: object) -> object:
    if isinstance(documents, list | tuple):
        return [(given.document_id, given.text) if isinstance(given, RerankDocument) else given for given in documents]
    return documents


def _parse_rerank(raw: embedding_pb2.RerankResponse, items: Sequence[Item], request_id: str) -> RerankResponse:
    if not all(0 <= result.index < len(items) for result in raw.results):
        raise DataLossError("the server ranked a document that it was not given")
    ranked = tuple(
        RankedDocument(
            index=result.index,
            document_id=result.document_id,
            text=items[result.index].text,
            score=result.score,
            input_tokens=result.input_tokens,
            truncated=result.truncated,
            raw=result,
        )
        for result in raw.results
    )
    failed = tuple(
        FailedDocument(
            index=failure.index,
            document_id=failure.document_id,
            error=read_item_error(failure.error, request_id),
            raw=failure,
        )
        for failure in raw.failed_documents
    )
    info, scale = parse_call_info(raw.info), parse_scale(raw.score_scale)
    return RerankResponse(results=ranked, failed=failed, score_scale=scale, info=info, raw=raw)


def compare(
    source: str, targets: Iterable[str] | str, truncation: TruncationPolicy | str | None, request_id: str
) -> CompareCall:
    """CompareTexts, without the model. Raises TypeError or ValueError for what cannot be sent."""
    items = checked_items(targets, "targets")
    request = embedding_pb2.CompareTextsRequest(
        source=checked_text(source, "source"),
        targets=[item.text for item in items],
        truncation=truncation_policy(truncation),
    )
    return UnaryCall(COMPARE_TEXTS, request, partial(_parse_compare, count=len(items), request_id=request_id))


def _parse_compare(raw: embedding_pb2.CompareTextsResponse, count: int, request_id: str) -> CompareTextsResponse:
    check_places([comparison.index for comparison in raw.comparisons], count)
    results = tuple(
        TextComparison(
            index=comparison.index,
            similarity=comparison.similarity if comparison.HasField("similarity") else None,
            error=item_error(comparison, "similarity", request_id),
            input_tokens=comparison.input_tokens,
            truncated=comparison.truncated,
            raw=comparison,
        )
        for comparison in raw.comparisons
    )
    info = parse_call_info(raw.info)
    return CompareTextsResponse(results=results, source_truncated=raw.source_truncated, info=info, raw=raw)


def check_source(texts: object) -> None:
    """Raises TypeError for what is no iterable of texts."""
    if isinstance(texts, str | bytes):
        raise TypeError("texts is one text, and a stream takes an iterable of them; embed takes one")
    if not isinstance(texts, Iterable | AsyncIterable):
        raise TypeError(f"texts is {type(texts).__name__}, not an iterable of texts")
