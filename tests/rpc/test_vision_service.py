"""VisionService.AnalyzeImage over a real channel: each feature alone, usage, ends. The models are toys."""

import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any  # fields of many types, by name

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2

from tests.rpc.generating import refused
from tests.rpc.looking import analyze, colours, events, feature, frame, reason_of, request_of, setup
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_vision import LABELS, LANDMARKS, MODELS, RUN_S, png
from tests.serving import wait_until
from trivium.v1 import common_pb2, embedding_pb2, models_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium.v1.vision_pb2_grpc import VisionServiceStub as Stub

ALL = (
    colours(top_k=1),
    feature("toy-things", "detection", max_objects=2),
    feature("toy-reader", "text_recognition"),
    feature("toy-faces", "faces", max_faces=1),
    feature("toy-colours", "embedding"),
)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


class TestFeatures:
    """What each kind of feature is answered with."""

    def test_labels_best_first_and_equals_by_place(self, stub: Stub) -> None:
        answer = analyze(stub, png(50, 100, 50), colours()).results[0].classification
        assert [(one.label, one.class_index) for one in answer.labels] == [("green", 1), ("red", 0), ("blue", 2)]
        assert [one.score for one in answer.labels] == [0.5, 0.25, 0.25]
        assert answer.score_scale == common_pb2.SCORE_SCALE_PROBABILITY

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"top_k": 1}, 1),
            ({"top_k": 2}, 2),
            ({"top_k": 1000}, 3),
            ({"min_score": 0.0}, 3),
            ({"min_score": 0.25}, 3),
            ({"min_score": 0.25000003}, 1),
            ({"min_score": 1.0}, 0),
        ],
    )
    def test_labels_are_cut(self, stub: Stub, fields: dict[str, Any], expected: int) -> None:
        answer = analyze(stub, png(50, 100, 50), colours(**fields)).results[0]
        assert answer.WhichOneof("outcome") == "classification"
        assert len(answer.classification.labels) == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, 100),
            ({"max_objects": 1}, 1),
            ({"max_objects": 1000}, 601),
            ({"max_objects": 1000, "min_score": 0.0}, 1000),
            ({"min_score": 1.0}, 1),
        ],
    )
    def test_objects(self, stub: Stub, fields: dict[str, float], expected: int) -> None:
        objects = analyze(stub, png(255), feature("toy-things", "detection", **fields)).results[0].detection.objects
        assert len(objects) == expected
        assert [one.label.class_index for one in objects[:4]] == [0, 1, 2, 0][:expected]
        assert all(one.label.label == LABELS[one.label.class_index] for one in objects)
        assert objects[0].box == pb.BoundingBox(left=0, top=0.125, right=1, bottom=1)

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_overlap_reaches_the_model(self, stub: Stub, value: float) -> None:
        answer = analyze(stub, png(255), feature("toy-things", "detection", iou_threshold=value))
        assert answer.results[0].detection.objects[0].box.top == value / 2
        assert not answer.info.warnings

    def test_overlap_that_the_model_does_not_use_is_told(self, stub: Stub) -> None:
        once = feature("toy-things-once", "detection", iou_threshold=0.5, max_objects=1)
        answer = analyze(stub, png(255), colours(), once, once)
        assert [result.WhichOneof("outcome") for result in answer.results] == ["classification"] + 2 * ["detection"]
        assert [(warning.code, warning.field_path) for warning in answer.info.warnings] == [
            (common_pb2.WARNING_CODE_PARAMETER_IGNORED, "features[1].detection.iou_threshold"),
            (common_pb2.WARNING_CODE_PARAMETER_IGNORED, "features[2].detection.iou_threshold"),
        ]
        assert not analyze(stub, png(), feature("toy-things-once", "detection")).info.warnings

    def test_text_has_a_row_for_each_line_and_an_empty_one_between_blocks(self, stub: Stub) -> None:
        read = feature("toy-reader", "text_recognition", min_score=0.0)
        text = analyze(stub, png(1, 22, 3), read).results[0].text_recognition
        assert text.text == "1\n22\n\n3"
        assert [(line.text, line.score, line.block_index, len(line.words)) for line in text.lines] == [
            ("1", 1.0, 0, 0),
            ("22", 0.75, 0, 0),
            ("3", 0.25, 1, 0),
        ]
        assert [(point.x, point.y) for point in text.lines[0].polygon] == [
            (0.125, 0.25),
            (0.5, 0.25),
            (0.5, 0.375),
            (0.125, 0.375),
        ]

    @pytest.mark.parametrize(("min_score", "expected"), [(None, 2), (0.0, 3), (0.75, 2), (1.0, 1)])
    def test_words_where_they_are_asked_for(self, stub: Stub, min_score: float | None, expected: int) -> None:
        read = feature("toy-reader", "text_recognition", include_word_boxes=True, min_score=min_score)
        lines = analyze(stub, png(1, 22, 3), read).results[0].text_recognition.lines
        assert [[word.text for word in line.words] for line in lines] == [["1"], ["22"], ["3"]][:expected]
        assert all(len(line.words[0].polygon) == 4 for line in lines)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [({}, 100), ({"max_faces": 1000, "min_score": 0.0}, 1000), ({"min_score": 1.0}, 1), ({"max_faces": 1}, 1)],
    )
    def test_faces(self, stub: Stub, fields: dict[str, float], expected: int) -> None:
        faces = analyze(stub, png(255), feature("toy-faces", "faces", **fields)).results[0].faces.faces
        assert len(faces) == expected
        assert not faces[0].landmarks
        assert faces[0].score == 1

    def test_landmarks_where_they_are_asked_for(self, stub: Stub) -> None:
        (face,) = (
            analyze(stub, png(51), feature("toy-faces", "faces", max_faces=1, include_landmarks=True))
            .results[0]
            .faces.faces
        )
        assert [one.name for one in face.landmarks] == list(LANDMARKS)
        assert [one.point.x for one in face.landmarks] == [0, 0.125, 0.25, 0.375, 0.5]
        assert face.landmarks[0].point.y == np.float32(0.2)

    def test_vectors_are_cut_and_then_normalized(self, stub: Stub) -> None:
        def vector(**fields: object) -> list[float]:
            result = analyze(stub, png(1), feature("toy-colours", "embedding", **fields)).results[0]
            return list(result.embedding.dense.values)

        powers = 2.0 ** np.arange(8)
        assert vector(normalize=False) == powers.tolist()
        assert vector(normalize=False, dimensions=4) == powers[:4].tolist()
        assert vector(normalize=False, dimensions=8) == powers.tolist()
        assert vector() == pytest.approx(powers / np.linalg.norm(powers), abs=1e-7)
        assert vector(dimensions=4) == pytest.approx(powers[:4] / np.linalg.norm(powers[:4]), abs=1e-7)

    @pytest.mark.parametrize(
        ("name", "num_bytes"), [("FLOAT32_BYTES", 32), ("FLOAT16_BYTES", 16), ("INT8_BYTES", 8), ("BINARY_BYTES", 1)]
    )
    def test_vectors_in_bytes(self, stub: Stub, name: str, num_bytes: int) -> None:
        encoding = embedding_pb2.VectorEncoding.Value(f"VECTOR_ENCODING_{name}")
        packed = (
            analyze(stub, png(1), feature("toy-colours", "embedding", encoding=encoding)).results[0].embedding.packed
        )
        assert (len(packed.data), packed.dimensions, packed.encoding) == (num_bytes, 8, encoding)

    def test_a_vector_of_zeros_stays_one(self, stub: Stub) -> None:
        assert list(analyze(stub, png(), ALL[4]).results[0].embedding.dense.values) == [0] * 8


