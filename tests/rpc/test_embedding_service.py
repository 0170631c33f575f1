"""EmbeddingService over a real channel: order, streams, flow control, usage. The models are toys of toy_encoders."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any  # metadata values are text or bytes, by their keys

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2

from tests.rpc.embedding import EMBEDDER, TOO_LONG, embed, items_of, reason_of, unit
from tests.rpc.generating import refused
from tests.rpc.toy_encoders import MAX_TOKENS, ToyServer, vector_of
from trivium.v1 import common_pb2, models_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub as Stub
from trivium.v1.models_pb2_grpc import ModelServiceStub


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


class TestEmbed:
    """One request, one response."""

    def test_vectors_come_in_the_order_of_the_items(self, stub: Stub) -> None:
        texts = [f"text number {place}" for place in range(2048)]
        answer = embed(stub, *texts)
        assert [result.index for result in answer.results] == list(range(2048))
        assert [result.item_id for result in answer.results] == [f"id-{place}" for place in range(2048)]
        for place in (0, 1, 1000, 2047):
            assert np.allclose(answer.results[place].embedding.dense.values, unit(texts[place]), atol=1e-7)

    def test_config_is_honoured(self, stub: Stub) -> None:
        def first(**config: object) -> list[float]:
            return list(embed(stub, "some text", **config).results[0].embedding.dense.values)

        assert np.allclose(first(dimensions=4), unit("some text", 4), atol=1e-7)
        assert np.array_equal(first(normalize=False), vector_of("some text"))
        assert np.allclose(first(purpose=pb.EMBED_PURPOSE_QUERY), unit("ask: some text"), atol=1e-7)
        assert np.allclose(first(purpose=pb.EMBED_PURPOSE_CLUSTERING), unit("some text"), atol=1e-7)
        assert np.allclose(first(prompt_name="query"), unit("ask: some text"), atol=1e-7)
        assert np.allclose(first(prompt_name="passage"), unit("some text"), atol=1e-7)

    def test_every_kind_has_its_message(self, stub: Stub) -> None:
        sparse = embed(stub, "one two", kind=pb.EMBEDDING_KIND_SPARSE).results[0].embedding.sparse
        assert len(sparse.indices) == len(sparse.values) == 2
        assert list(sparse.indices) == sorted(sparse.indices)
        per_token = embed(stub, "one two", kind=pb.EMBEDDING_KIND_PER_TOKEN).results[0]
        assert len(per_token.embedding.per_token.vectors) == per_token.input_tokens == 2
        assert np.allclose(per_token.embedding.per_token.vectors[1].dense.values, unit("two"), atol=1e-7)
        packed = embed(stub, "one two", encoding=pb.VECTOR_ENCODING_INT8_BYTES).results[0].embedding.packed
        assert (len(packed.data), packed.dimensions, packed.encoding) == (8, 8, pb.VECTOR_ENCODING_INT8_BYTES)

    def test_one_bad_item_fails_alone(self, stub: Stub) -> None:
        request = pb.EmbedRequest(
            config=pb.EmbedConfig(model=EMBEDDER, encoding=pb.VECTOR_ENCODING_FLOAT16_BYTES, normalize=False),
            items=[*items_of("good", "", TOO_LONG, "loud", "x" * (1024 * 1024 + 1), "good"), pb.EmbedItem()],
        )
        request.items[5].item_id = "é" * 129
        request.items.add(item_id="x" * 257)
        call = partial(stub.Embed, request, metadata=(("x-request-id", "r-9"),))
        results = call().results
        assert [result.WhichOneof("outcome") for result in results] == ["embedding"] + ["error"] * 7
        assert [reason_of(result.error) for result in results[1:]] == [
            ("INVALID_ARGUMENT_FIELD", {"text": "is empty"}),
            ("INPUT_TOO_LONG", {"text": f"is {MAX_TOKENS + 1} tokens; the model allows {MAX_TOKENS}"}),
            (
                "UNSUPPORTED_FEATURE",
                {"encoding": "the vector has a component beyond 65504, the most of VECTOR_ENCODING_FLOAT16_BYTES"},
            ),
            ("INPUT_TOO_LARGE", {"text": "has 1048577 bytes; the limit is 1048576"}),
            ("INPUT_TOO_LARGE", {"item_id": "has 258 bytes; the limit is 256"}),
            ("INVALID_ARGUMENT_FIELD", {"text": "is empty"}),
            ("INVALID_ARGUMENT_FIELD", {"item_id": "has 257 bytes; the limit is 256", "text": "is empty"}),
        ]
        assert all(result.input_tokens == 0 for result in results[1:])
        request_info = error_details_pb2.RequestInfo()
        results[1].error.details[2].Unpack(request_info)
        assert request_info.request_id == "r-9"

    def test_limits_of_an_item_are_inclusive(self, stub: Stub) -> None:
        request = pb.EmbedRequest(config=pb.EmbedConfig(model=EMBEDDER))
        request.items.add(item_id="é" * 128, text="x" * (1024 * 1024))
        request.items.add(text="é" * (512 * 1024))
        assert all(result.HasField("embedding") for result in stub.Embed(request).results)

    def test_all_items_may_fail(self, stub: Stub) -> None:
        answer = embed(stub, "", "")
        assert [result.HasField("error") for result in answer.results] == [True, True]
        assert answer.info.usage.tokens.input_tokens == 0

    @pytest.mark.parametrize(
        ("policy", "kept"),
        [
            (common_pb2.TRUNCATION_POLICY_KEEP_START, [f"w{n}" for n in range(16)]),
            (common_pb2.TRUNCATION_POLICY_KEEP_END, [f"w{n}" for n in range(4, 20)]),
        ],
    )
    def test_cut_texts_are_told(
        self, stub: Stub, policy: common_pb2.TruncationPolicy.ValueType, kept: list[str]
    ) -> None:
        long = " ".join(f"w{n}" for n in range(20))
        answer = embed(stub, "short", long, truncation=policy, kind=pb.EMBEDDING_KIND_PER_TOKEN)
        assert [result.truncated for result in answer.results] == [False, True]
        vectors = [vector.dense.values for vector in answer.results[1].embedding.per_token.vectors]
        assert np.allclose(vectors, [unit(word) for word in kept], atol=1e-7)
        (warning,) = answer.info.warnings
        assert warning.code == common_pb2.WARNING_CODE_INPUT_TRUNCATED
        assert warning.field_path == "config.truncation"
        assert not embed(stub, "short", truncation=policy).info.warnings

    def test_call_info_counts_right(self, stub: Stub) -> None:
        request = pb.EmbedRequest(config=pb.EmbedConfig(model=EMBEDDER), items=items_of("one two", "", "three"))
        answer, call = stub.Embed.with_call(request, metadata=(("x-request-id", "r-1"),))
        info = answer.info
        assert info.request_id == "r-1"
        assert (info.model.name, info.model.execution_provider) == (EMBEDDER, "ToyExecutionProvider")
        assert info.usage.tokens.input_tokens == sum(result.input_tokens for result in answer.results) == 3
        assert info.usage.input_characters == len("one twothree")
        assert info.usage.compute_duration.ToMilliseconds() == 2
        assert info.timing.total_duration.ToNanoseconds() > 0
        trailing: dict[str, Any] = dict(call.trailing_metadata())
        assert common_pb2.Usage.FromString(trailing["trivium-usage-bin"]) == info.usage

    def test_16_mib_of_vectors_and_no_more(self, stub: Stub) -> None:
        texts = [str(place) for place in range(1025)]
        assert len(embed(stub, *texts[:1024], model="toy-wide").results) == 1024
        failure = refused(lambda: embed(stub, *texts, model="toy-wide"))
        assert failure.reason == "INPUT_TOO_LARGE"
        assert failure.fields == {"items": "has 16793600 bytes of vectors; the limit is 16777216"}
        small = embed(stub, *texts, model="toy-wide", encoding=pb.VECTOR_ENCODING_FLOAT16_BYTES)
        assert len(small.results) == 1025
        words = " ".join(map(str, range(16)))
        for kind, count in ((pb.EMBEDDING_KIND_PER_TOKEN, 64), (pb.EMBEDDING_KIND_DENSE, 1024)):
            assert len(embed(stub, *[words] * count, model="toy-wide", kind=kind).results) == count
        failure = refused(lambda: embed(stub, *[words] * 65, model="toy-wide", kind=pb.EMBEDDING_KIND_PER_TOKEN))
        assert failure.metadata["actual"] == str(65 * 16 * 4096 * 4)

    def test_deadline_tells_usage(self, tmp_path: Path) -> None:
        request = pb.EmbedRequest(config=pb.EmbedConfig(model=EMBEDDER), items=items_of("a"))
        # The server's own limit: the caller's clock, which gives no reason, cannot be the first to end the call.
        with ToyServer(tmp_path, max_deadline_s=2.0) as toys:
            toys.set_gate(EMBEDDER, is_open=False)
            failure = refused(lambda: Stub(toys.channel).Embed(request, timeout=60))
            assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
            assert common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"]).input_characters == 1
            assert toys.models[EMBEDDER].num_under_way == 0

    def test_event_loop_goes_on_while_a_large_response_is_made(self, stub: Stub, toys: ToyServer) -> None:
        waits = []
        done = threading.Event()

        def probe() -> None:
            while not done.is_set():
                begun = time.perf_counter()
                toys.thread.run(_nothing())
                waits.append(time.perf_counter() - begun)

        prober = threading.Thread(target=probe)
        prober.start()
        for encoding in (pb.VECTOR_ENCODING_FLOAT_LIST, pb.VECTOR_ENCODING_INT8_BYTES):
            assert len(embed(stub, *map(str, range(2048)), encoding=encoding).results) == 2048
        assert len(embed(stub, *[""] * 2048).results) == 2048
        done.set()
        prober.join()
        assert len(waits) > 10, "the loop was held all the time"


async def _nothing() -> None:
    pass


class TestRerank:
    """Documents by their scores."""

    @staticmethod
    def request(*documents: str, **fields: object) -> pb.RerankRequest:
        request = pb.RerankRequest(model="toy-reranker", query="red green blue")
        request.MergeFrom(pb.RerankRequest(**fields))  # type: ignore[arg-type]  # by name
        for place, text in enumerate(documents):
            request.documents.add(document_id=f"d{place}", text=text)
        return request

    def test_best_first_and_equals_in_their_order(self, stub: Stub) -> None:
        answer = stub.Rerank(self.request("red", "none", "blue red", "green", "nothing"))
        assert [one.index for one in answer.results] == [2, 0, 3, 1, 4]
        assert [one.document_id for one in answer.results] == ["d2", "d0", "d3", "d1", "d4"]
        assert [one.score for one in answer.results] == pytest.approx([2 / 3, 0.5, 0.5, 0, 0])
        assert answer.score_scale == common_pb2.SCORE_SCALE_PROBABILITY
        assert answer.info.usage.tokens.input_tokens == sum(one.input_tokens for one in answer.results)

    def test_scale_is_chosen_or_refused(self, stub: Stub) -> None:
        answer = stub.Rerank(self.request("red green", score_scale=common_pb2.SCORE_SCALE_LOGIT))
        assert (answer.results[0].score, answer.score_scale) == (2.0, common_pb2.SCORE_SCALE_LOGIT)
        failure = refused(lambda: stub.Rerank(self.request("red", score_scale=common_pb2.SCORE_SCALE_COSINE)))
        assert failure.reason == "UNSUPPORTED_FEATURE"
        assert failure.fields == {"score_scale": "the model gives SCORE_SCALE_PROBABILITY, SCORE_SCALE_LOGIT"}

    def test_top_n_cuts_the_best_and_never_the_failed(self, stub: Stub) -> None:
        for top_n, expected in ((1, [2]), (2, [2, 0]), (4, [2, 0, 1]), (2**31 - 1, [2, 0, 1])):
            answer = stub.Rerank(self.request("red", "none", "blue red", "", TOO_LONG, top_n=top_n))
            assert [one.index for one in answer.results] == expected
            assert [(one.index, one.document_id) for one in answer.failed_documents] == [(3, "d3"), (4, "d4")]
            assert reason_of(answer.failed_documents[0].error) == ("INVALID_ARGUMENT_FIELD", {"text": "is empty"})
            assert reason_of(answer.failed_documents[1].error)[0] == "INPUT_TOO_LONG"

    def test_long_ids_fail_alone(self, stub: Stub) -> None:
        request = self.request("red", "red")
        request.documents[0].document_id = "x" * 257
        (failed,) = stub.Rerank(request).failed_documents
        assert reason_of(failed.error)[1] == {"document_id": "has 257 bytes; the limit is 256"}

    def test_query_that_leaves_no_room_fails_the_call(self, stub: Stub) -> None:
        failure = refused(lambda: stub.Rerank(self.request("red", query="w " * MAX_TOKENS)))
        assert (failure.reason, failure.metadata["field"]) == ("INPUT_TOO_LONG", "query")

    def test_cut_documents_are_told(self, stub: Stub) -> None:
        answer = stub.Rerank(self.request(TOO_LONG, truncation=common_pb2.TRUNCATION_POLICY_KEEP_START))
        assert answer.results[0].truncated
        assert [warning.field_path for warning in answer.info.warnings] == ["truncation"]


class TestCompareTexts:
    """Cosines."""

    def test_cosines_of_the_vectors(self, stub: Stub) -> None:
        targets = ["other words", "some words", "", TOO_LONG, "silent"]
        answer = stub.CompareTexts(pb.CompareTextsRequest(model=EMBEDDER, source="some words", targets=targets))
        assert [one.index for one in answer.comparisons] == [0, 1, 2, 3, 4]
        expected = float(unit("some words") @ unit("other words"))
        assert answer.comparisons[0].similarity == pytest.approx(expected, abs=1e-6)
        assert answer.comparisons[1].similarity == pytest.approx(1, abs=1e-6)
        assert answer.comparisons[4].similarity == 0
        assert all(-1 <= one.similarity <= 1 for one in answer.comparisons)
        assert reason_of(answer.comparisons[2].error) == ("INVALID_ARGUMENT_FIELD", {"target": "is empty"})
        reason, fields = reason_of(answer.comparisons[3].error)
        assert (reason, list(fields)) == ("INPUT_TOO_LONG", ["target"])
        assert answer.info.usage.tokens.input_tokens == 7, "the source counts too"

    def test_long_source_fails_the_call_unless_it_is_cut(self, stub: Stub) -> None:
        request = pb.CompareTextsRequest(model=EMBEDDER, source=TOO_LONG, targets=["a"])
        failure = refused(lambda: stub.CompareTexts(request))
        assert (failure.reason, list(failure.fields)) == ("INPUT_TOO_LONG", ["source"])
        used = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
        assert used.tokens.input_tokens == 0, "no target is read where the source fails"
        request.truncation = common_pb2.TRUNCATION_POLICY_KEEP_START
        answer = stub.CompareTexts(request)
        assert answer.source_truncated
        assert answer.info.warnings[0].field_path == "truncation"


def test_models_tell_what_they_can_do(toys: ToyServer) -> None:
    models = {
        model.name: model for model in ModelServiceStub(toys.channel).ListModels(models_pb2.ListModelsRequest()).models
    }
    embedder = models[EMBEDDER]
    assert models_pb2.CAPABILITY_EMBED_TEXT in embedder.capabilities
    assert embedder.limits.max_input_tokens == MAX_TOKENS
    assert (embedder.embedding.dimensions, list(embedder.embedding.supported_dimensions)) == (8, [8, 4])
    assert list(embedder.embedding.kinds) == [1, 2, 3]
    assert [(prompt.name, prompt.text, prompt.is_default) for prompt in embedder.embedding.prompts] == [
        ("query", "ask: ", False),
        ("passage", "", True),
    ]
    assert list(embedder.embedding.prompts[0].purposes) == [pb.EMBED_PURPOSE_QUERY]
    assert list(models["toy-classifier"].labels) == ["good", "bad", "ugly"]
    assert not models["toy-classifier"].similarity_capabilities
    assert list(models["toy-zero-shot"].similarity_capabilities) == [models_pb2.CAPABILITY_CLASSIFY_TEXT]
    assert list(models["toy-tagger"].labels) == ["NAME", "SHOUT"]
    assert list(models["toy-detector"].language_codes) == ["de", "en", "zxx"]
