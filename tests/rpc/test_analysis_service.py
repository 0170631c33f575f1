"""TextAnalysisService over a real channel. The models are toys of toy_encoders."""

import math
from collections.abc import Iterator

import pytest

from tests.rpc.embedding import reason_of
from tests.rpc.generating import refused
from tests.rpc.toy_encoders import MAX_TOKENS, ToyServer
from trivium.v1 import analysis_pb2 as pb
from trivium.v1 import common_pb2
from trivium.v1.analysis_pb2_grpc import TextAnalysisServiceStub as Stub

TOO_LONG = "word " * (MAX_TOKENS + 1)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


def items_of(*texts: str) -> list[pb.TextItem]:
    return [pb.TextItem(item_id=f"id-{place}", text=text) for place, text in enumerate(texts)]


def classify(stub: Stub, *texts: str, model: str = "toy-classifier", **fields: object) -> pb.ClassifyTextResponse:
    request = pb.ClassifyTextRequest(model=model, items=items_of(*texts), **fields)  # type: ignore[arg-type]  # by name
    return stub.ClassifyText(request, timeout=30)


def extract(stub: Stub, *texts: str, **fields: object) -> pb.ExtractEntitiesResponse:
    request = pb.ExtractEntitiesRequest(model="toy-tagger", items=items_of(*texts), **fields)  # type: ignore[arg-type]
    return stub.ExtractEntities(request, timeout=30)


def detect(stub: Stub, *texts: str, **fields: object) -> pb.DetectLanguageResponse:
    request = pb.DetectLanguageRequest(model="toy-detector", items=items_of(*texts), **fields)  # type: ignore[arg-type]
    return stub.DetectLanguage(request, timeout=30)


