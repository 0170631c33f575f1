"""Both clients against the real services: vectors, scores and refusals, and the real MiniLM through the command."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.rpc.toy_encoders import ToyServer
from tests.sdk.command import Command
from tests.sdk.faces import Face
from tests.serving import RunningServer, wait_until
from trivium import Capability, EmbeddingKind, ScoreScale, errors
from trivium_models.store import Store

Connect = Callable[..., Face]
MINILM = "all-minilm-l6-v2"
TEXTS = [f"Sentence number {place} of many, about the weather in May." for place in range(600)]
BREAD = "Knead flour, water, salt and yeast, let it rise, and put it into a hot oven."
BUDGET = "The parliament passed the budget on Tuesday."


@pytest.fixture(scope="module")
def encoder() -> Iterator[RunningServer]:
    with RunningServer(Store().pull(MINILM).folder.parent, models__load=MINILM) as running:
        yield running


@pytest.fixture
def face(connect: Connect, encoder: RunningServer) -> Face:
    return connect(encoder.address, default_model=None)


def test_streamed_equals_whole(face: Face) -> None:
    matrix = face.call("embed", TEXTS[:200])
    assert matrix.shape == (200, 384)
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    results, opened = face.events("embed_stream", iter(TEXTS))
    streamed = np.stack([result.vector for result in results])
    # Who shares a batch, and so the padding, differs.
    assert np.abs(streamed[:200] - matrix).max() < 1e-5
    assert np.abs(face.call("embed", TEXTS) - streamed).max() < 1e-5
    assert opened.info.usage.input_tokens == opened.input_tokens == sum(result.input_tokens for result in results)


@pytest.mark.parametrize(("encoding", "tolerance"), [("float_list", 0), ("float16", 2**-11), ("int8", 1 / 254)])
def test_encodings_lose_what_they_say(face: Face, encoding: str, tolerance: float) -> None:
    exact, coarse = face.call("embed", BREAD), face.call("embed", BREAD, encoding=encoding)
    assert np.abs(exact - coarse).max() <= tolerance * np.abs(exact).max() + 1e-6
    assert np.array_equal(face.call("embed", BREAD, encoding="binary"), np.where(exact > 0, 1, -1))


def test_token_vectors(face: Face) -> None:
    (result,) = face.call("embed_items", BREAD, kind=EmbeddingKind.PER_TOKEN).results
    assert result.vector.shape == (result.input_tokens, 384)


def test_failed_texts(face: Face) -> None:
    with pytest.raises(errors.ItemsFailed) as caught:
        face.call("embed", [BREAD, "", "long " * 600])
    assert [type(error) for error in caught.value.failures.values()] == [
        errors.InvalidArgumentField,
        errors.InputTooLong,
    ]
    response = face.call("embed_items", [BREAD, "long " * 600], truncation="keep_start")
    assert [result.truncated for result in response.results] == [False, True]
    assert response.failed == ()


def test_rank_compare_and_classify(face: Face) -> None:
    ranked = face.call("rerank", "How do I bake bread?", [BUDGET, ("b", BREAD), ""])
    assert [document.index for document in ranked.results] == [1, 0]
    assert [failure.index for failure in ranked.failed] == [2]
    assert ranked.score_scale is ScoreScale.COSINE
    near, far = face.call("compare", "How do I bake bread?", [BREAD, BUDGET])
    assert near > 0.5 > far
    classified = face.call("classify", [BREAD, BUDGET], ["politics", "cooking"])
    assert [result.best.label for result in classified.results] == ["cooking", "politics"]


def test_refusals_name_the_field(face: Face) -> None:
    with pytest.raises(errors.UnsupportedFeature, match="dimensions"):
        face.events("embed_stream", TEXTS, dimensions=7)
    assert face.call("models.get", MINILM).embedding.dimensions == 384
    assert MINILM in [model.name for model in face.call("models.list", Capability.EMBED_TEXT)]


def test_stopped_reader_frees_the_server(face: Face, encoder: RunningServer) -> None:
    assert face.first("embed_stream", itertools.cycle(TEXTS)) is not None
    assert wait_until(lambda: not encoder.app._admission.in_flight), "the call goes on at the server"


def test_commands(tmp_path: Path, encoder: RunningServer) -> None:
    command = Command(tmp_path, encoder.address)
    source, out = tmp_path / "texts.txt", tmp_path / "out.npy"
    source.write_text("\n".join([*TEXTS, BREAD, BUDGET]))
    done = command.run("embed", str(source), "-o", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 602
    matrix = np.load(out, mmap_mode="r")
    assert matrix.shape == (602, 384)
    ranked = json.loads(command.run("rerank", "How do I bake bread?", str(source), "--top-n", "1", "--json").stdout)
    assert ranked["results"][0]["index"] == 600
    compared = json.loads(command.run("compare", BREAD, BUDGET, "--json").stdout)
    assert abs(compared["results"][0]["similarity"] - float(matrix[600] @ matrix[601])) < 1e-4
    labelled = command.run("classify", BREAD, "-l", "politics", "-l", "cooking").stdout.splitlines()
    assert labelled[1].split()[1] == "cooking"
    (vector,) = json.loads(command.run("embed", "--text", BREAD, "--json").stdout)["results"]
    assert np.abs(np.array(vector["vector"]) - matrix[600]).max() < 1e-5


def test_commands_say_what_to_do(tmp_path: Path, encoder: RunningServer) -> None:
    command = Command(tmp_path, encoder.address)
    for arguments, says in (
        (("classify", BREAD), "--label: is empty; the model has no labels of its own, so it needs 1 to 128"),
        (("classify", BREAD, "-l", "a", "-k", "129"), "--top-k: is 129; it must be 1 to 128"),
        (
            ("generate", "Hi", "-m", MINILM),
            f"--model: model '{MINILM}' cannot generate text; no model that is ready",
        ),
        (("embed", "--text", "long " * 600), "; --truncation keep_start or keep_end reads a part of it"),
        (
            ("compare", "a", "long " * 600),
            "text 2: INPUT_TOO_LONG: OTHERS: is 602 tokens; the model allows 256; --",
        ),
        (("rerank", "a", "-d", "long " * 600), "document 1: INPUT_TOO_LONG: "),
        (("embed", "--text", "a", "--dimensions", "7"), "--dimensions: is 7; the model was trained for 384"),
    ):
        done = command.run(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("trivium: ")
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    assert command.run("embed", "--text", "long " * 600, "--truncation", "keep_start").returncode == 0


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[ToyServer]:
    """The real services with toy models of every kind."""
    with ToyServer(tmp_path) as running:
        yield running


def test_several_models_are_named(tmp_path: Path, toys: ToyServer) -> None:
    command = Command(tmp_path, toys.address)
    done = command.run("embed", "--text", "a")
    assert done.stderr == (
        "trivium: INVALID_ARGUMENT: the server has several models, each of which embeds texts; "
        "name one of toy-embedder, toy-huge, toy-sparse, toy-wide with --model\n"
    )
    wrong = command.run("rerank", "a", "-d", "b", "--model", "toy-embedder").stderr
    assert "--model: model 'toy-embedder' cannot rank documents; toy-reranker can (request " in wrong
    assert command.run("rerank", "a", "-d", "b").returncode == 0  # the only one that ranks


def test_models_of_every_kind(connect: Connect, toys: ToyServer) -> None:
    face = connect(toys.address, default_model=None)
    (sparse,) = face.call("embed_items", "good words", model="toy-sparse", kind="sparse").results
    assert sparse.sparse.indices.size == sparse.sparse.values.size > 0
    wide = face.call("embed", [f"text {number}" for number in range(256)], model="toy-wide")
    assert wide.shape == (256, 4096)
    detected = face.call("detect_language", "en en en", top_k=2)
    assert detected.results[0].best.language_code == "en"
    classified = face.call("classify", ["one good text", ""], model="toy-classifier")
    assert classified.score_scale is ScoreScale.PROBABILITY
    assert [result.index for result in classified.failed] == [1]
    ranked = face.call("rerank", "good", ["good text", "other"], model="toy-reranker", score_scale="logit")
    assert ranked.score_scale is ScoreScale.LOGIT
    tagged = face.call("extract_entities", "\N{GRINNING FACE} Ada met Grace", model="toy-tagger").results[0]
    assert all("\N{GRINNING FACE} Ada met Grace"[e.start : e.end] == e.text for e in tagged.entities)
