"""VisionService and wrong requests: every parameter at both ends and beyond, and images that are none."""

import math
from collections.abc import Iterator
from typing import Any  # fields of many types, by name

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.rpc.generating import refused
from tests.rpc.looking import analyze, colours, events, feature, frame, frames_of, reason_of, request_of, setup
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_vision import MODELS, png
from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceStub as Stub

COLOURS, THINGS, READER, FACES = "toy-colours", "toy-things", "toy-reader", "toy-faces"
BIG = 2**31 - 1
NAN, INFINITY = math.nan, math.inf
PNG = png(1)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


PARAMETERS = [
    (COLOURS, "classification", "top_k", (1, 1000), (0, 1001, -1, BIG, -BIG), "1 to 1000"),
    (COLOURS, "classification", "min_score", (0.0, 1.0, -0.0), (-0.001, 1.001, NAN, INFINITY, -INFINITY), "0 to 1"),
    (THINGS, "detection", "max_objects", (1, 1000), (0, 1001, -1, BIG), "1 to 1000"),
    (THINGS, "detection", "min_score", (0.0, 1.0), (-0.001, 1.001, NAN, INFINITY, -INFINITY), "0 to 1"),
    (THINGS, "detection", "iou_threshold", (0.0, 1.0), (-0.001, 1.001, NAN, INFINITY, -INFINITY), "0 to 1"),
    ("toy-things-once", "detection", "iou_threshold", (0.0, 1.0), (-0.001, 1.001, NAN), "0 to 1"),
    (READER, "text_recognition", "min_score", (0.0, 1.0), (-0.001, 1.001, NAN, INFINITY, -INFINITY), "0 to 1"),
    (FACES, "faces", "max_faces", (1, 1000), (0, 1001, -1, BIG), "1 to 1000"),
    (FACES, "faces", "min_score", (0.0, 1.0), (-0.001, 1.001, NAN, INFINITY, -INFINITY), "0 to 1"),
    (COLOURS, "embedding", "dimensions", (4, 8), (0, 9, -1, BIG), "1 to 8"),
    (COLOURS, "embedding", "encoding", (0, 1, 5), (6, -1), "no known VectorEncoding"),
]


@pytest.mark.parametrize(("model", "kind", "name", "good", "bad", "limit"), PARAMETERS)
def test_parameter(
    stub: Stub, model: str, kind: str, name: str, good: tuple[Any, ...], bad: tuple[Any, ...], limit: str
) -> None:
    answer = analyze(stub, PNG, *(feature(model, kind, **{name: value}) for value in good))
    assert [result.WhichOneof("outcome") for result in answer.results] == [kind] * len(good)
    answer = analyze(stub, PNG, *(feature(model, kind, **{name: value}) for value in bad))
    for result in answer.results:
        reason, fields = reason_of(result.error)
        assert (reason, list(fields)) == ("INVALID_ARGUMENT_FIELD", [f"{kind}.{name}"])
        assert limit in fields[f"{kind}.{name}"]


def test_all_of_a_feature_is_told_together(stub: Stub) -> None:
    wrong = feature(THINGS, "detection", max_objects=0, min_score=NAN, iou_threshold=2.0)
    _, fields = reason_of(analyze(stub, PNG, wrong).results[0].error)
    assert list(fields) == ["detection.max_objects", "detection.min_score", "detection.iou_threshold"]
    nameless = feature("", "embedding", dimensions=-1, encoding=9)
    assert reason_of(analyze(stub, PNG, nameless).results[0].error)[1] == {
        "model": "is required; toy-colours, toy-slow can embed images",
        "embedding.dimensions": "is -1; it must be at least 1",
        "embedding.encoding": "9 is no known VectorEncoding",
    }


def test_missing_image_and_features_are_told_together(stub: Stub) -> None:
    failure = refused(lambda: stub.AnalyzeImage(pb.AnalyzeImageRequest()))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
    assert failure.fields == {"image": "is required", "features": "is empty; it must have 1 to 16"}


