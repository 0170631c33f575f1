"""What the scripted server answers to vision calls."""

import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.sdk.scripted import Act
from trivium.v1 import common_pb2, embedding_pb2, models_pb2, vision_pb2

MODEL = common_pb2.ServedModel(name="seer", digest="sha256:1")
IMAGE = vision_pb2.ImageInfo(width_pixels=200, height_pixels=100, orientation_applied=True, mime_type="image/png")
BOX = vision_pb2.BoundingBox(left=0.25, top=0.5, right=0.5, bottom=1)
QUAD = [vision_pb2.NormalizedPoint(x=x, y=y) for x, y in ((0.25, 0.5), (0.75, 0.5), (0.75, 0.75), (0.25, 0.75))]


def label(name: str, score: float, class_index: int = 0) -> common_pb2.LabelScore:
    return common_pb2.LabelScore(label=name, score=score, class_index=class_index)


def refusal(reason: str, text: str) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=text)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="trivium.v1"))
    return status


def outcome(feature: vision_pb2.VisionFeature, index: int) -> vision_pb2.VisionResult:
    """The same outcome for every image, by the kind of the feature; an error for the model `broken`."""
    made = vision_pb2.VisionResult(feature_index=index, model=MODEL)
    if feature.model == "broken":
        made.error.CopyFrom(refusal("UNSUPPORTED_FEATURE", "model: it is broken"))
        return made
    match feature.WhichOneof("feature"):
        case "classification":
            labels = [label("cat", 0.75, 3), label("dog", 0.25, 5)]
            made.classification.CopyFrom(
                vision_pb2.ImageLabels(labels=labels, score_scale=common_pb2.SCORE_SCALE_PROBABILITY)
            )
        case "detection":
            found = vision_pb2.DetectedObject(label=label("cat", 0.5, 3), box=BOX)
            made.detection.objects.append(found)
        case "text_recognition":
            word = vision_pb2.TextWord(text="Hello", score=0.5, polygon=QUAD)
            line = vision_pb2.TextLine(text="Hello", score=0.5, polygon=QUAD, words=[word], block_index=1)
            made.text_recognition.CopyFrom(vision_pb2.RecognizedText(text="Hello", lines=[line]))
        case "faces":
            nose = vision_pb2.FaceLandmark(name="nose", point=vision_pb2.NormalizedPoint(x=0.5, y=0.25))
            made.faces.faces.append(vision_pb2.DetectedFace(box=BOX, score=0.5, landmarks=[nose]))
        case "embedding":
            packed = embedding_pb2.PackedVector(
                data=bytes([0, 0, 0, 63]), encoding=embedding_pb2.VECTOR_ENCODING_FLOAT32_BYTES, dimensions=1
            )
            made.embedding.packed.CopyFrom(packed)
    return made


def analyze(request: vision_pb2.AnalyzeImageRequest, context: grpc.ServicerContext) -> vision_pb2.AnalyzeImageResponse:
    """An act for AnalyzeImage."""
    results = [outcome(feature, index) for index, feature in enumerate(request.features)]
    usage = common_pb2.Usage(images=common_pb2.ImageUsage(image_count=1, pixel_count=20000))
    return vision_pb2.AnalyzeImageResponse(image=IMAGE, results=results, info=common_pb2.CallInfo(usage=usage))


def analyze_stream(
    *, seen: list[vision_pb2.VideoFrame], drop_every_second: bool = False, stop_after: int | None = None
) -> Act:
    """An act for StreamAnalyzeImage. Notes the frames; answers them, or half of them; may say nothing more at one."""

    def act(requests: Any, context: grpc.ServicerContext) -> Iterator[vision_pb2.StreamAnalyzeImageResponse]:
        response = vision_pb2.StreamAnalyzeImageResponse
        setup = next(requests).setup
        yield response(started=vision_pb2.StreamAnalyzeImageStarted())
        sequence = dropped = waiting = 0
        for request in requests:
            frame = request.frame
            seen.append(frame)
            if len(seen) == stop_after:
                while context.is_active():
                    time.sleep(0.01)
                return
            if drop_every_second and len(seen) % 2 == 0:
                dropped, waiting = dropped + 1, waiting + 1
                continue
            sequence += 1
            yield response(sequence=sequence, frame=frame_result(setup, frame, waiting))
            waiting = 0
        completed = vision_pb2.StreamAnalyzeImageCompleted(analyzed_count=sequence, dropped_count=dropped)
        yield response(sequence=sequence + 1, completed=completed)

    return act


def frame_result(
    setup: vision_pb2.StreamAnalyzeImageSetup, frame: vision_pb2.VideoFrame, dropped: int
) -> vision_pb2.FrameResult:
    made = vision_pb2.FrameResult(frame_number=frame.frame_number, dropped_before=dropped)
    if frame.HasField("media_time"):
        made.media_time.CopyFrom(frame.media_time)
    if frame.image.content == b"broken":
        made.error.CopyFrom(refusal("UNDECODABLE_MEDIA", "image is no image"))
        return made
    made.image.CopyFrom(IMAGE)
    made.results.extend(outcome(feature, index) for index, feature in enumerate(setup.features))
    return made


def served(*names: str) -> models_pb2.ListModelsResponse:
    """Models that can do everything with images."""
    capabilities = [
        models_pb2.CAPABILITY_CLASSIFY_IMAGE,
        models_pb2.CAPABILITY_DETECT_OBJECTS,
        models_pb2.CAPABILITY_RECOGNIZE_TEXT,
        models_pb2.CAPABILITY_DETECT_FACES,
        models_pb2.CAPABILITY_EMBED_IMAGE,
    ]
    return models_pb2.ListModelsResponse(
        models=[
            models_pb2.Model(name=name, state=models_pb2.MODEL_STATE_READY, capabilities=capabilities) for name in names
        ]
    )
