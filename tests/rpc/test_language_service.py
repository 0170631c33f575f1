"""DetectLanguage with the real model: golden sentences, cuts, limits, and items that fail alone."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any  # fields of many types, by name

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.rpc.generating import refused
from tests.serving import MODEL, RunningServer
from trivium.v1 import analysis_pb2 as pb
from trivium.v1 import models_pb2
from trivium.v1.analysis_pb2_grpc import TextAnalysisServiceStub as Stub
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium_models.store import Store

LANGID = "langid-140"
GOLDEN = json.loads((Path(__file__).parents[1] / "text" / "language_id_golden.json").read_text(encoding="utf-8"))
ENGLISH = "The ferry leaves at noon, so please bring your own lunch."


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    store = Store().pull(LANGID).folder.parent
    with RunningServer(store, models__load=LANGID) as running, running.channel() as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Stub:
    return Stub(channel)


def detect(stub: Stub, texts: Sequence[str], **fields: Any) -> pb.DetectLanguageResponse:
    items = [pb.TextItem(item_id=f"item-{index}", text=text) for index, text in enumerate(texts)]
    return stub.DetectLanguage(pb.DetectLanguageRequest(**({"model": LANGID, "items": items} | fields)), timeout=60)


def codes(result: pb.DetectLanguageResult) -> list[str]:
    assert result.WhichOneof("outcome") == "languages"
    return [language.language_code for language in result.languages.languages]


def reason(result: pb.DetectLanguageResult) -> tuple[int, str, str]:
    """Code, reason and field of an item that failed."""
    assert result.WhichOneof("outcome") == "error"
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in result.error.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return result.error.code, info.reason, bad.field_violations[0].field


def test_golden_sentences_in_one_call(stub: Stub) -> None:
    response = detect(stub, [sentence["text"] for sentence in GOLDEN["sentences"]], top_k=3)
    for index, (sentence, result) in enumerate(zip(GOLDEN["sentences"], response.results, strict=True)):
        assert (result.index, result.item_id) == (index, f"item-{index}")
        first = result.languages.languages[0]
        assert first.language_code == sentence["language"]
        assert first.score == pytest.approx(sentence["top"][0][1], abs=1e-5)
        scores = [language.score for language in result.languages.languages]
        assert scores == sorted(scores, reverse=True)


def test_the_response_says_what_was_done(stub: Stub) -> None:
    info = detect(stub, [ENGLISH, "1"]).info
    assert info.model.name == LANGID
    assert info.model.digest.startswith("sha256:")
    assert info.usage.input_characters == len(ENGLISH) + 1
    assert info.usage.tokens.input_tokens == 0
    assert info.usage.compute_duration.nanos > 0
    assert not info.warnings


def test_one_language_unless_more_are_asked_for(stub: Stub) -> None:
    assert codes(detect(stub, [ENGLISH]).results[0]) == ["en"]
    (result,) = detect(stub, [ENGLISH], top_k=128).results
    assert len(set(codes(result))) == 128
    # The twelve that are left out are the unlikeliest.
    assert 0.999 < sum(language.score for language in result.languages.languages) <= 1.00001


def test_min_score_leaves_out_the_unlikely(stub: Stub) -> None:
    all_scores = {one.language_code: one.score for one in detect(stub, ["ok"], top_k=5).results[0].languages.languages}
    assert max(all_scores.values()) < 0.1
    (unknown,) = detect(stub, ["ok"], top_k=5, min_score=0.1).results
    assert codes(unknown) == []
    (known,) = detect(stub, [ENGLISH], top_k=128, min_score=0.5).results
    assert codes(known) == ["en"]


@pytest.mark.parametrize("text", [" ", "12345", "{}"])
def test_no_language(stub: Stub, text: str) -> None:
    (result,) = detect(stub, [text]).results
    assert codes(result) == ["zxx"]
    assert result.languages.languages[0].score == 1.0


def test_only_the_first_8192_bytes_are_read(stub: Stub) -> None:
    greek = next(case["text"] for case in GOLDEN["sentences"] if case["language"] == "el")
    head = (greek * 400).encode()[:8192].decode(errors="ignore")
    # A character that does not fit into what may be left, and then another language.
    cut, whole = detect(stub, [head, head + "я" + ENGLISH * 500], top_k=5).results
    assert cut.languages == whole.languages


def test_a_bad_item_fails_alone(stub: Stub) -> None:
    texts = [ENGLISH, "", "x" * (2**20 + 1), "é" * 2**19]
    items = [pb.TextItem(text=text) for text in texts] + [pb.TextItem(item_id="i" * 257, text=ENGLISH)]
    good, empty, large, fits, long_id = detect(stub, [], items=items).results
    assert codes(good) == ["en"]
    assert reason(empty) == (3, "INVALID_ARGUMENT_FIELD", "text")
    assert reason(large) == (3, "INPUT_TOO_LARGE", "text")
    assert len(codes(fits)) == 1
    assert reason(long_id) == (3, "INPUT_TOO_LARGE", "item_id")


def test_512_items_in_order(stub: Stub) -> None:
    sentences = [GOLDEN["sentences"][index % len(GOLDEN["sentences"])] for index in range(512)]
    results = detect(stub, [sentence["text"] for sentence in sentences]).results
    assert [codes(result)[0] for result in results] == [sentence["language"] for sentence in sentences]
    assert [result.index for result in results] == list(range(512))


@pytest.mark.parametrize(
    ("field", "limit", "fields"),
    [
        ("items", "1 to 512", {"items": []}),
        ("items", "512", {"items": [pb.TextItem(text="a")] * 513}),
        ("top_k", "1 to 128", {"top_k": 0}),
        ("top_k", "1 to 128", {"top_k": 129}),
        ("min_score", "0 to 1", {"min_score": -0.01}),
        ("min_score", "0 to 1", {"min_score": 1.01}),
        ("min_score", "0 to 1", {"min_score": float("nan")}),
        ("model", "required", {"model": ""}),
    ],
)
def test_wrong_fields_fail_the_call(stub: Stub, field: str, limit: str, fields: dict[str, Any]) -> None:
    failure = refused(lambda: detect(stub, [ENGLISH], **fields))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
    assert limit in failure.fields[field]


@pytest.mark.parametrize("fields", [{"top_k": 1}, {"top_k": 128}, {"min_score": 0.0}, {"min_score": 1.0}])
def test_both_ends_of_ranges_are_good(stub: Stub, fields: dict[str, Any]) -> None:
    assert len(detect(stub, [ENGLISH], **fields).results) == 1


def test_a_model_that_cannot_do_it(channel: grpc.Channel, grpc_channel: grpc.Channel) -> None:
    failure = refused(lambda: detect(Stub(grpc_channel), [ENGLISH], model=MODEL))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FEATURE")
    assert failure.message == f"model: model {MODEL!r} cannot detect languages; no model that is ready can"
    assert refused(lambda: detect(Stub(channel), [ENGLISH], model="langid")).code == grpc.StatusCode.NOT_FOUND


def test_the_model_lists_its_languages(channel: grpc.Channel) -> None:
    model = ModelServiceStub(channel).GetModel(models_pb2.GetModelRequest(model=LANGID)).model
    assert list(model.capabilities) == [models_pb2.CAPABILITY_DETECT_LANGUAGE]
    assert len(set(model.language_codes)) == len(model.language_codes) == 140
    assert {"en", "ki", "sr", "zxx"} <= set(model.language_codes)
    assert model.license == "BSD-3-Clause"