class TestClassifyText:
    """Labels and their scores."""

    def test_labels_best_first_and_equals_by_index(self, stub: Stub) -> None:
        answer = classify(stub, "bad bad ugly x", "x")
        assert [(one.label, one.score, one.class_index) for one in answer.results[0].labels.labels] == [
            ("bad", 0.5, 1),
            ("ugly", 0.25, 2),
            ("good", 0.0, 0),
        ]
        assert [one.label for one in answer.results[1].labels.labels] == ["good", "bad", "ugly"]
        assert answer.score_scale == common_pb2.SCORE_SCALE_PROBABILITY
        assert answer.info.usage.tokens.input_tokens == sum(one.input_tokens for one in answer.results) == 5

    def test_top_k_and_min_score_cut(self, stub: Stub) -> None:
        text = "bad bad ugly x"
        assert [one.label for one in classify(stub, text, top_k=1).results[0].labels.labels] == ["bad"]
        assert [one.label for one in classify(stub, text, min_score=0.25).results[0].labels.labels] == ["bad", "ugly"]
        nothing = classify(stub, text, min_score=1.0).results[0]
        assert nothing.WhichOneof("outcome") == "labels"
        assert not nothing.labels.labels

    def test_any_labels_of_a_model_that_compares_vectors(self, stub: Stub) -> None:
        answer = classify(
            stub,
            "cats like cats",
            model="toy-zero-shot",
            candidate_labels=["dogs", "cats"],
            label_template="This is about {}",
        )
        assert [(one.label, one.class_index) for one in answer.results[0].labels.labels] == [("cats", 1), ("dogs", 0)]
        assert answer.score_scale == common_pb2.SCORE_SCALE_COSINE

    def test_one_bad_item_fails_alone(self, stub: Stub) -> None:
        request = pb.ClassifyTextRequest(model="toy-classifier", items=items_of("good", "", TOO_LONG, "good"))
        request.items[3].item_id = "x" * 257
        results = stub.ClassifyText(request).results
        assert [one.item_id for one in results] == ["id-0", "id-1", "id-2", "x" * 257]
        assert [one.WhichOneof("outcome") for one in results] == ["labels", "error", "error", "error"]
        assert reason_of(results[1].error) == ("INVALID_ARGUMENT_FIELD", {"text": "is empty"})
        assert reason_of(results[2].error)[0] == "INPUT_TOO_LONG"
        assert reason_of(results[3].error)[1] == {"item_id": "has 257 bytes; the limit is 256"}

    def test_cut_texts_are_told(self, stub: Stub) -> None:
        answer = classify(stub, TOO_LONG, truncation=common_pb2.TRUNCATION_POLICY_KEEP_END)
        assert answer.results[0].truncated
        assert answer.info.warnings[0].code == common_pb2.WARNING_CODE_INPUT_TRUNCATED

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"candidate_labels": ["a"]}, {"candidate_labels": "the model has labels of its own, see Model.labels"}),
            ({"label_template": "about {}"}, {"label_template": "goes with candidate_labels only"}),
            ({"top_k": 0}, {"top_k": "is 0; it must be 1 to 128"}),
            ({"top_k": 129}, {"top_k": "is 129; it must be 1 to 128"}),
            ({"min_score": 1.5}, {"min_score": "is 1.5; it must be -1 to 1"}),
            ({"min_score": -1.5}, {"min_score": "is -1.5; it must be -1 to 1"}),
            ({"min_score": math.nan}, {"min_score": "is nan; it must be -1 to 1"}),
            ({"truncation": 9}, {"truncation": "9 is no known TruncationPolicy"}),
            (
                {"model": "toy-zero-shot"},
                {"candidate_labels": "is empty; the model has no labels of its own, so it needs 1 to 128"},
            ),
            (
                {"model": "toy-zero-shot", "candidate_labels": [str(n) for n in range(129)]},
                {"candidate_labels": "has 129 items; the limit is 128"},
            ),
            (
                {"model": "toy-zero-shot", "candidate_labels": ["a", "", "x" * 1025, "a"]},
                {
                    "candidate_labels[1]": "is empty",
                    "candidate_labels[2]": "has 1025 bytes; the limit is 1024",
                    "candidate_labels[3]": "is the same as candidate_labels[0]",
                },
            ),
            (
                {"model": "toy-zero-shot", "candidate_labels": ["a"], "label_template": "{} or {}"},
                {"label_template": "has 2 places for a label; it must have {} once"},
            ),
            (
                {"model": "toy-zero-shot", "candidate_labels": ["a"], "label_template": "x" * 1023 + "{}"},
                {"label_template": "has 1025 bytes; the limit is 1024"},
            ),
            (
                {"model": "toy-zero-shot", "candidate_labels": ["a", TOO_LONG]},
                {"candidate_labels[1]": f"is {MAX_TOKENS + 1} tokens; the model allows {MAX_TOKENS}"},
            ),
        ],
    )
    def test_refusals(self, stub: Stub, fields: dict[str, object], expected: dict[str, str]) -> None:
        assert refused(lambda: classify(stub, "text", **fields)).fields == expected  # type: ignore[arg-type]

    def test_limits_are_inclusive(self, stub: Stub) -> None:
        labels = [*(str(place) for place in range(127)), "x" * 1024]
        answer = classify(
            stub,
            "5 7",
            model="toy-zero-shot",
            candidate_labels=labels,
            label_template="é" * 511 + "{}",
            top_k=128,
            min_score=-1.0,
        )
        assert len(answer.results[0].labels.labels) == 128


