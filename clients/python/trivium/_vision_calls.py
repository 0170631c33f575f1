"""The call of VisionService with one response: its request, and results from what the server answers. Pure."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from trivium._calls import ANALYZE_IMAGE, UnaryCall
from trivium._error_base import DataLossError, TriviumError
from trivium._status import read_item_error
from trivium._text_input import checked_choice
from trivium._vision_features import CAPABILITIES, Feature, feature_message
from trivium.analysis import LabelScore
from trivium.call_info import CallInfo, parse_call_info, parse_served_model
from trivium.embeddings import parse_scale
from trivium.models import Capability
from trivium.v1 import common_pb2, vision_pb2
from trivium.vision import (
    BoundingBox,
    DetectedFace,
    DetectedFaces,
    DetectedObject,
    DetectedObjects,
    FaceLandmark,
    FramePolicy,
    ImageAnalysis,
    ImageEmbedding,
    ImageInfo,
    ImageLabels,
    ImagePoint,
    Outcome,
    RecognizedText,
    TextLine,
    TextWord,
    VisionResult,
)

AnalyzeCall: TypeAlias = UnaryCall[vision_pb2.AnalyzeImageRequest, vision_pb2.AnalyzeImageResponse, ImageAnalysis]

_OutcomeT = TypeVar("_OutcomeT", bound=Outcome)


def analyze(image: bytes, features: Sequence[Feature], request_id: str) -> AnalyzeCall:
    """AnalyzeImage, without the models of features that name none. TypeError or ValueError for what cannot be sent."""
    request = vision_pb2.AnalyzeImageRequest(
        image=common_pb2.Media(content=image), features=[feature_message(feature) for feature in features]
    )
    parse = partial(_parse_analysis, features=features, sent=image, request_id=request_id)
    return UnaryCall(ANALYZE_IMAGE, request, parse)


def stream_setup(features: Sequence[Feature], frame_policy: FramePolicy | str) -> vision_pb2.StreamAnalyzeImageSetup:
    """The setup of StreamAnalyzeImage, without the models of features that name none. Raises as analyze does."""
    policy = checked_choice(FramePolicy, frame_policy, "frame_policy")
    return vision_pb2.StreamAnalyzeImageSetup(
        features=[feature_message(feature) for feature in features],
        frame_policy=vision_pb2.FramePolicy.Value(f"FRAME_POLICY_{policy}"),
    )


def unnamed(
    messages: Iterable[vision_pb2.VisionFeature], features: Iterable[Feature]
) -> list[tuple[vision_pb2.VisionFeature, Capability]]:
    """Returns the features without a model, each with what its model must be able to do."""
    pairs = zip(messages, features, strict=True)
    return [(message, CAPABILITIES[type(feature)]) for message, feature in pairs if feature.model is None]


def only_outcome(analysis: ImageAnalysis, kind: type[_OutcomeT]) -> _OutcomeT:
    """Returns the outcome of a call with one feature. Raises what the feature failed with."""
    (result,) = analysis.results
    if result.error is not None:
        raise result.error
    assert isinstance(result.outcome, kind), "a result has an outcome of its feature or an error"
    return result.outcome


def _parse_analysis(
    raw: vision_pb2.AnalyzeImageResponse, features: Sequence[Feature], sent: bytes, request_id: str
) -> ImageAnalysis:
    image, info = parse_image_info(raw.image), parse_call_info(raw.info)
    parse = ResultParser(features, request_id)
    return ImageAnalysis(
        results=parse.results(raw.results, image, info, sent), sent=sent, image=image, info=info, raw=raw
    )


def parse_image_info(raw: vision_pb2.ImageInfo) -> ImageInfo:
    """Wraps the message."""
    return ImageInfo(
        width=raw.width_pixels,
        height=raw.height_pixels,
        orientation_applied=raw.orientation_applied,
        mime_type=raw.mime_type,
        raw=raw,
    )


class ResultParser:
    """Reads the results of a call, or of each frame of a stream, for the features that were asked for."""

    def __init__(self, features: Sequence[Feature], request_id: str) -> None:
        self._features = features
        self._request_id = request_id

    def error(self, raw: vision_pb2.VisionResult | vision_pb2.FrameResult) -> TriviumError:
        """Returns why a feature, or a whole frame, failed."""
        return read_item_error(raw.error, self._request_id)

    def results(
        self, raw: Sequence[vision_pb2.VisionResult], image: ImageInfo, info: CallInfo | None, sent: bytes
    ) -> tuple[VisionResult, ...]:
        """Wraps the messages. DataLossError where they are not one for each feature, in their order."""
        if [result.feature_index for result in raw] != list(range(len(self._features))):
            raise DataLossError(
                f"the server answered {len(raw)} features of {len(self._features)}, or not in their order"
            )
        return tuple(
            self._result(result, feature, image, info, sent)
            for result, feature in zip(raw, self._features, strict=True)
        )

    def _result(
        self, raw: vision_pb2.VisionResult, feature: Feature, image: ImageInfo, info: CallInfo | None, sent: bytes
    ) -> VisionResult:
        error = self.error(raw) if raw.WhichOneof("outcome") == "error" else None
        outcome = None if error else _parse_outcome(raw, image, info, sent)
        if outcome is not None and _CAPABILITY_OF[type(outcome)] is not CAPABILITIES[type(feature)]:
            raise DataLossError(f"the server answered feature {raw.feature_index} with another one's outcome")
        model = parse_served_model(raw.model) if raw.HasField("model") else None
        return VisionResult(
            index=raw.feature_index, feature=feature, model=model, outcome=outcome, error=error, raw=raw
        )


_CAPABILITY_OF: dict[type[Outcome], Capability] = {
    ImageLabels: Capability.CLASSIFY_IMAGE,
    DetectedObjects: Capability.DETECT_OBJECTS,
    RecognizedText: Capability.RECOGNIZE_TEXT,
    DetectedFaces: Capability.DETECT_FACES,
    ImageEmbedding: Capability.EMBED_IMAGE,
}


def _parse_outcome(raw: vision_pb2.VisionResult, image: ImageInfo, info: CallInfo | None, sent: bytes) -> Outcome:
    model = parse_served_model(raw.model)
    match raw.WhichOneof("outcome"):
        case "classification":
            labels, scale = raw.classification, parse_scale(raw.classification.score_scale)
            found = tuple(_parse_label(label) for label in labels.labels)
            return ImageLabels(
                image=image, model=model, info=info, sent=sent, labels=found, score_scale=scale, raw=labels
            )
        case "detection":
            things = tuple(_parse_object(entry) for entry in raw.detection.objects)
            return DetectedObjects(image=image, model=model, info=info, sent=sent, objects=things, raw=raw.detection)
        case "text_recognition":
            text = raw.text_recognition
            lines = tuple(_parse_line(line) for line in text.lines)
            return RecognizedText(image=image, model=model, info=info, sent=sent, text=text.text, lines=lines, raw=text)
        case "faces":
            faces = tuple(_parse_face(face) for face in raw.faces.faces)
            return DetectedFaces(image=image, model=model, info=info, sent=sent, faces=faces, raw=raw.faces)
        case "embedding":
            from trivium._vectors import decode_image

            vector = decode_image(raw.embedding)
            return ImageEmbedding(image=image, model=model, info=info, sent=sent, vector=vector, raw=raw.embedding)
        case _:
            raise DataLossError("a result of the response has neither an outcome that this version knows nor an error")


def _parse_label(raw: common_pb2.LabelScore) -> LabelScore:
    return LabelScore(label=raw.label, score=raw.score, class_index=raw.class_index)


def _parse_object(raw: vision_pb2.DetectedObject) -> DetectedObject:
    label = raw.label
    return DetectedObject(label=label.label, score=label.score, box=_parse_box(raw.box), class_index=label.class_index)


def _parse_box(raw: vision_pb2.BoundingBox) -> BoundingBox:
    return BoundingBox(left=raw.left, top=raw.top, right=raw.right, bottom=raw.bottom)


def _parse_polygon(raw: Iterable[vision_pb2.NormalizedPoint]) -> tuple[ImagePoint, ...]:
    return tuple(ImagePoint(point.x, point.y) for point in raw)


def _parse_line(raw: vision_pb2.TextLine) -> TextLine:
    words = tuple(
        TextWord(text=word.text, score=word.score, polygon=_parse_polygon(word.polygon)) for word in raw.words
    )
    return TextLine(
        text=raw.text,
        score=raw.score,
        polygon=_parse_polygon(raw.polygon),
        words=words,
        block_index=raw.block_index,
    )


def _parse_face(raw: vision_pb2.DetectedFace) -> DetectedFace:
    landmarks = tuple(
        FaceLandmark(name=mark.name, point=ImagePoint(mark.point.x, mark.point.y)) for mark in raw.landmarks
    )
    return DetectedFace(box=_parse_box(raw.box), score=raw.score, landmarks=landmarks)
