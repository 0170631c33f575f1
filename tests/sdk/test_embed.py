"""Embedding, ranking and comparing: what is sent, what comes back, and what is refused before it is sent."""

import struct
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

import trivium
from tests.sdk.embedding_script import embed, embed_stream, info, refused_item, vector_of
from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, reply
from trivium import EmbeddingKind, RerankDocument, ScoreScale, VectorEncoding, _calls, errors
from trivium.v1 import common_pb2, embedding_pb2, models_pb2

Connect = Callable[..., Face]
Vector = embedding_pb2.Embedding


@pytest.fixture
def face(connect: Connect, faults: ScriptedServer) -> Face:
    faults.script(_calls.EMBED, embed)
    faults.script(_calls.STREAM_EMBED, embed_stream())
    return connect(faults.target)


def test_list_gives_a_matrix_and_text_a_vector(face: Face) -> None:
    matrix = face.call("embed", ["one", "two words"])
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, np.stack([vector_of("one"), vector_of("two words")]))
    assert np.array_equal(face.call("embed", "one"), vector_of("one"))
    assert face.call("embed", ("one",)).shape == (1, 4)
    assert face.call("embed", np.array(["one", "two"])).shape == (2, 4)


@pytest.mark.parametrize(("count", "method"), [(256, "Embed"), (257, "StreamEmbed"), (5000, "StreamEmbed")])
def test_many_texts_take_a_stream(face: Face, faults: ScriptedServer, count: int, method: str) -> None:
    texts = [f"text {number}" for number in range(count)]
    matrix = face.call("embed", texts)
    assert np.array_equal(matrix, np.stack([vector_of(text) for text in texts]))
    assert [call.path.rpartition("/")[2] for call in faults.received] == [method]
    assert face.call("embed_items", texts).info.model.name == "m"


def test_large_texts_take_a_stream(face: Face, faults: ScriptedServer) -> None:
    assert face.call("embed", ["x" * 900_000] * 40).shape == (40, 4)
    assert [call.path.rpartition("/")[2] for call in faults.received] == ["StreamEmbed"]


@pytest.mark.parametrize("count", [3, 300])
def test_failed_texts_raise_with_the_vectors_of_the_others(face: Face, count: int) -> None:
    texts = [f"text {number}" for number in range(count)]
    texts[1] = ""
    with pytest.raises(errors.ItemsFailed, match="item 1: text is empty") as caught:
        face.call("embed", texts)
    error = caught.value
    assert list(error.failures) == [1]
    assert isinstance(error.failures[1], errors.InvalidArgumentField)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
    assert error.vectors is not None
    assert np.isnan(error.vectors[1]).all()
    assert np.array_equal(error.vectors[[0, 2]], np.stack([vector_of("text 0"), vector_of("text 2")]))


def test_all_failed(face: Face) -> None:
    with pytest.raises(errors.ItemsFailed, match="2 items failed") as caught:
        face.call("embed", ["", ""])
    assert caught.value.vectors is None


def test_items_carry_ids_and_errors(face: Face) -> None:
    response = face.call("embed_items", [("a", "one"), ("b", ""), "three"])
    assert [result.item_id for result in response.results] == ["a", "b", ""]
    assert [result.index for result in response.failed] == [1]
    assert response.input_tokens == 2
    assert response.info.model.digest == "sha256:1"
    with pytest.raises(errors.ItemsFailed):
        response.raise_for_failed()


def test_options_reach_the_server(face: Face, faults: ScriptedServer) -> None:
    face.call(
        "embed",
        "one",
        model="other",
        purpose="query",
        dimensions=2,
        normalize=False,
        truncation="keep_start",
        encoding="int8",
        request_id="mine",
    )
    config = faults.received[0].request.config
    assert config == embedding_pb2.EmbedConfig(
        model="other",
        purpose=embedding_pb2.EMBED_PURPOSE_QUERY,
        dimensions=2,
        normalize=False,
        kind=embedding_pb2.EMBEDDING_KIND_DENSE,
        truncation=common_pb2.TRUNCATION_POLICY_KEEP_START,
        encoding=embedding_pb2.VECTOR_ENCODING_INT8_BYTES,
    )
    assert faults.received[0].metadata["x-request-id"] == "mine"
    face.call("embed_items", "one", kind="sparse")
    assert faults.received[1].request.config.encoding == embedding_pb2.VECTOR_ENCODING_UNSPECIFIED


def packed(data: bytes, encoding: str, dimensions: int, scale: float | None = None) -> embedding_pb2.PackedVector:
    value = embedding_pb2.VectorEncoding.Value(f"VECTOR_ENCODING_{encoding}")
    return embedding_pb2.PackedVector(data=data, encoding=value, dimensions=dimensions, scale=scale)


