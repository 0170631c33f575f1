"""EmbeddingService and wrong requests: the field, what is wrong with it, and the limit; all of it at once."""

from collections.abc import Iterator

import grpc
import pytest

from tests.rpc.embedding import EMBEDDER, items_of, messages
from tests.rpc.generating import refused
from tests.rpc.toy_encoders import ToyServer
from tests.serving import Failure
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub as Stub


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


SPARSE = pb.EMBEDDING_KIND_SPARSE
EMBEDDERS = "toy-embedder, toy-huge, toy-sparse, toy-wide"
NO_MODEL = f"is required; {EMBEDDERS} can embed texts"
CONFIGS = [
    ({"model": ""}, "INVALID_ARGUMENT_FIELD", {"model": NO_MODEL}),
    (
        {"model": "toy-reranker"},
        "UNSUPPORTED_FEATURE",
        {"model": f"model 'toy-reranker' cannot embed texts; {EMBEDDERS} can"},
    ),
    ({"purpose": 6}, "INVALID_ARGUMENT_FIELD", {"purpose": "6 is no known EmbedPurpose"}),
    ({"purpose": -1}, "INVALID_ARGUMENT_FIELD", {"purpose": "-1 is no known EmbedPurpose"}),
    ({"dimensions": 0}, "INVALID_ARGUMENT_FIELD", {"dimensions": "is 0; it must be 1 to 8"}),
    ({"dimensions": -1}, "INVALID_ARGUMENT_FIELD", {"dimensions": "is -1; it must be 1 to 8"}),
    ({"dimensions": 9}, "INVALID_ARGUMENT_FIELD", {"dimensions": "is 9; it must be 1 to 8"}),
    ({"dimensions": 7}, "UNSUPPORTED_FEATURE", {"dimensions": "is 7; the model was trained for 8, 4"}),
    ({"kind": 4}, "INVALID_ARGUMENT_FIELD", {"kind": "4 is no known EmbeddingKind"}),
    (
        {"kind": pb.EMBEDDING_KIND_DENSE, "model": "toy-sparse"},
        "UNSUPPORTED_FEATURE",
        {"kind": "the model gives EMBEDDING_KIND_SPARSE"},
    ),
    ({"encoding": 6}, "INVALID_ARGUMENT_FIELD", {"encoding": "6 is no known VectorEncoding"}),
    (
        {"kind": SPARSE, "encoding": pb.VECTOR_ENCODING_INT8_BYTES, "dimensions": 4, "normalize": True},
        "INVALID_ARGUMENT_FIELD",
        {
            "dimensions": "does not go with EMBEDDING_KIND_SPARSE",
            "normalize": "does not go with EMBEDDING_KIND_SPARSE",
            "encoding": "EMBEDDING_KIND_SPARSE has VECTOR_ENCODING_FLOAT_LIST only",
        },
    ),
    (
        {"model": "toy-sparse", "dimensions": 4},
        "INVALID_ARGUMENT_FIELD",
        {"dimensions": "does not go with EMBEDDING_KIND_SPARSE"},
    ),
    ({"truncation": 4}, "INVALID_ARGUMENT_FIELD", {"truncation": "4 is no known TruncationPolicy"}),
    (
        {"prompt_name": "other"},
        "INVALID_ARGUMENT_FIELD",
        {"prompt_name": "is no prompt of the model; it has query, passage"},
    ),
    (
        {"prompt_name": "query", "purpose": pb.EMBED_PURPOSE_QUERY},
        "INVALID_ARGUMENT_FIELD",
        {"prompt_name": "and purpose exclude one another"},
    ),
    (
        {"model": "", "kind": 9, "dimensions": 0, "truncation": 9},
        "INVALID_ARGUMENT_FIELD",
        {
            "model": NO_MODEL,
            "kind": "9 is no known EmbeddingKind",
            "dimensions": "is 0; it must be at least 1",
            "truncation": "9 is no known TruncationPolicy",
        },
    ),
]


@pytest.mark.parametrize(("config", "reason", "fields"), CONFIGS)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_config(
    stub: Stub, config: dict[str, object], reason: str, fields: dict[str, str], *, is_streamed: bool
) -> None:
    whole = pb.EmbedConfig(**({"model": EMBEDDER} | config))  # type: ignore[arg-type]  # by name
    if is_streamed:
        setup = pb.StreamEmbedRequest(setup=pb.StreamEmbedSetup(config=whole))
        failure = refused(lambda: list(stub.StreamEmbed(iter([setup]), timeout=10)))
    else:
        failure = refused(lambda: stub.Embed(pb.EmbedRequest(config=whole, items=items_of("a")), timeout=10))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    prefix = "setup.config." if is_streamed else "config."
    assert failure.fields == {prefix + name: problem for name, problem in fields.items()}


def test_missing_config_is_told_with_all_else(stub: Stub) -> None:
    assert refused(lambda: stub.Embed(pb.EmbedRequest())).fields == {
        "config": NO_MODEL,
        "items": "is empty; it must have 1 to 2048",
    }
    empty = pb.StreamEmbedRequest(setup=pb.StreamEmbedSetup())
    assert refused(lambda: list(stub.StreamEmbed(iter([empty])))).fields == {"setup.config": NO_MODEL}


def test_unknown_model_is_not_found(stub: Stub) -> None:
    failure = refused(lambda: stub.Embed(pb.EmbedRequest(config=pb.EmbedConfig(model="toy-embeder"))))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert EMBEDDER in failure.metadata["near_matches"].split(",")


