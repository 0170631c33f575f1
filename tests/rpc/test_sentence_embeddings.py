"""EmbeddingService and similarity with the real all-MiniLM-L6-v2, on the whole server."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.serving import RunningServer
from trivium.v1 import analysis_pb2, common_pb2, models_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.analysis_pb2_grpc import TextAnalysisServiceStub
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub as Stub
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium_models.store import Store

MINILM = "all-minilm-l6-v2"
TEXTS = [f"Sentence number {place} of many, about the weather in May." for place in range(90)]
QUESTION = "How do I bake bread?"
ANSWER = "Knead flour, water, salt and yeast, let it rise, and put it into a hot oven."
OTHER = "The parliament passed the budget on Tuesday."


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    store = Store().pull(MINILM).folder.parent
    with RunningServer(store, models__load=MINILM) as running, running.channel() as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Stub:
    return Stub(channel)


def test_stream_equals_unary_and_reads_as_much(stub: Stub) -> None:
    texts = [*TEXTS, "", "long " * 600]
    items = [pb.EmbedItem(text=text) for text in texts]
    config = pb.EmbedConfig(model=MINILM)
    whole = stub.Embed(pb.EmbedRequest(config=config, items=items), timeout=60)
    sent = [pb.StreamEmbedRequest(setup=pb.StreamEmbedSetup(config=config))]
    sent += [pb.StreamEmbedRequest(items=pb.EmbedItems(items=items[start : start + 7])) for start in range(0, 92, 7)]
    events = list(stub.StreamEmbed(iter(sent), timeout=60))
    results = [result for event in events for result in event.results.results]
    assert [result.input_tokens for result in results] == [result.input_tokens for result in whole.results]
    first, second = (
        np.array([one.embedding.dense.values for one in some[:90]], np.float32) for some in (results, whole.results)
    )
    # Who shares a batch, and so the padding, differs.
    assert np.abs(first - second).max() < 1e-5
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert [one.WhichOneof("outcome") for one in results[90:]] == ["error", "error"]
    completed = events[-1].completed
    assert (completed.succeeded_count, completed.failed_count) == (90, 2)
    assert completed.info.usage.tokens == whole.info.usage.tokens
    assert whole.info.usage.tokens.input_tokens == sum(one.input_tokens for one in whole.results)
    assert completed.info.usage.input_characters == whole.info.usage.input_characters
    for info in (completed.info, whole.info):
        assert info.usage.compute_duration.ToNanoseconds() > 0
        assert 0 < info.timing.inference_duration.ToNanoseconds() <= info.timing.total_duration.ToNanoseconds()


def test_calls_whose_texts_all_fail_succeed(stub: Stub) -> None:
    answer = stub.Embed(pb.EmbedRequest(config=pb.EmbedConfig(model=MINILM), items=[pb.EmbedItem()]), timeout=10)
    assert answer.results[0].HasField("error")
    request = pb.RerankRequest(model=MINILM, query="a", documents=[pb.RerankDocument()])
    assert len(stub.Rerank(request, timeout=10).failed_documents) == 1


def test_likeness_ranks_and_classifies(stub: Stub, channel: grpc.Channel) -> None:
    documents = [pb.RerankDocument(text=OTHER), pb.RerankDocument(text=ANSWER)]
    ranked = stub.Rerank(pb.RerankRequest(model=MINILM, query=QUESTION, documents=documents), timeout=60)
    assert [one.index for one in ranked.results] == [1, 0]
    assert ranked.score_scale == common_pb2.SCORE_SCALE_COSINE
    compared = stub.CompareTexts(
        pb.CompareTextsRequest(model=MINILM, source=QUESTION, targets=[OTHER, ANSWER, QUESTION])
    )
    near = [one.similarity for one in compared.comparisons]
    assert near[0] < near[1] < near[2]
    assert near[2] == pytest.approx(1, abs=1e-5)
    request = analysis_pb2.ClassifyTextRequest(
        model=MINILM,
        items=[analysis_pb2.TextItem(text=ANSWER), analysis_pb2.TextItem(text=OTHER)],
        candidate_labels=["politics", "cooking"],
        label_template="This text is about {}.",
    )
    labels = TextAnalysisServiceStub(channel).ClassifyText(request, timeout=60)
    assert [one.labels.labels[0].label for one in labels.results] == ["cooking", "politics"]
    assert labels.score_scale == common_pb2.SCORE_SCALE_COSINE


def test_health_and_catalogue_know_what_it_can_do(channel: grpc.Channel) -> None:
    serving = {
        "trivium.v1.EmbeddingService": health_pb2.HealthCheckResponse.SERVING,
        "trivium.v1.TextAnalysisService": health_pb2.HealthCheckResponse.SERVING,
        "trivium.v1.TextGenerationService": health_pb2.HealthCheckResponse.NOT_SERVING,
    }
    check = HealthStub(channel).Check
    assert {name: check(health_pb2.HealthCheckRequest(service=name)).status for name in serving} == serving
    models = ModelServiceStub(channel)
    model = models.GetModel(models_pb2.GetModelRequest(model=MINILM)).model
    by_likeness = [models_pb2.CAPABILITY_RERANK, models_pb2.CAPABILITY_CLASSIFY_TEXT]
    assert list(model.capabilities) == [models_pb2.CAPABILITY_EMBED_TEXT, *by_likeness]
    assert list(model.similarity_capabilities) == by_likeness
    assert model.embedding.dimensions == 384
    assert model.limits.max_input_tokens == 256
    listed = models.ListModels(models_pb2.ListModelsRequest(capability=models_pb2.CAPABILITY_RERANK)).models
    assert MINILM in [one.name for one in listed]