DECODED = [
    (Vector(dense=embedding_pb2.FloatVector(values=[1.5, -2, 0])), [1.5, -2, 0]),
    (Vector(packed=packed(struct.pack("<3f", 1.5, -2, 0.1), "FLOAT32_BYTES", 3)), [1.5, -2, np.float32(0.1)]),
    (Vector(packed=packed(struct.pack("<2e", 1.5, -2), "FLOAT16_BYTES", 2)), [1.5, -2]),
    (Vector(packed=packed(struct.pack("3b", 127, -127, 3), "INT8_BYTES", 3, 0.5)), [63.5, -63.5, 1.5]),
    (Vector(packed=packed(bytes([0b10100000, 0b10000000]), "BINARY_BYTES", 9)), [1, -1, 1, -1, -1, -1, -1, -1, 1]),
]


def answer(embedding: Vector) -> embedding_pb2.EmbedResponse:
    return embedding_pb2.EmbedResponse(results=[embedding_pb2.EmbedResult(embedding=embedding)], info=info())


@pytest.mark.parametrize(("sent", "wanted"), DECODED, ids=lambda value: str(value)[:20])
def test_every_encoding_is_decoded(face: Face, faults: ScriptedServer, sent: Vector, wanted: list[float]) -> None:
    faults.script(_calls.EMBED, reply(answer(sent)))
    vector = face.call("embed", "one")
    assert vector.dtype == np.float32
    assert vector.tolist() == wanted
    (result,) = face.call("embed_items", "one").results
    assert not result.vector.flags.writeable
    if sent.HasField("packed"):
        assert result.packed[0].data == sent.packed.data
        assert isinstance(result.packed[0].encoding, VectorEncoding)


def test_sparse_and_token_vectors(face: Face, faults: ScriptedServer) -> None:
    sparse = Vector(sparse=embedding_pb2.SparseVector(indices=[3, 9], values=[0.5, 2]))
    faults.script(_calls.EMBED, reply(answer(sparse)))
    (result,) = face.call("embed_items", "one", kind=EmbeddingKind.SPARSE).results
    assert result.vector is None
    assert (result.sparse.indices.tolist(), result.sparse.values.tolist()) == ([3, 9], [0.5, 2])
    with pytest.raises(errors.DataLossError, match="no dense vector"):
        face.call("embed", "one")
    rows = [embedding_pb2.TokenVector(dense=embedding_pb2.FloatVector(values=row)) for row in ([1, 2], [3, 4], [5, 6])]
    faults.script(_calls.EMBED, reply(answer(Vector(per_token=embedding_pb2.TokenVectors(vectors=rows)))))
    (result,) = face.call("embed_items", "one").results
    assert result.vector.tolist() == [[1, 2], [3, 4], [5, 6]]


DAMAGED = [
    answer(Vector()),
    answer(Vector(packed=packed(b"123", "FLOAT32_BYTES", 1))),
    answer(Vector(packed=packed(b"12", "BINARY_BYTES", 8))),
    answer(Vector(packed=embedding_pb2.PackedVector(data=b"1", dimensions=1))),
    answer(Vector(sparse=embedding_pb2.SparseVector(indices=[1], values=[]))),
    embedding_pb2.EmbedResponse(results=[embedding_pb2.EmbedResult()]),
    embedding_pb2.EmbedResponse(),
]


@pytest.mark.parametrize("response", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_answer_is_no_vector(face: Face, faults: ScriptedServer, response: Any) -> None:
    faults.script(_calls.EMBED, reply(response))
    with pytest.raises(errors.DataLossError):
        face.call("embed_items", "one")


WRONG: list[tuple[object, dict[str, object], str]] = [
    ([], {}, "texts is empty"),
    (None, {}, "texts is None"),
    (5, {}, "texts is int"),
    (b"bytes", {}, "texts is bytes"),
    ({"a": 1}, {}, "texts is dict"),
    ({"a"}, {}, "texts is set"),
    ((text for text in "ab"), {}, "embed_stream takes any iterable"),
    (["one", None], {}, r"texts\[1\] is None"),
    (["one", float("nan")], {}, r"texts\[1\] is NaN"),
    (["one", ["two"]], {}, r"texts\[1\] is list"),
    (["\udcff"], {}, "surrogate"),
    ("one", {"purpose": "sales"}, "not one of query, document"),
    ("one", {"encoding": 8}, "encoding is int"),
    ("one", {"dimensions": 0}, "at least 1"),
    ("one", {"dimensions": 2.0}, "whole number"),
    ("one", {"dimensions": True}, "whole number"),
    ("one", {"normalize": 1}, "not True or False"),
    ("one", {"truncation": "yes"}, "keep_start"),
    ("one", {"prompt": "query"}, "unknown option 'prompt'"),
]


@pytest.mark.parametrize(("texts", "options", "says"), WRONG, ids=[says for _, _, says in WRONG])
def test_wrong_arguments_are_named(
    face: Face, faults: ScriptedServer, texts: object, options: dict[str, object], says: str
) -> None:
    for method in ("embed", "embed_items"):
        with pytest.raises((TypeError, ValueError), match=says):
            face.call(method, texts, **options)
    assert faults.received == []


def test_only_ready_model_of_the_capability_is_meant(connect: Connect, faults: ScriptedServer) -> None:
    ready = models_pb2.Model(name="e", state=models_pb2.MODEL_STATE_READY)
    faults.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse(models=[ready])))
    faults.script(_calls.EMBED, embed)
    faults.script(_calls.STREAM_EMBED, embed_stream())
    face = connect(faults.target, default_model=None)
    face.call("embed", "one")
    face.events("embed_stream", ["one"])
    listed, embedded, _ = faults.received
    assert listed.request.capability == models_pb2.CAPABILITY_EMBED_TEXT
    assert embedded.request.config.model == "e"
    faults.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse()))
    with pytest.raises(errors.ModelNotChosen, match="no model that ranks documents"):
        face.call("rerank", "query", ["one"])