def test_counts(stub: Stub) -> None:
    config = pb.EmbedConfig(model=EMBEDDER)
    many = pb.EmbedRequest(config=config, items=items_of(*["a"] * 2049))
    assert refused(lambda: stub.Embed(many)).fields == {"items": "has 2049 items; the limit is 2048"}
    targets = pb.CompareTextsRequest(model=EMBEDDER, source="a", targets=["a"] * 2048)
    assert len(stub.CompareTexts(targets).comparisons) == 2048
    targets.targets.append("a")
    assert refused(lambda: stub.CompareTexts(targets)).fields == {"targets": "has 2049 items; the limit is 2048"}
    documents = pb.RerankRequest(model="toy-reranker", query="a", documents=[pb.RerankDocument(text="a")] * 1000)
    assert len(stub.Rerank(documents).results) == 1000
    documents.documents.add(text="a")
    assert refused(lambda: stub.Rerank(documents)).fields == {"documents": "has 1001 items; the limit is 1000"}


def test_rerank(stub: Stub) -> None:
    empty = pb.RerankRequest(top_n=0, score_scale=4, truncation=4)  # type: ignore[arg-type]  # no such values
    assert refused(lambda: stub.Rerank(empty)).fields == {
        "model": "is required; toy-reranker can rank documents",
        "query": "is empty",
        "documents": "is empty; it must have 1 to 1000",
        "top_n": "is 0; it must be 1 to 2147483647",
        "score_scale": "4 is no known ScoreScale",
        "truncation": "4 is no known TruncationPolicy",
    }
    unknown = pb.RerankRequest(model="toy-reranker", query="x" * (1024 * 1024 + 1), score_scale=4)  # type: ignore[arg-type]
    unknown.documents.add(text="a")
    assert refused(lambda: stub.Rerank(unknown)).fields == {
        "query": "has 1048577 bytes; the limit is 1048576",
        "score_scale": "4 is no known ScoreScale",
    }
    unable = pb.RerankRequest(model=EMBEDDER, query="a", documents=[pb.RerankDocument(text="a")])
    assert refused(lambda: stub.Rerank(unable)).fields == {
        "model": "model 'toy-embedder' cannot rank documents; toy-reranker can"
    }


def test_compare_texts(stub: Stub) -> None:
    assert refused(lambda: stub.CompareTexts(pb.CompareTextsRequest(truncation=4))).fields == {  # type: ignore[arg-type]
        "model": NO_MODEL,
        "source": "is empty",
        "targets": "is empty; it must have 1 to 2048",
        "truncation": "4 is no known TruncationPolicy",
    }
    sparse = pb.CompareTextsRequest(model="toy-sparse", source="a", targets=["b"])
    failure = refused(lambda: stub.CompareTexts(sparse))
    assert (failure.reason, list(failure.fields)) == ("UNSUPPORTED_FEATURE", ["model"])


SETUP, ITEMS = messages([["a"]])
NOTHING = pb.StreamEmbedRequest()


@pytest.mark.parametrize(
    ("sent", "reason", "fields"),
    [
        ([], "STREAM_PROTOCOL_VIOLATION", {"setup": "is missing; the first message must be one"}),
        ([ITEMS], "STREAM_PROTOCOL_VIOLATION", {"setup": "is missing; the first message must be one"}),
        ([ITEMS, SETUP], "STREAM_PROTOCOL_VIOLATION", {"setup": "is missing; the first message must be one"}),
        ([NOTHING], "STREAM_PROTOCOL_VIOLATION", {"setup": "is missing; the first message must be one"}),
        ([SETUP, SETUP], "STREAM_PROTOCOL_VIOLATION", {"setup": "came again; only the first message may be a setup"}),
        (
            [SETUP, ITEMS, SETUP],
            "STREAM_PROTOCOL_VIOLATION",
            {"setup": "came again; only the first message may be a setup"},
        ),
        ([SETUP, NOTHING], "INVALID_ARGUMENT_FIELD", {"request": "is required: one of setup, items"}),
        (
            [SETUP, pb.StreamEmbedRequest(items=pb.EmbedItems())],
            "INVALID_ARGUMENT_FIELD",
            {"items.items": "is empty; it must have 1 to 2048"},
        ),
        (
            [SETUP, pb.StreamEmbedRequest(items=pb.EmbedItems(items=items_of(*["a"] * 2049)))],
            "INPUT_TOO_LARGE",
            {"items.items": "has 2049 items; the limit is 2048"},
        ),
    ],
)
def test_messages_out_of_turn(
    stub: Stub, toys: ToyServer, sent: list[pb.StreamEmbedRequest], reason: str, fields: dict[str, str]
) -> None:
    failure = refused(lambda: list(stub.StreamEmbed(iter(sent), timeout=10)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert failure.fields == fields
    assert toys.models[EMBEDDER].num_under_way == 0


def test_stream_that_never_half_closes_is_refused_at_once(stub: Stub) -> None:
    def endless() -> Iterator[pb.StreamEmbedRequest]:
        yield ITEMS
        while call.is_active():
            yield ITEMS

    call = stub.StreamEmbed(endless(), timeout=10)
    with pytest.raises(grpc.RpcError) as caught:
        next(iter(call))
    assert Failure(caught.value).reason == "STREAM_PROTOCOL_VIOLATION"
