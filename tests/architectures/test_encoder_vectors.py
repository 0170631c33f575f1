"""What vectors sentence encoders make of a text, by what their folder says, against the bare graph."""

import asyncio
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.architectures.encoding import DENSE, embed, load, one, reference, running, soon, vectors
from tests.architectures.tiny_encoders import (
    HIDDEN,
    POSITIONS,
    Head,
    Style,
    change_json,
    make_tokenizer,
    write_encoder,
    write_json,
    write_sentence_files,
)
from trivium_server.architectures.encoder.embedding import SentenceEncoder, SparseEncoder
from trivium_server.architectures.text_capabilities import (
    EmbeddingOptions,
    EncoderMeter,
    Purpose,
    Scored,
    ScoreScale,
    SparseWeights,
    Truncation,
    VectorKind,
)
from trivium_server.errors import InputTooLong, UnsupportedFeature

STYLES: tuple[Style, ...] = ("bert", "mpnet", "xlm-roberta")
TEXT = "the cats sat on acme, new york."
PER_TOKEN = EmbeddingOptions(kind=VectorKind.PER_TOKEN)


def ids_of(style: Style, text: str) -> list[int]:
    tokenizer = make_tokenizer(style)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids: list[int] = tokenizer.encode(text).ids
    return ids


def unit(values: NDArray[np.float32]) -> NDArray[np.float64]:
    length: NDArray[np.float64] = np.sqrt(np.square(values.astype(np.float64)).sum(axis=-1, keepdims=True))
    return values / length


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
def test_pooling_is_that_of_the_folder(style: Style, pooling: str, tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny", style)
    write_sentence_files(folder, pooling=pooling)
    states = reference(folder, "last_hidden_state", ids_of(style, TEXT))
    wanted = {"mean": states.mean(axis=0), "cls": states[0], "max": states.max(axis=0), "lasttoken": states[-1]}
    with running(loop, folder, SentenceEncoder) as model:
        found = loop.run(one(model, TEXT))
    np.testing.assert_allclose(vectors(found), unit(wanted[pooling]), atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_without_its_own_files_a_model_has_the_mean(style: Style, tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny", style)
    states = reference(folder, "last_hidden_state", ids_of(style, TEXT))
    with running(loop, folder, SentenceEncoder) as model:
        raw = EmbeddingOptions(kind=VectorKind.DENSE, normalize=False)
        np.testing.assert_allclose(vectors(loop.run(one(model, TEXT, raw))), states.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(vectors(loop.run(one(model, TEXT, PER_TOKEN))), unit(states), atol=1e-6)


def test_a_models_own_normalization_stays(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    write_sentence_files(folder, normalize=True)
    raw = EmbeddingOptions(kind=VectorKind.DENSE, normalize=False)
    with running(loop, folder, SentenceEncoder) as model:
        np.testing.assert_array_equal(vectors(loop.run(one(model, TEXT, raw))), vectors(loop.run(one(model, TEXT))))


@pytest.mark.parametrize("head", ["sentence", "both"])
def test_vector_that_the_graph_gives_is_used(head: Head, tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny", "mpnet", head)
    write_sentence_files(folder, pooling="cls")  # which the graph has done, in its own way
    wanted = unit(reference(folder, "sentence_embedding", ids_of("mpnet", TEXT)))
    with running(loop, folder, SentenceEncoder) as model:
        np.testing.assert_allclose(vectors(loop.run(one(model, TEXT))), wanted, atol=1e-6)
        kinds = (VectorKind.DENSE, VectorKind.PER_TOKEN) if head == "both" else (VectorKind.DENSE,)
        assert model.embedding_info.kinds == kinds
        if head == "both":
            states = unit(reference(folder, "last_hidden_state", ids_of("mpnet", TEXT)))
            np.testing.assert_allclose(vectors(loop.run(one(model, TEXT, PER_TOKEN))), states, atol=1e-6)


def test_cut_vectors_are_normalized_again(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    write_sentence_files(folder)
    change_json(folder / "config.json", matryoshka_dimensions=[4, 8])
    with running(loop, folder, SentenceEncoder) as model:
        assert model.embedding_info.supported_dimensions == (HIDDEN, 8, 4)
        whole = vectors(loop.run(one(model, TEXT)))
        for dimensions in (8, 4):
            options = EmbeddingOptions(kind=VectorKind.DENSE, dimensions=dimensions)
            np.testing.assert_allclose(
                vectors(loop.run(one(model, TEXT, options))), unit(whole[:dimensions]), atol=1e-6
            )
            per_token = EmbeddingOptions(kind=VectorKind.PER_TOKEN, dimensions=dimensions)
            assert vectors(loop.run(one(model, TEXT, per_token))).shape == (len(ids_of("bert", TEXT)), dimensions)


@pytest.mark.parametrize("style", STYLES)
def test_longest_text_has_every_position(style: Style, tmp_path: Path, loop: asyncio.Runner) -> None:
    """The graph's table of positions ends where the limit does, so one token more could not be run."""
    folder = write_encoder(tmp_path / "tiny", style)
    limit = POSITIONS if style == "bert" else POSITIONS - 2
    with running(loop, folder, SentenceEncoder) as model:
        assert model.max_input_tokens == limit
        assert loop.run(one(model, "cat " * (limit - 2))).input_tokens == limit
        (outcome,) = loop.run(_outcomes(model, "cat " * (limit - 1)))
        assert isinstance(outcome, InputTooLong)
        cut = EmbeddingOptions(kind=VectorKind.DENSE, truncation=Truncation.KEEP_END)
        found = loop.run(one(model, "cat " * (limit - 1), cut))
        assert (found.input_tokens, found.truncated) == (limit, True)


def test_texts_that_overflow_fail_alone(tmp_path: Path, loop: asyncio.Runner) -> None:
    """One token of the vocabulary has a vector that is not finite."""
    folder = write_encoder(tmp_path / "tiny", "mpnet")
    model_file = onnx.load(folder / "model.onnx")
    words = next(item for item in model_file.graph.initializer if item.name == "words")
    table = numpy_helper.to_array(words).copy()
    table[make_tokenizer("mpnet").token_to_id("acme")] = math.nan
    words.CopyFrom(numpy_helper.from_array(table, "words"))
    onnx.save(model_file, folder / "model.onnx")
    with running(loop, folder, SentenceEncoder) as model:
        outcomes = loop.run(_outcomes(model, "the cat", "at acme", "a mat"))
        assert [isinstance(outcome, UnsupportedFeature) for outcome in outcomes] == [False, True, False]


def test_text_that_the_graph_cannot_run_fails_alone(tmp_path: Path, loop: asyncio.Runner) -> None:
    """The tokenizer has one token more than the graph has vectors for."""
    folder = write_encoder(tmp_path / "tiny", "mpnet")
    tokenizer = make_tokenizer("mpnet")
    tokenizer.add_tokens(["unheard"])
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    with running(loop, folder, SentenceEncoder) as model:
        outcomes = loop.run(_outcomes(model, "the cat", "unheard", "a mat"))
        assert [isinstance(outcome, UnsupportedFeature) for outcome in outcomes] == [False, True, False]


def test_prompts_go_before_the_text(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    prompts = {"query": "query: ", "passage": "text: ", "STS": ""}
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": "passage"})
    with running(loop, folder, SentenceEncoder) as model:
        info = model.embedding_info
        assert [(p.name, p.text, p.is_default) for p in info.prompts] == [
            ("query", "query: ", False),
            ("passage", "text: ", True),
            ("STS", "", False),
        ]
        assert [info.prompt_for(purpose) for purpose in (*Purpose, None)] == [
            "query: ",
            "text: ",
            "",
            "text: ",
            "text: ",
            "text: ",
        ]
        prompted = loop.run(one(model, "the cat", EmbeddingOptions(kind=VectorKind.DENSE, prompt="query: ")))
        np.testing.assert_array_equal(vectors(prompted), vectors(loop.run(one(model, "query: the cat"))))
        # Ranking prompts the query as a query and the documents as documents.
        scored = loop.run(
            model.rerank(
                "the cat",
                ["a mat", "acme"],
                scale=ScoreScale.COSINE,
                truncation=Truncation.ERROR,
                deadline_s=soon(),
                meter=EncoderMeter(),
            )
        )
        query, *documents = loop.run(embed(model, ["query: the cat", "text: a mat", "text: acme"]))
        for outcome, document in zip(scored, documents, strict=True):
            assert isinstance(outcome, Scored)
            cosine = float(vectors(query) @ vectors(document))
            np.testing.assert_allclose(outcome.scores, [cosine], atol=1e-6)
            assert outcome.input_tokens == document.input_tokens


def test_classifies_by_likeness_to_the_candidates(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"classification": "text: "}})
    too_long = "cat " * POSITIONS
    candidates = ["acme", "new york", "a cat"]
    with running(loop, folder, SentenceEncoder) as model:
        assert model.labels == ()
        outcomes = loop.run(_classified(model, ["the cat", too_long, "york"], candidates))
        assert isinstance(outcomes[1], InputTooLong)
        labels = loop.run(embed(model, [f"text: {label}" for label in candidates]))
        for text, outcome in (("the cat", outcomes[0]), ("york", outcomes[2])):
            assert isinstance(outcome, Scored)
            vector = vectors(loop.run(one(model, f"text: {text}")))
            np.testing.assert_allclose(outcome.scores, [vectors(each) @ vector for each in labels], atol=1e-6)
        with pytest.raises(InputTooLong) as caught:
            loop.run(_classified(model, ["the cat"], ["acme", too_long]))
        assert caught.value.metadata["field"] == "candidate_labels[1]"
        with pytest.raises(InputTooLong) as caught:
            loop.run(_ranked(model, too_long))
        assert caught.value.metadata["field"] == "query"


def test_sparse_weights_are_those_of_splade(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny", "bert", "vocabulary")
    size = make_tokenizer("bert").get_vocab_size()
    texts = [TEXT, "the cat", "acme " * 20]
    with running(loop, folder, SparseEncoder) as model:
        assert model.embedding_info.kinds == (VectorKind.SPARSE,)
        assert model.embedding_info.dimensions == size
        found = loop.run(embed(model, texts, EmbeddingOptions(kind=VectorKind.SPARSE)))
    for text, embedded in zip(texts, found, strict=True):
        logits = reference(folder, "logits", ids_of("bert", text)).astype(np.float64)
        wanted = np.log1p(np.maximum(logits, 0)).max(axis=0)
        sparse = embedded.vectors
        assert isinstance(sparse, SparseWeights)
        assert sparse.ids.tolist() == np.flatnonzero(wanted).tolist()
        np.testing.assert_allclose(sparse.weights, wanted[sparse.ids], atol=1e-6)


def test_half_precision_and_short_integers_are_served(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    with running(loop, folder, SentenceEncoder) as model:
        whole = vectors(loop.run(one(model, TEXT)))
    model_file = onnx.load(folder / "model.onnx")
    graph = model_file.graph
    for node in graph.node:
        node.input[:] = [f"{name}_64" if name in {each.name for each in graph.input} else name for name in node.input]
        node.output[:] = ["states_32" if name == "last_hidden_state" else name for name in node.output]
    for given in graph.input:
        given.type.tensor_type.elem_type = TensorProto.INT32
        graph.node.insert(0, helper.make_node("Cast", [given.name], [f"{given.name}_64"], to=TensorProto.INT64))
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    graph.node.append(helper.make_node("Cast", ["states_32"], ["last_hidden_state"], to=TensorProto.FLOAT16))
    onnx.save(model_file, folder / "model.onnx")
    with running(loop, folder, SentenceEncoder) as model:
        np.testing.assert_allclose(vectors(loop.run(one(model, TEXT))), whole, atol=1e-3)


def test_model_says_what_it_accepts(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny")
    write_sentence_files(folder, max_length=20)
    model = load(folder, SentenceEncoder)
    assert model.max_input_tokens == 20
    assert model.execution_provider == "CPUExecutionProvider"
    assert model.embedding_info.dimensions == HIDDEN
    assert model.embedding_info.supported_dimensions == (HIDDEN,)


async def _outcomes(model: SentenceEncoder, *texts: str) -> list[object]:
    return list(await model.embed(texts, DENSE, deadline_s=soon(), meter=EncoderMeter()))


async def _classified(model: SentenceEncoder, texts: list[str], candidates: list[str]) -> list[object]:
    outcomes = await model.classify(
        texts, candidates, truncation=Truncation.ERROR, deadline_s=soon(), meter=EncoderMeter()
    )
    return list(outcomes)


async def _ranked(model: SentenceEncoder, query: str) -> list[object]:
    outcomes = await model.rerank(
        query,
        ["a mat"],
        scale=ScoreScale.COSINE,
        truncation=Truncation.KEEP_START,
        deadline_s=soon(),
        meter=EncoderMeter(),
    )
    return list(outcomes)
