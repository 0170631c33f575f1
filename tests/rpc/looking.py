"""Calling VisionService in tests."""

from collections.abc import Iterable, Iterator
from typing import Any  # features have fields of many types, by name

from google.rpc import error_details_pb2, status_pb2

from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceStub as Stub

_KINDS = {
    "classification": pb.ImageClassificationFeature,
    "detection": pb.ObjectDetectionFeature,
    "text_recognition": pb.TextRecognitionFeature,
    "faces": pb.FaceDetectionFeature,
    "embedding": pb.ImageEmbeddingFeature,
}


def feature(model: str, kind: str, **fields: Any) -> pb.VisionFeature:
    """A feature of one kind; its fields by name."""
    return pb.VisionFeature(model=model, **{kind: _KINDS[kind](**fields)})


def colours(model: str = "toy-colours", **fields: Any) -> pb.VisionFeature:
    return feature(model, "classification", **fields)


def request_of(content: bytes, *features: pb.VisionFeature) -> pb.AnalyzeImageRequest:
    return pb.AnalyzeImageRequest(image=common_pb2.Media(content=content), features=features)


def analyze(stub: Stub, content: bytes, *features: pb.VisionFeature) -> pb.AnalyzeImageResponse:
    return stub.AnalyzeImage(request_of(content, *features), timeout=60)


def setup(*features: pb.VisionFeature, latest_only: bool = False) -> pb.StreamAnalyzeImageRequest:
    policy = pb.FRAME_POLICY_LATEST_ONLY if latest_only else pb.FRAME_POLICY_UNSPECIFIED
    return pb.StreamAnalyzeImageRequest(setup=pb.StreamAnalyzeImageSetup(features=features, frame_policy=policy))


def frame(number: int, content: bytes, **fields: Any) -> pb.StreamAnalyzeImageRequest:
    return pb.StreamAnalyzeImageRequest(
        frame=pb.VideoFrame(frame_number=number, image=common_pb2.Media(content=content), **fields)
    )


def events(stub: Stub, messages: Iterable[pb.StreamAnalyzeImageRequest]) -> list[pb.StreamAnalyzeImageResponse]:
    return list(stub.StreamAnalyzeImage(iter(messages), timeout=60))


def reason_of(status: status_pb2.Status) -> tuple[str, dict[str, str]]:
    """The reason, and the violated fields with their descriptions."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    assert info.domain == "trivium.v1"
    return info.reason, {violation.field: violation.description for violation in bad.field_violations}


def frames_of(received: Iterable[pb.StreamAnalyzeImageResponse]) -> Iterator[pb.FrameResult]:
    return (event.frame for event in received if event.HasField("frame"))