class TestFailingAlone:
    """A feature that fails has its error; the others are answered."""

    def test_each_error_is_the_feature_s_own(self, stub: Stub) -> None:
        features = [
            colours(),
            feature("toy-colors", "classification"),
            feature("", "detection", max_objects=0, min_score=2.0),
            pb.VisionFeature(),
            pb.VisionFeature(model="toy-colours"),
            feature("toy-colours", "faces"),
            feature("toy-fussy", "detection"),
            feature("toy-colours", "embedding", encoding=embedding_pb2.VECTOR_ENCODING_FLOAT16_BYTES, normalize=False),
            feature("toy-colours", "embedding", dimensions=7),
            colours(),
        ]
        answer = stub.AnalyzeImage(request_of(png(1, 0, 255), *features), metadata=(("x-request-id", "r-1"),))
        assert [result.feature_index for result in answer.results] == list(range(10))
        assert answer.results[0].classification == answer.results[9].classification
        kinds = "classification, detection, text_recognition, faces, embedding"
        assert [reason_of(result.error) for result in answer.results[1:9]] == [
            ("MODEL_NOT_FOUND", {}),
            (
                "INVALID_ARGUMENT_FIELD",
                {
                    "model": "is required; toy-broken, toy-full, toy-fussy, toy-things, toy-things-once "
                    "can detect objects",
                    "detection.max_objects": "is 0; it must be 1 to 1000",
                    "detection.min_score": "is 2; it must be 0 to 1",
                },
            ),
            ("INVALID_ARGUMENT_FIELD", {"model": "is required", "feature": f"is required: one of {kinds}"}),
            ("INVALID_ARGUMENT_FIELD", {"feature": f"is required: one of {kinds}"}),
            ("UNSUPPORTED_FEATURE", {"model": "model 'toy-colours' cannot detect faces; toy-faces can"}),
            ("UNSUPPORTED_FEATURE", {"image": "is not to its taste"}),
            (
                "UNSUPPORTED_FEATURE",
                {
                    "embedding.encoding": "the vector has a component beyond 65504, "
                    "the most of VECTOR_ENCODING_FLOAT16_BYTES"
                },
            ),
            ("UNSUPPORTED_FEATURE", {"embedding.dimensions": "is 7; the model was trained for 8, 4"}),
        ]
        info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
        answer.results[1].error.details[0].Unpack(info)
        answer.results[1].error.details[-1].Unpack(request_info)
        assert "toy-colours" in info.metadata["near_matches"].split(",")
        assert request_info.request_id == "r-1"
        assert answer.results[1].error.code == grpc.StatusCode.NOT_FOUND.value[0]
        assert not answer.results[1].HasField("model")
        assert answer.results[6].model.name == "toy-fussy"

    def test_a_vector_with_a_nan_fails_alone(self, stub: Stub) -> None:
        first, second = analyze(stub, png(1, 0, 254), ALL[4], colours()).results
        assert reason_of(first.error) == ("UNSUPPORTED_FEATURE", {"image": "what the model makes of it is not finite"})
        assert second.HasField("classification")

    def test_models_that_are_not_ready_fail_alone(self, stub: Stub, toys: ToyServer) -> None:
        toys.thread.run(toys.catalog.unload("toy-faces", 1.0))
        try:
            answer = analyze(stub, png(1), *ALL)
            assert reason_of(answer.results[3].error)[0] == "MODEL_NOT_READY"
            assert sum(result.HasField("error") for result in answer.results) == 1
        finally:
            toys.thread.loop.call_soon_threadsafe(toys.catalog.start_load, "toy-faces")
            toys.thread.run(toys.catalog.settled())
        assert wait_until(lambda: not analyze(stub, png(1), ALL[3]).results[0].HasField("error"))

    def test_results_of_more_than_16_mib_fail_alone(self, stub: Stub) -> None:
        novel = feature("toy-novel", "text_recognition")
        answer = analyze(stub, png(1, 1, 1), novel, novel, novel, colours())
        # Two lines of two MiB, in `text` and in `lines`: 8 MiB each.
        assert [result.WhichOneof("outcome") for result in answer.results] == [
            "text_recognition",
            "error",
            "error",
            "classification",
        ]
        reason, fields = reason_of(answer.results[1].error)
        assert (reason, list(fields)) == ("INPUT_TOO_LARGE", ["text_recognition"])
        assert "the limit is 16777216" in fields["text_recognition"]
        assert answer.ByteSize() < 16 * 1024 * 1024

    def test_all_features_may_fail(self, stub: Stub) -> None:
        answer = analyze(stub, png(1, width=5), pb.VisionFeature(model="none", faces=pb.FaceDetectionFeature()))
        assert answer.results[0].HasField("error")
        assert answer.image.width_pixels == 5
        assert not answer.info.HasField("model")
        assert answer.info.usage.images.image_count == 1