def test_number_of_features(stub: Stub) -> None:
    assert len(analyze(stub, PNG, *[colours()] * 16).results) == 16
    failure = refused(lambda: analyze(stub, PNG, *[colours()] * 17))
    assert (failure.reason, failure.fields) == (
        "INPUT_TOO_LARGE",
        {"features": "has 17 items; the limit is 16"},
    )
    seventeen = refused(lambda: events(stub, [setup(*[colours()] * 17)]))
    assert seventeen.fields == {"setup.features": "has 17 items; the limit is 16"}


@pytest.mark.parametrize(
    ("media", "field", "problem"),
    [
        (common_pb2.Media(), "image.content", "is required"),
        (common_pb2.Media(mime_type="image/png"), "image.content", "is required"),
        (common_pb2.Media(content=b""), "image.content", "is empty"),
    ],
)
def test_image_without_content(stub: Stub, media: common_pb2.Media, field: str, problem: str) -> None:
    failure = refused(lambda: stub.AnalyzeImage(pb.AnalyzeImageRequest(image=media, features=[colours()])))
    assert (failure.reason, failure.fields) == ("INVALID_ARGUMENT_FIELD", {field: problem})


@pytest.mark.parametrize("content", [b"\0", b"no image", b"\x89PNG\r\n\x1a\n", PNG[:40], PNG[:-20], b"GIF89a"])
def test_undecodable(stub: Stub, content: bytes) -> None:
    failure = refused(lambda: analyze(stub, content, colours()))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNDECODABLE_MEDIA")
    assert failure.metadata == {"field": "image"}
    assert list(failure.fields) == ["image"]
    used = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
    assert used.images.image_count == 0


@pytest.mark.parametrize(
    ("width", "height", "actual", "limit"), [(6001, 6000, 36_006_000, 36_000_000), (16_385, 1, 16_385, 16_384)]
)
def test_too_large(stub: Stub, width: int, height: int, actual: int, limit: int) -> None:
    failure = refused(lambda: analyze(stub, png(width=width, height=height, rows=1), colours()))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INPUT_TOO_LARGE")
    assert failure.metadata == {"field": "image", "actual": str(actual), "limit": str(limit)}
    sent = [SETUP, FRAME, frame(2, png(width=width, height=height, rows=1)), frame(3, PNG)]
    received = list(frames_of(events(stub, sent)))
    assert [one.HasField("error") for one in received] == [False, True, False]
    assert reason_of(received[1].error)[0] == "INPUT_TOO_LARGE"


def test_wrong_mime_type_does_not_matter(stub: Stub) -> None:
    request = request_of(PNG, colours())
    request.image.mime_type = "video/mp4"
    assert stub.AnalyzeImage(request).image.mime_type == "image/png"


FRAME, SETUP = frame(1, PNG), setup(colours())
NOTHING = pb.StreamAnalyzeImageRequest()
UNKNOWN_POLICY = pb.StreamAnalyzeImageRequest(
    setup=pb.StreamAnalyzeImageSetup(frame_policy=3)  # type: ignore[arg-type]  # no such value
)
MISSING = {"setup": "is missing; the first message must be one"}
AGAIN = {"setup": "came again; only the first message may be a setup"}
VIOLATION, FIELD = "STREAM_PROTOCOL_VIOLATION", "INVALID_ARGUMENT_FIELD"