class TestExtractEntities:
    """Names and where they are."""

    TEXT = "😀 Zoë met ÉMILE in Köln"

    @pytest.mark.parametrize(
        ("unit", "encoding", "size"),
        [
            (common_pb2.OFFSET_UNIT_UNSPECIFIED, "utf-32-le", 4),
            (common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT, "utf-32-le", 4),
            (common_pb2.OFFSET_UNIT_UTF8_BYTE, "utf-8", 1),
            (common_pb2.OFFSET_UNIT_UTF16_CODE_UNIT, "utf-16-le", 2),
        ],
    )
    def test_offsets_cut_the_name_out_of_the_text(
        self, stub: Stub, unit: common_pb2.OffsetUnit.ValueType, encoding: str, size: int
    ) -> None:
        answer = extract(stub, self.TEXT, offset_unit=unit)
        found = answer.results[0].entities.entities
        assert [(one.label, one.text) for one in found] == [("NAME", "Zoë"), ("SHOUT", "ÉMILE"), ("NAME", "Köln")]
        raw = self.TEXT.encode(encoding)
        spans = [(one.span.start_offset * size, one.span.end_offset * size) for one in found]
        assert [raw[start:end].decode(encoding) for start, end in spans] == [one.text for one in found]
        assert answer.offset_unit == (unit or common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT)

    def test_min_score_leaves_out_the_unsure(self, stub: Stub) -> None:
        found = extract(stub, self.TEXT, min_score=0.8).results[0].entities.entities
        assert [one.text for one in found] == ["ÉMILE", "Köln"]
        nothing = extract(stub, self.TEXT, min_score=1.0).results[0]
        assert nothing.WhichOneof("outcome") == "entities"
        assert not nothing.entities.entities

    def test_one_bad_item_fails_alone(self, stub: Stub) -> None:
        results = extract(stub, "Anna", "", TOO_LONG).results
        assert [one.WhichOneof("outcome") for one in results] == ["entities", "error", "error"]
        assert [one.input_tokens for one in results] == [1, 0, 0]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"min_score": -0.1}, "min_score"),
            ({"min_score": 1.1}, "min_score"),
            ({"min_score": math.inf}, "min_score"),
            ({"offset_unit": 4}, "offset_unit"),
            ({"truncation": -1}, "truncation"),
        ],
    )
    def test_refusals(self, stub: Stub, fields: dict[str, object], expected: str) -> None:
        failure = refused(lambda: extract(stub, "text", **fields))
        assert (failure.reason, list(failure.fields)) == ("INVALID_ARGUMENT_FIELD", [expected])


class TestDetectLanguage:
    """Languages and how likely they are."""

    def test_likeliest_first(self, stub: Stub) -> None:
        answer = detect(stub, "en", "x", "", top_k=3)
        languages = [(one.language_code, round(one.score, 6)) for one in answer.results[0].languages.languages]
        assert languages == [("en", 0.6), ("de", 0.2), ("zxx", 0.2)]
        assert answer.results[2].HasField("error")
        assert [len(one.languages.languages) for one in detect(stub, "en", "x").results] == [1, 1]
        nothing = detect(stub, "x", min_score=0.9).results[0]
        assert nothing.WhichOneof("outcome") == "languages"
        assert not nothing.languages.languages

    @pytest.mark.parametrize(
        "fields", [{"top_k": 0}, {"top_k": 129}, {"min_score": -0.1}, {"min_score": 1.1}, {"min_score": math.nan}]
    )
    def test_refusals(self, stub: Stub, fields: dict[str, object]) -> None:
        failure = refused(lambda: detect(stub, "text", **fields))
        assert (failure.reason, list(failure.fields)) == ("INVALID_ARGUMENT_FIELD", list(fields))


@pytest.mark.parametrize("method", ["ClassifyText", "ExtractEntities", "DetectLanguage"])
def test_items_are_1_to_512(stub: Stub, method: str) -> None:
    call, make = getattr(stub, method), getattr(pb, f"{method}Request")
    model = {"ClassifyText": "toy-classifier", "ExtractEntities": "toy-tagger", "DetectLanguage": "toy-detector"}[
        method
    ]
    assert len(call(make(model=model, items=items_of(*["a"] * 512))).results) == 512
    assert refused(lambda: call(make(model=model, items=items_of(*["a"] * 513)))).reason == "INPUT_TOO_LARGE"
    assert list(refused(lambda: call(make(model=model))).fields) == ["items"]
    assert list(refused(lambda: call(make(top_k=0) if method != "ExtractEntities" else make())).fields)[:2] == [
        "model",
        "items",
    ]
    unable = refused(lambda: call(make(model="toy-embedder", items=items_of("a"))))
    assert (unable.reason, list(unable.fields)) == ("UNSUPPORTED_FEATURE", ["model"])
    assert "model 'toy-embedder' cannot " in unable.fields["model"]
    assert refused(lambda: call(make(model="toy", items=items_of("a")))).reason == "MODEL_NOT_FOUND"
