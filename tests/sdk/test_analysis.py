"""Classifying texts, finding entities and detecting languages: what is sent and what comes back."""

from collections.abc import Callable

import pytest

from tests.sdk.embedding_script import info, refused_item
from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, reply
from trivium import ScoreScale, _calls, errors
from trivium.v1 import analysis_pb2, common_pb2

Connect = Callable[..., Face]
SCORES = [
    common_pb2.LabelScore(label="sport", score=0.75, class_index=1),
    common_pb2.LabelScore(label="politics", score=0.25),
]
CLASSIFIED = analysis_pb2.ClassifyTextResponse(
    results=[
        analysis_pb2.ClassifyTextResult(item_id="a", labels=analysis_pb2.LabelScores(labels=SCORES), input_tokens=3),
        analysis_pb2.ClassifyTextResult(index=1, error=refused_item()),
    ],
    score_scale=common_pb2.SCORE_SCALE_COSINE,
    info=info(),
)


def test_classify(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.CLASSIFY_TEXT, reply(CLASSIFIED))
    response = connect(faults.target).call(
        "classify", [("a", "A draw."), ""], ["politics", "sport"], template="About {}.", top_k=2, min_score=0
    )
    first, second = response.results
    assert (first.item_id, first.best.label, first.best.class_index) == ("a", "sport", 1)
    assert response.score_scale is ScoreScale.COSINE
    assert second.best is None
    assert isinstance(second.error, errors.InvalidArgumentField)
    assert response.failed == (second,)
    with pytest.raises(errors.ItemsFailed, match="item 1"):
        response.raise_for_failed()
    request = faults.received[0].request
    assert list(request.candidate_labels) == ["politics", "sport"]
    assert (request.label_template, request.top_k, request.min_score) == ("About {}.", 2, 0)
    assert request.HasField("min_score")


def test_extract_entities(connect: Connect, faults: ScriptedServer) -> None:
    text = "\N{GRINNING FACE} Ada lived in Paris."
    found = analysis_pb2.Entity(
        label="LOC", text="Paris", score=0.5, span=common_pb2.TextSpan(start_offset=15, end_offset=20)
    )
    result = analysis_pb2.ExtractEntitiesResult(entities=analysis_pb2.EntityList(entities=[found]))
    faults.script(_calls.EXTRACT_ENTITIES, reply(analysis_pb2.ExtractEntitiesResponse(results=[result], info=info())))
    response = connect(faults.target).call("extract_entities", text, min_score=0.5)
    ((entity,),) = (entry.entities for entry in response.results)
    assert text[entity.start : entity.end] == entity.text == "Paris"
    request = faults.received[0].request
    assert request.offset_unit == common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT


def test_detect_language(connect: Connect, faults: ScriptedServer) -> None:
    scores = [analysis_pb2.LanguageScore(language_code="pt", score=0.5)]
    results = [
        analysis_pb2.DetectLanguageResult(languages=analysis_pb2.LanguageScores(languages=scores)),
        analysis_pb2.DetectLanguageResult(index=1, languages=analysis_pb2.LanguageScores()),
    ]
    faults.script(_calls.DETECT_LANGUAGE, reply(analysis_pb2.DetectLanguageResponse(results=results, info=info())))
    response = connect(faults.target).call("detect_language", ["Bom dia", "x"], top_k=3)
    assert response.results[0].best.language_code == "pt"
    assert response.results[1].best is None
    assert response.failed == ()
    response.raise_for_failed()
    assert faults.received[0].request.top_k == 3


@pytest.mark.parametrize(
    ("method", "arguments", "options", "says"),
    [
        ("classify", ("one", "sport"), {}, "labels is text"),
        ("classify", ("one", ["a", None]), {}, r"labels\[1\] is None"),
        ("classify", ([],), {}, "texts is empty"),
        ("classify", ("one",), {"min_score": float("nan")}, "finite"),
        ("classify", ("one",), {"min_score": "high"}, "not a number"),
        ("detect_language", ("one",), {"top_k": 0}, "at least 1"),
        ("detect_language", (["one", 5],), {}, r"texts\[1\] is int"),
        ("extract_entities", ("one",), {"truncation": "never"}, "not one of error"),
    ],
)
def test_wrong_arguments_are_named(
    connect: Connect,
    faults: ScriptedServer,
    method: str,
    arguments: tuple[object, ...],
    options: dict[str, object],
    says: str,
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        connect(faults.target).call(method, *arguments, **options)
    assert faults.received == []


def test_answer_for_fewer_texts_is_refused(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.CLASSIFY_TEXT, reply(CLASSIFIED))
    with pytest.raises(errors.DataLossError):
        connect(faults.target).call("classify", ["one", "two", "three"])
