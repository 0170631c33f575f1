"""Cross-encoders, classifiers and taggers: what they answer, against their bare graphs."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.architectures.encoding import reference, running, soon
from tests.architectures.tiny_encoders import POSITIONS, Style, change_json, make_tokenizer, write_encoder
from trivium_server.architectures.encoder.heads import CrossEncoder, SequenceClassifier, TokenTagger
from trivium_server.architectures.text_capabilities import EncoderMeter, Outcome, Scored, ScoreScale, Tagged, Truncation
from trivium_server.errors import InputTooLong

STYLES: tuple[Style, ...] = ("bert", "mpnet", "xlm-roberta")
TEXTS = ("the cat", "Ann Lee works at Acme.", "", "new york city " * 5, "the mat")
TOO_LONG = "cat " * POSITIONS
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def bare_logits(folder: Path, style: Style, text: str, other: str | None = None) -> NDArray[np.float64]:
    """The logits of a text, or of a pair, run by itself."""
    tokenizer = make_tokenizer(style)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoding = tokenizer.encode(text, other)
    return reference(folder, "logits", encoding.ids, encoding.type_ids).astype(np.float64)


async def rerank(
    model: CrossEncoder, query: str, documents: Sequence[str], scale: ScoreScale, keep: Truncation = Truncation.ERROR
) -> list[Outcome[Scored]]:
    outcomes = await model.rerank(
        query, documents, scale=scale, truncation=keep, deadline_s=soon(), meter=EncoderMeter()
    )
    return list(outcomes)


async def classify(model: SequenceClassifier, texts: Sequence[str]) -> list[Outcome[Scored]]:
    return list(await model.classify(texts, (), truncation=Truncation.ERROR, deadline_s=soon(), meter=EncoderMeter()))


async def extract(
    model: TokenTagger, texts: Sequence[str], keep: Truncation = Truncation.ERROR
) -> list[Outcome[Tagged]]:
    return list(await model.extract(texts, truncation=keep, deadline_s=soon(), meter=EncoderMeter()))


@pytest.mark.parametrize("style", STYLES)
def test_cross_encoder_reads_query_and_document_together(style: Style, tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny", style, "sequence", labels=("LABEL_0",))
    query = "where works ann"
    with running(loop, folder, CrossEncoder) as model:
        assert model.rerank_scales == (ScoreScale.PROBABILITY, ScoreScale.LOGIT)
        logits = loop.run(rerank(model, query, TEXTS, ScoreScale.LOGIT))
        probabilities = loop.run(rerank(model, query, TEXTS, ScoreScale.PROBABILITY))
    for text, logit, probability in zip(TEXTS, logits, probabilities, strict=True):
        assert isinstance(logit, Scored)
        assert isinstance(probability, Scored)
        wanted = bare_logits(folder, style, query, text)
        np.testing.assert_allclose(logit.scores, wanted, atol=1e-6)
        np.testing.assert_allclose(probability.scores, 1 / (1 + np.exp(-wanted)), atol=1e-6)


def test_cross_encoder_cuts_documents_and_no_query(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny", "bert", "sequence", labels=("LABEL_0",))
    with running(loop, folder, CrossEncoder) as model:
        alone, too_long = loop.run(rerank(model, "the cat", ["a mat", TOO_LONG], ScoreScale.LOGIT))
        assert isinstance(alone, Scored)
        assert isinstance(too_long, InputTooLong)
        assert too_long.metadata == {"field": "text", "actual": str(POSITIONS + 2 + 3), "limit": str(POSITIONS)}
        cut, longest = loop.run(
            rerank(model, "the cat", [TOO_LONG, "cat " * (POSITIONS - 5)], ScoreScale.LOGIT, keep=Truncation.KEEP_START)
        )
        assert isinstance(cut, Scored)
        assert isinstance(longest, Scored)
        assert (cut.truncated, longest.truncated) == (True, False)
        np.testing.assert_allclose(cut.scores, longest.scores, atol=1e-6)
        # Three special tokens and one of the document are what a query must leave.
        longest_query = "cat " * (POSITIONS - 4)
        assert isinstance(loop.run(rerank(model, longest_query, ["mat"], ScoreScale.LOGIT))[0], Scored)
        with pytest.raises(InputTooLong) as caught:
            loop.run(rerank(model, longest_query + "cat", ["mat"], ScoreScale.LOGIT, keep=Truncation.KEEP_START))
        assert caught.value.metadata == {
            "field": "query",
            "actual": str(POSITIONS - 3),
            "limit": str(POSITIONS - 4),
        }


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification", None])
def test_classifier_gives_a_probability_for_each_label(
    style: Style, problem_type: str | None, tmp_path: Path, loop: asyncio.Runner
) -> None:
    labels = ("bad", "so so", "good")
    folder = write_encoder(tmp_path / "tiny", style, "sequence", labels=labels)
    change_json(folder / "config.json", problem_type=problem_type)
    with running(loop, folder, SequenceClassifier) as model:
        assert model.labels == labels
        assert model.label_scale is ScoreScale.PROBABILITY
        outcomes = loop.run(classify(model, [*TEXTS, TOO_LONG]))
    assert isinstance(outcomes.pop(), InputTooLong)
    for text, outcome in zip(TEXTS, outcomes, strict=True):
        assert isinstance(outcome, Scored)
        logits = bare_logits(folder, style, text)
        if problem_type == "multi_label_classification":
            wanted = 1 / (1 + np.exp(-logits))
        else:
            wanted = np.exp(logits) / math.fsum(np.exp(logits))
        np.testing.assert_allclose(outcome.scores, wanted, atol=1e-6)


@pytest.mark.parametrize("style", STYLES)
def test_tagger_finds_the_entities_of_its_graph(style: Style, tmp_path: Path, loop: asyncio.Runner) -> None:
    """Against a plain reading of the graph's labels, word by word, where all words are single tokens."""
    folder = write_encoder(tmp_path / "tiny", style, "tokens", labels=BIO, seed=3)
    texts = ["ann lee works at acme on the mat", "  the cat\tsat on new york city", "\U0001f600 ann"]
    num_found = 0
    with running(loop, folder, TokenTagger) as model:
        assert model.entity_labels == ("PER", "LOC")
        outcomes = loop.run(extract(model, [*texts, TOO_LONG]))
    assert isinstance(outcomes.pop(), InputTooLong)
    for text, outcome in zip(texts[:2], outcomes, strict=False):
        assert isinstance(outcome, Tagged)
        logits = bare_logits(folder, style, text)[1:-1]
        exponentials = np.exp(logits)
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        names = [BIO[index] for index in probabilities.argmax(axis=1)]
        words = text.split()
        assert len(words) == len(names)
        for entity in outcome.entities:
            inside = text[entity.start : entity.end].split()
            first = next(index for index in range(len(words)) if words[index : index + len(inside)] == inside)
            own = range(first, first + len(inside))
            assert {names[index].partition("-")[2] for index in own} == {entity.label}
            assert entity.score == pytest.approx(float(probabilities[own].max(axis=1).mean()), abs=1e-6)
            num_found += len(inside)
        assert sum(len(text[e.start : e.end].split()) for e in outcome.entities) == len(names) - names.count("O")
    assert num_found > 0


def test_spans_are_in_code_points_of_the_text(tmp_path: Path, loop: asyncio.Runner) -> None:
    """Every label but O is the same entity, so whatever is found has whole words."""
    folder = write_encoder(tmp_path / "tiny", "xlm-roberta", "tokens", labels=("O", "X"), seed=1)
    text = "\U0001f600\U0001f600 the  cats, sat\non Acmes\u00e9! "
    with running(loop, folder, TokenTagger) as model:
        (outcome,) = loop.run(extract(model, [text]))
        (cut,) = loop.run(extract(model, [text * 20], keep=Truncation.KEEP_END))
    assert isinstance(outcome, Tagged)
    assert isinstance(cut, Tagged)
    assert outcome.entities
    assert cut.truncated
    for entity in (*outcome.entities, *cut.entities):
        spelled = (text * 20)[entity.start : entity.end]
        assert spelled == spelled.strip()
        assert spelled
    assert all(entity.end <= len(text.rstrip()) for entity in outcome.entities)
    assert max((entity.end for entity in cut.entities), default=0) <= len(text) * 20
