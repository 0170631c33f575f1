"""VisionService with the real models and real photos, on the whole server."""

import gc
from collections.abc import Iterator

import cv2
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.photos import photo
from tests.rpc.looking import analyze, events, feature, frame, frames_of, reason_of, setup
from tests.serving import RunningServer, wait_until
from trivium.v1 import models_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium.v1.vision_pb2_grpc import VisionServiceStub as Stub
from trivium_models.store import Store

CLASSIFIER, DETECTOR, FACES, READER = MODELS = "efficientnet-lite0", "nanodet-coco", "centerface", "pp-ocrv6-small"
LABELLED = feature(CLASSIFIER, "classification", top_k=3)
FOUND = feature(DETECTOR, "detection")
FACED = feature(FACES, "faces", include_landmarks=True)
EMBEDDED = feature(CLASSIFIER, "embedding")
ALL = (LABELLED, FOUND, FACED, EMBEDDED)


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    for name in MODELS:
        store = Store().pull(name).folder.parent
    with RunningServer(store, models__load=",".join(MODELS)) as running:
        yield running


@pytest.fixture(scope="module")
def channel(running: RunningServer) -> Iterator[grpc.Channel]:
    with running.channel() as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Stub:
    return Stub(channel)


def content_of(name: str) -> bytes:
    return photo(name).read_bytes()


def test_four_features_of_a_portrait(stub: Stub) -> None:
    answer = analyze(stub, content_of("astronaut.png"), *ALL)
    labels, objects, faces, vector = answer.results
    assert len(labels.classification.labels) == 3
    assert "person" in {one.label.label for one in objects.detection.objects}
    (face,) = faces.faces.faces
    # She looks at the camera from the upper middle of the picture.
    assert 0.3 < face.box.left < face.box.right < 0.65
    assert 0.05 < face.box.top < face.box.bottom < 0.5
    points = {one.name: one.point for one in face.landmarks}
    assert points["left_eye"].x < points["nose"].x < points["right_eye"].x
    assert points["nose"].y < points["mouth_left"].y
    assert np.linalg.norm(vector.embedding.dense.values) == pytest.approx(1, abs=1e-5)
    assert answer.image == pb.ImageInfo(width_pixels=512, height_pixels=512, mime_type="image/png")
    assert answer.info.usage.compute_duration.ToNanoseconds() > 0
    timing = answer.info.timing
    assert 0 < timing.inference_duration.ToNanoseconds() < timing.total_duration.ToNanoseconds()
    assert 0 < timing.preprocess_duration.ToNanoseconds() < timing.total_duration.ToNanoseconds()


def test_a_scan_is_read_beside_other_features(stub: Stub) -> None:
    read = feature(READER, "text_recognition", include_word_boxes=True)
    text, labels = analyze(stub, content_of("page.png"), read, LABELLED).results
    assert labels.HasField("classification")
    lines = text.text_recognition.lines
    assert "marker" in text.text_recognition.text.lower()
    assert [line for line in text.text_recognition.text.split("\n") if line] == [line.text for line in lines]
    for line in lines:
        assert line.words
        assert len(line.polygon) == 4
        assert all(len(word.polygon) == 4 for word in line.words)
        assert 0 < line.score <= 1
    (strict,) = analyze(stub, content_of("page.png"), feature(READER, "text_recognition", min_score=1.0)).results
    assert not strict.text_recognition.text


def test_a_cat_is_one_for_both_models(stub: Stub) -> None:
    labels, objects = analyze(stub, content_of("chelsea.png"), LABELLED, FOUND).results
    assert "cat" in labels.classification.labels[0].label
    assert "cat" in {one.label.label for one in objects.detection.objects}


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "china.jpg"])
def test_together_as_alone(stub: Stub, name: str) -> None:
    content = content_of(name)
    together = analyze(stub, content, *ALL).results
    for place, one in enumerate(ALL):
        (alone,) = analyze(stub, content, one).results
        alone.feature_index = place
        assert alone == together[place]


def test_stream_equals_unary(stub: Stub) -> None:
    contents = [content_of(name) for name in ("chelsea.png", "astronaut.png", "rocket.jpg")] * 4
    received = events(stub, [setup(*ALL), *(frame(number, content) for number, content in enumerate(contents))])
    for content, result in zip(contents, frames_of(received), strict=True):
        whole = analyze(stub, content, *ALL)
        assert list(result.results) == list(whole.results)
        assert result.image == whole.image
    assert received[-1].completed.analyzed_count == len(contents)