@pytest.mark.parametrize("latest_only", [False, True])
@pytest.mark.parametrize(
    ("sent", "num_answered", "reason", "fields"),
    [
        ([], 0, VIOLATION, MISSING),
        ([FRAME, SETUP], 0, VIOLATION, MISSING),
        ([NOTHING], 0, VIOLATION, MISSING),
        ([SETUP, SETUP], 0, VIOLATION, AGAIN),
        ([SETUP, FRAME, SETUP], 1, VIOLATION, AGAIN),
        ([SETUP, FRAME, NOTHING], 1, FIELD, {"request": "is required: one of setup, frame"}),
        (
            [SETUP, FRAME, FRAME],
            1,
            FIELD,
            {"frame.frame_number": "is 1; it must be greater than 1, that of the frame before"},
        ),
        (
            [SETUP, frame(-5, PNG), frame(-6, PNG)],
            1,
            FIELD,
            {"frame.frame_number": "is -6; it must be greater than -5, that of the frame before"},
        ),
        (
            [UNKNOWN_POLICY],
            0,
            FIELD,
            {
                "setup.features": "is empty; it must have 1 to 16",
                "setup.frame_policy": "3 is no known FramePolicy",
            },
        ),
    ],
)
def test_messages_out_of_turn(
    stub: Stub,
    sent: list[pb.StreamAnalyzeImageRequest],
    num_answered: int,
    reason: str,
    fields: dict[str, str],
    *,
    latest_only: bool,
) -> None:
    if latest_only:
        sent = [setup(colours(), latest_only=True) if message is SETUP else message for message in sent]
    answered: list[pb.StreamAnalyzeImageResponse] = []
    call = stub.StreamAnalyzeImage(iter(sent), timeout=10)
    failure = refused(lambda: answered.extend(event for event in call if not _noted(event, answered)))
    assert (failure.code, failure.reason, failure.fields) == (grpc.StatusCode.INVALID_ARGUMENT, reason, fields)
    assert len(list(frames_of(answered))) == num_answered, "what came before it was answered"


def _noted(event: pb.StreamAnalyzeImageResponse, seen: list[pb.StreamAnalyzeImageResponse]) -> bool:
    seen.append(event)
    return True


def test_frame_numbers_at_both_ends(stub: Stub) -> None:
    numbers = [-(2**63), 0, 2**63 - 1]
    received = events(stub, [SETUP, *(frame(number, PNG) for number in numbers)])
    assert [one.frame_number for one in frames_of(received)] == numbers


@pytest.mark.parametrize(
    ("bad", "reason", "fields"),
    [
        (frame(2, b"no image"), "UNDECODABLE_MEDIA", ["image"]),
        (frame(2, PNG[:-20]), "UNDECODABLE_MEDIA", ["image"]),
        (frame(2, b""), FIELD, ["image.content"]),
        (pb.StreamAnalyzeImageRequest(frame=pb.VideoFrame(frame_number=2)), FIELD, ["image"]),
        (frame(2, b"", media_time=Duration(seconds=1, nanos=-1)), FIELD, ["image.content", "media_time"]),
    ],
)
def test_a_frame_fails_alone(stub: Stub, bad: pb.StreamAnalyzeImageRequest, reason: str, fields: list[str]) -> None:
    received = events(stub, [SETUP, FRAME, bad, frame(3, PNG)])
    first, failed, third = frames_of(received)
    assert (failed.frame_number, len(failed.results), failed.HasField("image")) == (2, 0, False)
    told, told_fields = reason_of(failed.error)
    assert (told, list(told_fields)) == (reason, fields)
    assert first.results == third.results
    completed = received[-1].completed
    assert (completed.analyzed_count, completed.dropped_count) == (3, 0)
    assert completed.info.usage.images.image_count == 2


@pytest.mark.parametrize(
    ("seconds", "nanos", "is_good"),
    [
        (0, 0, True),
        (315_576_000_000, 999_999_999, True),
        (-315_576_000_000, -999_999_999, True),
        (0, -1, True),
        (315_576_000_001, 0, False),
        (-315_576_000_001, 0, False),
        (0, 1_000_000_000, False),
        (0, -1_000_000_000, False),
        (-1, 1, False),
    ],
)
def test_media_time(stub: Stub, seconds: int, nanos: int, *, is_good: bool) -> None:
    time_of_frame = Duration(seconds=seconds, nanos=nanos)
    (result,) = frames_of(events(stub, [SETUP, frame(1, PNG, media_time=time_of_frame)]))
    assert result.HasField("error") is not is_good
    assert result.media_time == time_of_frame


def test_full_queue_fails_the_frame_alone(stub: Stub) -> None:
    received = events(stub, [setup(colours(), feature("toy-full", "detection")), FRAME, frame(2, PNG)])
    assert [reason_of(one.error)[0] for one in frames_of(received)] == ["QUEUE_FULL"] * 2
    assert received[-1].completed.analyzed_count == 2
