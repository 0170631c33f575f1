"""Looking at images: what is sent, what comes back, and what fails where."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, reply
from tests.sdk.vision_script import IMAGE, analyze, outcome, served
from trivium import ScoreScale, _calls, errors, vision
from trivium.v1 import embedding_pb2, vision_pb2

Connect = Callable[..., Face]
PIXELS = np.zeros((100, 200, 3), np.uint8)
SINGLE: list[tuple[str, dict[str, Any], str]] = [
    ("classify", {"top_k": 2, "min_score": 0.0}, "classification"),
    ("detect", {"max_objects": 3, "min_score": 0.5, "iou_threshold": 0.0}, "detection"),
    ("read_text", {"include_word_boxes": True, "min_score": 0.0}, "text_recognition"),
    ("faces", {"include_landmarks": True, "min_score": 0.5, "max_faces": 4}, "faces"),
    ("embed", {"dimensions": 1, "normalize": False}, "embedding"),
]
VECTOR = {"encoding": embedding_pb2.VECTOR_ENCODING_FLOAT32_BYTES}


@pytest.fixture
def seeing(faults: ScriptedServer) -> ScriptedServer:
    faults.script(_calls.ANALYZE_IMAGE, analyze)
    faults.script(_calls.LIST_MODELS, reply(served("seer")))
    return faults


def sent_features(server: ScriptedServer) -> list[vision_pb2.VisionFeature]:
    return list(server.received[-1].request.features)


@pytest.mark.parametrize(("method", "options", "field"), SINGLE, ids=[case[0] for case in SINGLE])
def test_options_are_sent(
    connect: Connect, seeing: ScriptedServer, method: str, options: dict[str, Any], field: str
) -> None:
    connect(seeing.target).call(f"vision.{method}", PIXELS, model="m2", **options)
    (feature,) = sent_features(seeing)
    assert (feature.model, feature.WhichOneof("feature")) == ("m2", field)
    sent = {entry.name: value for entry, value in getattr(feature, field).ListFields()}
    assert sent == options | (VECTOR if method == "embed" else {})


@pytest.mark.parametrize(("method", "options", "field"), SINGLE, ids=[case[0] for case in SINGLE])
def test_absent_options_are_absent(
    connect: Connect, seeing: ScriptedServer, method: str, options: dict[str, Any], field: str
) -> None:
    connect(seeing.target).call(f"vision.{method}", PIXELS)
    (feature,) = sent_features(seeing)
    assert (feature.model, feature.WhichOneof("feature")) == ("seer", field)
    sent = {entry.name: value for entry, value in getattr(feature, field).ListFields()}
    assert sent == (VECTOR if method == "embed" else {})


def test_outcomes(connect: Connect, seeing: ScriptedServer) -> None:
    analysis = connect(seeing.target).call(
        "vision.analyze", PIXELS, ["classify", "detect", "read_text", "faces", "embed"]
    )
    assert analysis.image.size == (200, 100)
    assert (analysis.image.orientation_applied, analysis.image.mime_type) == (True, "image/png")
    assert (analysis.info.usage.image_count, analysis.info.usage.pixel_count) == (1, 20000)
    assert analysis.classification.best == vision.LabelScore(label="cat", score=0.75, class_index=3)
    assert analysis.classification.score_scale is ScoreScale.PROBABILITY
    (thing,) = analysis.detection.objects
    assert (thing.label, thing.score, thing.class_index) == ("cat", 0.5, 3)
    assert thing.box.pixels(analysis.image) == thing.box.pixels((200, 100)) == (50, 50, 100, 100)
    assert analysis.text_recognition.text == "Hello"
    (line,) = analysis.text_recognition.lines
    assert [corner.pixels(analysis.image) for corner in line.polygon] == [(50, 50), (150, 50), (150, 75), (50, 75)]
    assert (line.block_index, line.words[0].text) == (1, "Hello")
    (found,) = analysis.faces.faces
    assert found.landmarks == (vision.FaceLandmark(name="nose", point=vision.ImagePoint(0.5, 0.25)),)
    assert np.array_equal(analysis.embedding.vector, np.array([0.5], np.float32))
    assert [result.model.name for result in analysis.results] == ["seer"] * 5
    assert analysis.failed == ()
    analysis.raise_for_failed()


def test_failing_feature_leaves_the_others(connect: Connect, seeing: ScriptedServer) -> None:
    asked = ["classify", vision.DetectObjects(model="broken"), vision.DetectObjects(model="seer")]
    analysis = connect(seeing.target).call("vision.analyze", PIXELS, asked)
    assert analysis.classification.best.label == "cat"
    (failed,) = analysis.failed
    assert (failed.index, failed.feature, failed.outcome) == (1, asked[1], None)
    assert isinstance(failed.error, errors.UnsupportedFeature)
    assert failed.error.request_id
    with pytest.raises(errors.UnsupportedFeature, match="it is broken"):
        _ = analysis.detection  # the first of the two
    with pytest.raises(LookupError, match="DetectFaces is not among the features"):
        _ = analysis.faces
    with pytest.raises(errors.ItemsFailed, match="item 1"):
        analysis.raise_for_failed()


def test_single_feature_raises_its_error(connect: Connect, seeing: ScriptedServer) -> None:
    with pytest.raises(errors.UnsupportedFeature, match="it is broken"):
        connect(seeing.target).call("vision.detect", PIXELS, model="broken")


def test_models_are_chosen_by_capability_and_remembered(connect: Connect, seeing: ScriptedServer) -> None:
    face = connect(seeing.target, default_model="a-text-model")
    for _ in range(2):
        face.call("vision.analyze", PIXELS, ["detect", vision.ReadText(model="other")])
    assert [feature.model for feature in sent_features(seeing)] == ["seer", "other"]
    asked = [call.request.capability for call in seeing.received if call.path == _calls.LIST_MODELS.path]
    assert len(asked) == 1
    seeing.script(_calls.LIST_MODELS, reply(served("one", "two")))
    with pytest.raises(errors.ModelNotChosen, match="detects faces; name one of one, two"):
        face.call("vision.faces", PIXELS)


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ([], "features is empty"),
        (None, "features is NoneType"),
        (["see"], r"features\[0\] is 'see', not one of classify, detect, read_text, faces, embed"),
        (["detect", 5], r"features\[1\] is int"),
        (vision.ClassifyImage(top_k=0), "top_k is 0"),
        (vision.ClassifyImage(top_k=True), "top_k is True"),
        (vision.DetectObjects(iou_threshold=float("nan")), "iou_threshold is nan"),
        (vision.DetectObjects(min_score="high"), "min_score is 'high'"),  # type: ignore[arg-type]  # wrong on purpose
        (vision.EmbedImage(encoding="int7"), "encoding is 'int7'"),
        (vision.ReadText(model=5), "model is int"),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_wrong_features_are_named(connect: Connect, seeing: ScriptedServer, features: object, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        connect(seeing.target).call("vision.analyze", PIXELS, features)
    assert seeing.received == []


def test_image_that_no_request_carries_is_not_sent(connect: Connect, seeing: ScriptedServer, tmp_path: Path) -> None:
    face = connect(seeing.target, max_message_bytes=1000)
    file = tmp_path / "large.png"
    file.write_bytes(bytes(2000))
    for image in (file, str(file), file.read_bytes(), PIXELS):
        with pytest.raises(errors.InputTooLarge, match=r"image takes \d+ bytes, and a request may have 1000") as caught:
            face.call("vision.detect", image)
        assert caught.value.metadata["field"] == "image"
    assert seeing.received == []


def test_answer_to_other_features_is_refused(connect: Connect, seeing: ScriptedServer) -> None:
    asked = vision_pb2.VisionFeature(model="m", faces=vision_pb2.FaceDetectionFeature())
    for results in ([], [outcome(asked, 0)], [outcome(asked, 1)]):
        seeing.script(_calls.ANALYZE_IMAGE, reply(vision_pb2.AnalyzeImageResponse(image=IMAGE, results=results)))
        with pytest.raises(errors.DataLossError):
            connect(seeing.target).call("vision.detect", PIXELS)