class TestWholeCall:
    """What is told of the call, and what ends it."""

    def test_sixteen_features_in_their_order(self, stub: Stub) -> None:
        features = [ALL[place % len(ALL)] for place in range(16)]
        answer = analyze(stub, png(7), *features)
        kinds = [one.WhichOneof("feature") for one in features]
        assert [result.WhichOneof("outcome") for result in answer.results] == kinds
        assert [result.model.name for result in answer.results] == [one.model for one in features]

    def test_what_is_asked_again_is_answered_once(self, stub: Stub) -> None:
        once, other = feature("toy-things-once", "detection", iou_threshold=0.5, max_objects=3), colours()
        wrong = feature("toy-things", "faces")
        answer = analyze(stub, png(7), once, other, once, wrong, other, once, wrong)
        assert answer.info.usage.compute_duration.ToMicroseconds() == 2 * 3 * round(1e6 * RUN_S)
        assert [result.feature_index for result in answer.results] == list(range(7))
        for place, like in ((2, 0), (5, 0), (4, 1), (6, 3)):
            answer.results[place].feature_index = like
            assert answer.results[place] == answer.results[like]
        paths = [warning.field_path for warning in answer.info.warnings]
        assert paths == [f"features[{place}].detection.iou_threshold" for place in (0, 2, 5)]

    def test_text_that_was_not_read_is_told(self, stub: Stub) -> None:
        crowded = feature("toy-crowded", "text_recognition")
        warnings = analyze(stub, png(7), colours(), crowded).info.warnings
        assert [(warning.code, warning.field_path) for warning in warnings] == [
            (common_pb2.WARNING_CODE_RESULTS_LEFT_OUT, "features[1].text_recognition"),
            (common_pb2.WARNING_CODE_DETAIL_TOO_FINE, "features[1].text_recognition"),
        ]
        assert warnings[0].message.startswith("12 lines ")
        streamed = events(stub, [setup(crowded), frame(1, png(7)), frame(2, png(7))])[-1].completed.info.warnings
        assert [warning.field_path for warning in streamed] == 2 * ["setup.features[0].text_recognition"]
        assert not analyze(stub, png(7), ALL[2]).info.warnings

    def test_image_is_described(self, stub: Stub) -> None:
        image = analyze(stub, png(width=37, height=11), colours()).image
        assert image == pb.ImageInfo(width_pixels=37, height_pixels=11, mime_type="image/png")

    def test_usage_adds_up_and_stages_are_those_of_the_slowest(self, stub: Stub, toys: ToyServer) -> None:
        answer = analyze(stub, png(width=40, height=30), *ALL)
        usage, timing = answer.info.usage, answer.info.timing
        assert (usage.images.image_count, usage.images.pixel_count) == (1, 1200)
        assert usage.compute_duration.ToMicroseconds() == 5 * 3 * round(1e6 * RUN_S)
        assert timing.queue_duration.ToMicroseconds() == 2 * round(1e6 * RUN_S)
        assert timing.inference_duration.ToMicroseconds() == 3 * round(1e6 * RUN_S)
        assert timing.preprocess_duration.ToMicroseconds() > round(1e6 * RUN_S)
        assert timing.total_duration.ToNanoseconds() > 0
        assert not answer.info.HasField("model"), "several answered"
        single = analyze(stub, png(), ALL[0], ALL[4], feature("nothing", "faces")).info
        assert single.model == answer.results[0].model
        assert single.model.execution_provider == "ToyExecutionProvider"

    def test_features_run_side_by_side(self, stub: Stub, toys: ToyServer) -> None:
        began = time.monotonic()
        assert len(analyze(stub, png(1), *(colours("toy-slow", top_k=top_k) for top_k in range(1, 9))).results) == 8
        assert time.monotonic() - began < 8 * 0.1, "eight of a tenth of a second"

    def test_full_queue_ends_the_call_with_usage(self, stub: Stub) -> None:
        failure = refused(lambda: analyze(stub, png(1), colours(), feature("toy-full", "detection")))
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert failure.trailing["grpc-retry-pushback-ms"] == "1500"
        used = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
        assert used.images.image_count == 1
        assert used.compute_duration.ToMicroseconds() >= 3 * round(1e6 * RUN_S)

    def test_defect_of_a_model_ends_the_call_and_tells_nothing(self, stub: Stub) -> None:
        failure = refused(lambda: analyze(stub, png(1), colours(), feature("toy-broken", "detection")))
        assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")

    def test_deadline_ends_the_call_and_leaves_nothing(self, stub: Stub, toys: ToyServer) -> None:
        toys.set_gate("toy-colours", is_open=False)
        try:
            request = request_of(png(1), colours(), ALL[1])
            failure = refused(lambda: stub.AnalyzeImage(request, timeout=0.5))
            # The reason is missing when the caller's own clock is the first to end the call.
            assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
            assert wait_until(lambda: toys.models["toy-colours"].num_under_way == 0)
            assert wait_until(lambda: toys.admission.in_flight == 0)
        finally:
            toys.set_gate("toy-colours", is_open=True)

    def test_vanished_caller_leaves_nothing(self, stub: Stub, toys: ToyServer) -> None:
        model = toys.models["toy-colours"]
        toys.set_gate("toy-colours", is_open=False)
        try:
            call = stub.AnalyzeImage.future(request_of(png(1), *(colours(top_k=top_k) for top_k in range(1, 17))))
            assert wait_until(lambda: model.num_under_way == 16)
            call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
            assert wait_until(lambda: model.num_under_way == 0)
            assert wait_until(lambda: toys.admission.in_flight == 0)
            # Its leases are given back: it unloads at once.
            assert wait_until(lambda: toys.metrics.records[-1].status == "CANCELLED")
        finally:
            toys.set_gate("toy-colours", is_open=True)

    def test_images_leave_memory_at_once_however_a_call_ends(self, stub: Stub, toys: ToyServer) -> None:
        """The decoder counts what is in use; a cycle of references would hold it until it is collected."""
        content = png(width=500, height=500)
        calls: list[tuple[pb.VisionFeature, ...]] = [
            ALL,
            (
                colours(),
                feature("toy-fussy", "detection"),
                feature("nothing", "faces"),
                feature("toy-faces", "detection"),
            ),
            (colours(), feature("toy-full", "detection")),
        ]
        gc.collect()
        gc.disable()
        whole = toys.decoder.free_bytes
        try:
            for features in calls * 3:
                with contextlib.suppress(grpc.RpcError):
                    analyze(stub, content, *features)
                with contextlib.suppress(grpc.RpcError):
                    events(stub, [setup(*features), *(frame(number, content) for number in range(9))])
            assert wait_until(lambda: toys.decoder.free_bytes == whole)
            toys.set_gate("toy-colours", is_open=False)
            with contextlib.suppress(grpc.RpcError):
                stub.AnalyzeImage(request_of(content, *ALL), timeout=0.2)
            assert wait_until(lambda: toys.decoder.free_bytes == whole)
        finally:
            gc.enable()
            toys.set_gate("toy-colours", is_open=True)

    def test_calls_from_many_threads_get_their_own_answers(self, stub: Stub) -> None:
        wrong: list[int] = []

        def ask(value: int) -> None:
            for _ in range(10):
                text = analyze(stub, png(value, value), ALL[2]).results[0].text_recognition.text
                if text != f"{value}\n{value}":
                    wrong.append(value)

        threads = [threading.Thread(target=ask, args=(value,)) for value in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not wrong


def test_models_tell_what_they_see(toys: ToyServer) -> None:
    stub = ModelServiceStub(toys.channel)
    models = {model.name: model for model in stub.ListModels(models_pb2.ListModelsRequest()).models}
    seeing = models["toy-colours"]
    assert {models_pb2.CAPABILITY_CLASSIFY_IMAGE, models_pb2.CAPABILITY_EMBED_IMAGE} <= set(seeing.capabilities)
    assert list(seeing.labels) == list(LABELS)
    assert seeing.limits.max_image_pixels == toys.catalog._config.images.max_pixels > 0
    assert (seeing.embedding.dimensions, list(seeing.embedding.supported_dimensions)) == (8, [8, 4])
    things = models["toy-things"]
    assert (things.vision.default_min_score, things.vision.default_iou_threshold) == (0.5, 0.25)
    assert list(things.labels) == list(LABELS)
    assert models["toy-things-once"].vision.default_iou_threshold == 0
    assert list(models["toy-faces"].vision.landmark_names) == list(LANDMARKS)
    assert models["toy-reader"].vision.default_min_score == 0.5
    for capability, names in {
        models_pb2.CAPABILITY_RECOGNIZE_TEXT: {"toy-reader", "toy-novel", "toy-crowded"},
        models_pb2.CAPABILITY_DETECT_FACES: {"toy-faces"},
        models_pb2.CAPABILITY_EMBED_IMAGE: {"toy-colours", "toy-slow"},
    }.items():
        listed = stub.ListModels(models_pb2.ListModelsRequest(capability=capability)).models
        assert {model.name for model in listed} == names