def test_large_jpeg_is_seen_alike_together_and_alone(stub: Stub) -> None:
    """Alone, a classifier is content with an eighth of it."""
    pixels = cv2.imread(str(photo("chelsea.png")))
    assert pixels is not None
    large = cv2.resize(pixels, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    content = cv2.imencode(".jpg", large)[1].tobytes()
    together = analyze(stub, content, *ALL)
    assert (together.image.width_pixels, together.image.height_pixels) == (451 * 8, 300 * 8)
    assert together.info.usage.images.pixel_count == 451 * 8 * 300 * 8
    (labels,) = analyze(stub, content, LABELLED).results
    (vector,) = analyze(stub, content, EMBEDDED).results
    scores, scores_beside = (
        {label.label: label.score for label in one.classification.labels} for one in (labels, together.results[0])
    )
    # Measured on six photos: scores differ by up to 0.01, and vectors have a cosine of 0.9994 at least.
    assert scores == pytest.approx(scores_beside, abs=0.02)
    alone, beside = (one.embedding.dense.values for one in (vector, together.results[3]))
    assert np.dot(alone, beside) > 0.999


def test_faces_of_a_large_jpeg_are_found_alike_in_half_of_it(stub: Stub) -> None:
    """With a reader beside them, which needs all of it, they are found in the whole."""
    pixels = cv2.imread(str(photo("astronaut.png")))
    assert pixels is not None
    wide = cv2.copyMakeBorder(cv2.resize(pixels, (3024, 3024)), 0, 0, 504, 504, cv2.BORDER_REPLICATE)
    content = cv2.imencode(".jpg", wide)[1].tobytes()
    (alone,) = analyze(stub, content, FACED).results
    beside = analyze(stub, content, FACED, feature(READER, "text_recognition")).results[0]
    (one,), (other,) = alone.faces.faces, beside.faces.faces
    # Measured: scores differ by up to 0.001, and boxes by 0.0003 of the image.
    assert one.score == pytest.approx(other.score, abs=0.02)
    for side in ("left", "top", "right", "bottom"):
        assert getattr(one.box, side) == pytest.approx(getattr(other.box, side), abs=0.002)


@pytest.mark.alone
def test_a_blank_image_and_every_face_take_little_time(stub: Stub) -> None:
    """All of the heat map has about one value, so that everything is a candidate, and each overlaps its neighbours."""
    content = cv2.imencode(".png", np.zeros((1024, 1024, 3), np.uint8))[1].tobytes()
    asked = feature(FACES, "faces", min_score=0.0, max_faces=1000)
    first = analyze(stub, content, asked)
    again = analyze(stub, content, *[asked] * 16)
    assert len(again.results) == 16
    assert all(result.faces == first.results[0].faces for result in again.results)
    # Sixteen runs took twelve seconds of it.
    assert again.info.usage.compute_duration.ToSeconds() < 4


def test_images_leave_memory_at_once(running: RunningServer, stub: Stub) -> None:
    content = content_of("astronaut.png")
    gc.collect()
    gc.disable()
    whole = running.app._decoder.free_bytes
    try:
        for _ in range(3):
            analyze(stub, content, *ALL, feature(DETECTOR, "faces"), feature(READER, "text_recognition"))
            events(stub, [setup(*ALL), *(frame(number, content) for number in range(6))])
        assert wait_until(lambda: running.app._decoder.free_bytes == whole)
    finally:
        gc.enable()


def test_a_feature_that_the_model_has_not_fails_alone(stub: Stub) -> None:
    wrong = feature(DETECTOR, "faces"), feature(FACES, "classification"), feature("centreface", "faces")
    *failed, found = analyze(stub, content_of("chelsea.png"), *wrong, FOUND).results
    reasons = [reason_of(one.error)[0] for one in failed]
    assert reasons == ["UNSUPPORTED_FEATURE", "UNSUPPORTED_FEATURE", "MODEL_NOT_FOUND"]
    assert found.detection.objects


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_scores_at_both_ends(stub: Stub, value: float) -> None:
    answer = analyze(
        stub,
        content_of("astronaut.png"),
        feature(CLASSIFIER, "classification", min_score=value, top_k=1000),
        feature(DETECTOR, "detection", min_score=value, max_objects=1000),
        feature(FACES, "faces", min_score=value, max_faces=1000),
    )
    labels, objects, faces = answer.results
    scores = [one.score for one in labels.classification.labels]
    assert scores == sorted(scores, reverse=True)
    scores += [one.label.score for one in objects.detection.objects] + [one.score for one in faces.faces.faces]
    assert all(value <= score <= 1 for score in scores)
    assert len(labels.classification.labels) == 1000 or value
    boxes = [one.box for one in objects.detection.objects] + [one.box for one in faces.faces.faces]
    assert all(0 <= box.left <= box.right <= 1 and 0 <= box.top <= box.bottom <= 1 for box in boxes)


def test_catalogue_and_health_know_what_they_see(channel: grpc.Channel) -> None:
    models = {
        model.name: model for model in ModelServiceStub(channel).ListModels(models_pb2.ListModelsRequest()).models
    }
    classifier, detector, faces = models[CLASSIFIER], models[DETECTOR], models[FACES]
    both = [models_pb2.CAPABILITY_EMBED_IMAGE, models_pb2.CAPABILITY_CLASSIFY_IMAGE]
    assert list(classifier.capabilities) == both
    assert (len(classifier.labels), classifier.embedding.dimensions) == (1000, 1280)
    assert list(detector.capabilities) == [models_pb2.CAPABILITY_DETECT_OBJECTS]
    assert len(detector.labels) == 80
    assert 0 < detector.vision.default_min_score < 1
    assert 0 < detector.vision.default_iou_threshold < 1
    assert list(faces.capabilities) == [models_pb2.CAPABILITY_DETECT_FACES]
    assert list(faces.vision.landmark_names) == ["left_eye", "right_eye", "nose", "mouth_left", "mouth_right"]
    assert all(model.limits.max_image_pixels == 36_000_000 for model in (classifier, detector, faces))
    check = HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="trivium.v1.VisionService"))
    assert check.status == health_pb2.HealthCheckResponse.SERVING