RANKED = embedding_pb2.RerankResponse(
    results=[
        embedding_pb2.RankedDocument(index=2, document_id="c", score=0.9, input_tokens=4),
        embedding_pb2.RankedDocument(index=0, score=0.1, input_tokens=3),
    ],
    failed_documents=[embedding_pb2.FailedDocument(index=1, document_id="b", error=refused_item())],
    score_scale=common_pb2.SCORE_SCALE_PROBABILITY,
    info=info(),
)


def test_rerank(face: Face, faults: ScriptedServer) -> None:
    faults.script(_calls.RERANK, reply(RANKED))
    documents = ["one", ("b", ""), RerankDocument(text="three", document_id="c")]
    response = face.call("rerank", "query", documents, top_n=5, score_scale="probability", truncation="keep_end")
    assert [(ranked.text, ranked.document_id) for ranked in response.results] == [("three", "c"), ("one", "")]
    assert response.score_scale is ScoreScale.PROBABILITY
    assert isinstance(response.failed[0].error, errors.InvalidArgumentField)
    with pytest.raises(errors.ItemsFailed):
        response.raise_for_failed()
    request = faults.received[0].request
    assert [(document.document_id, document.text) for document in request.documents] == [
        ("", "one"),
        ("b", ""),
        ("c", "three"),
    ]
    assert (request.query, request.top_n, request.model) == ("query", 5, "m")
    assert request.score_scale == common_pb2.SCORE_SCALE_PROBABILITY
    assert request.truncation == common_pb2.TRUNCATION_POLICY_KEEP_END


def test_compare(face: Face, faults: ScriptedServer) -> None:
    comparison = embedding_pb2.TextComparison
    good = [comparison(index=0, similarity=1), comparison(index=1, similarity=-0.5)]
    faults.script(_calls.COMPARE_TEXTS, reply(embedding_pb2.CompareTextsResponse(comparisons=good, info=info())))
    similarities = face.call("compare", "source", ["one", "two"])
    assert similarities.dtype == np.float32
    assert similarities.tolist() == [1, -0.5]
    broken = [good[0], comparison(index=1, error=refused_item())]
    faults.script(_calls.COMPARE_TEXTS, reply(embedding_pb2.CompareTextsResponse(comparisons=broken, info=info())))
    with pytest.raises(errors.ItemsFailed) as caught:
        face.call("compare", "source", ["one", ""])
    assert caught.value.vectors is not None
    assert np.array_equal(caught.value.vectors, [1, np.nan], equal_nan=True)
    assert [result.index for result in face.call("compare_items", "source", ["one", ""]).failed] == [1]
    with pytest.raises(TypeError, match="source is None"):
        face.call("compare", None, ["one"])


def test_model_tells_what_its_vectors_are_like(connect: Connect, faults: ScriptedServer) -> None:
    raw = models_pb2.Model(
        name="e",
        capabilities=[models_pb2.CAPABILITY_EMBED_TEXT, models_pb2.CAPABILITY_RERANK],
        similarity_capabilities=[models_pb2.CAPABILITY_RERANK],
        labels=["a"],
        embedding=models_pb2.EmbeddingInfo(
            dimensions=8,
            supported_dimensions=[8, 4],
            kinds=[embedding_pb2.EMBEDDING_KIND_DENSE, 99],  # type: ignore[list-item]  # one that a newer server knows
            prompts=[
                models_pb2.EmbeddingPrompt(name="q", text="query: ", purposes=[embedding_pb2.EMBED_PURPOSE_QUERY])
            ],
        ),
    )
    faults.script(_calls.GET_MODEL, reply(models_pb2.GetModelResponse(model=raw)))
    model = connect(faults.target).call("models.get", "e")
    assert model.capabilities == (trivium.Capability.EMBED_TEXT, trivium.Capability.RERANK)
    assert model.similarity_capabilities == (trivium.Capability.RERANK,)
    assert model.embedding.kinds == (EmbeddingKind.DENSE,)
    assert model.embedding.supported_dimensions == (8, 4)
    assert model.embedding.prompts[0].purposes == (trivium.EmbedPurpose.QUERY,)
    assert model.labels == ("a",)
