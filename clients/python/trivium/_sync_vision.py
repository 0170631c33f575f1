"""The blocking client's face for images."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from trivium import _vision_calls
from trivium._call_settings import stream_options, unary_options
from trivium._image_input import ImageInput, encoded
from trivium._metadata import Metadata
from trivium._retry import Deadline
from trivium._sync_frame_stream import FrameStream
from trivium._sync_models import ModelChoice
from trivium._sync_transport import SyncTransport
from trivium._vision_features import (
    CAPABILITIES,
    ClassifyImage,
    DetectFaces,
    DetectObjects,
    EmbedImage,
    Feature,
    FeatureName,
    ReadText,
    checked_features,
)
from trivium.embeddings import VectorEncoding
from trivium.settings import CallOptions
from trivium.v1 import vision_pb2
from trivium.vision import (
    DetectedFaces,
    DetectedObjects,
    FramePolicy,
    ImageAnalysis,
    ImageEmbedding,
    ImageLabels,
    Outcome,
    RecognizedText,
    VideoFrame,
)

__all__ = ["VisionClient"]

_OutcomeT = TypeVar("_OutcomeT", bound=Outcome)


class VisionClient:
    """Looks at images. Thread-safe.

        client.vision.read_text("scan.png").text

    image: the path of a file, its bytes, an array of uint8 (RGB, RGBA or grey), or a PIL image; see
        trivium.vision.ImageInput. JPEG, PNG, WebP, GIF, BMP and TIFF are read. Arrays and PIL images are sent as PNG,
        without loss.
    model: without it, the only ready model of the server that can do what is asked, which is asked for at most every 30
        seconds. ModelNotChosen where there is none or several. The client's default_model does not count here: one name
        cannot stand for what different features need.
    timeout_s: limit in seconds for everything that the call takes, finding its models and all attempts included; None
        is the client's timeout_s. math.inf sends no limit.
    request_id: 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -; None makes a new one.
    metadata: more metadata for this call, over the client's.

    Every method raises UndecodableMedia for what is no image, InputTooLarge, before anything is sent, for one that a
    request cannot carry, and any other TriviumError; OSError for a path that cannot be read; TypeError or ValueError
    for arguments that cannot be sent. Every result has `draw()`, except a vector.
    """

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport
        self._choices = {
            capability: ModelChoice(transport, capability, takes_default=False) for capability in CAPABILITIES.values()
        }

    def classify(
        self,
        image: ImageInput,
        *,
        model: str | None = None,
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> ImageLabels:
        """Says what an image shows as a whole; top_k and min_score are as in ClassifyImage."""
        feature = ClassifyImage(model=model, top_k=top_k, min_score=min_score)
        return self._one(image, feature, ImageLabels, timeout_s, request_id, metadata)

    def detect(
        self,
        image: ImageInput,
        *,
        model: str | None = None,
        max_objects: int | None = None,
        min_score: float | None = None,
        iou_threshold: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> DetectedObjects:
        """Finds things, or the parts of a page with a model for that; the options are as in DetectObjects.

        A server may well have one of each, and then only `model` says which is meant.
        """
        feature = DetectObjects(model=model, max_objects=max_objects, min_score=min_score, iou_threshold=iou_threshold)
        return self._one(image, feature, DetectedObjects, timeout_s, request_id, metadata)

    def read_text(
        self,
        image: ImageInput,
        *,
        model: str | None = None,
        include_word_boxes: bool = False,
        min_score: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> RecognizedText:
        """Reads what is written in an image; include_word_boxes and min_score are as in ReadText."""
        feature = ReadText(model=model, include_word_boxes=include_word_boxes, min_score=min_score)
        return self._one(image, feature, RecognizedText, timeout_s, request_id, metadata)

    def faces(
        self,
        image: ImageInput,
        *,
        model: str | None = None,
        include_landmarks: bool = False,
        min_score: float | None = None,
        max_faces: int | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> DetectedFaces:
        """Finds faces, and tells nobody apart; the options are as in DetectFaces."""
        feature = DetectFaces(
            model=model, include_landmarks=include_landmarks, min_score=min_score, max_faces=max_faces
        )
        return self._one(image, feature, DetectedFaces, timeout_s, request_id, metadata)

    def embed(
        self,
        image: ImageInput,
        *,
        model: str | None = None,
        dimensions: int | None = None,
        normalize: bool | None = None,
        encoding: VectorEncoding | str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> ImageEmbedding:
        """Turns an image into a vector; the options are as in EmbedImage."""
        feature = EmbedImage(model=model, dimensions=dimensions, normalize=normalize, encoding=encoding)
        return self._one(image, feature, ImageEmbedding, timeout_s, request_id, metadata)

    def analyze(
        self,
        image: ImageInput,
        features: Sequence[Feature | FeatureName] | Feature | FeatureName,
        *,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> ImageAnalysis:
        """Answers several features of an image, which is sent and decoded once.

            analysis = client.vision.analyze("photo.jpg", ["classify", vision.DetectObjects(max_objects=9)])
            analysis.classification.best, analysis.detection.objects

        features: 1 to 16, by name or with their options.

        A feature that fails is no exception here: its result has the error, and the others their outcomes. Raises
        ModelNotChosen, and nothing is sent, where a feature names no model and no single one is meant.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        asked = checked_features(features)
        file = encoded(image, self._transport.settings.max_message_bytes)
        call = _vision_calls.analyze(file, asked, options.request_id)
        deadline = Deadline(options.timeout_s)
        self._name_models(call.request.features, asked, options, deadline)
        return self._transport.unary(call, options, deadline)

    def _one(
        self,
        image: ImageInput,
        feature: Feature,
        kind: type[_OutcomeT],
        timeout_s: float | None,
        request_id: str | None,
        metadata: Metadata | None,
    ) -> _OutcomeT:
        analysis = self.analyze(image, feature, timeout_s=timeout_s, request_id=request_id, metadata=metadata)
        return _vision_calls.only_outcome(analysis, kind)

    def _name_models(
        self,
        messages: Iterable[vision_pb2.VisionFeature],
        features: Sequence[Feature],
        options: CallOptions,
        deadline: Deadline,
    ) -> None:
        """Fills in the models that are meant, within the deadline of the call."""
        for message, capability in _vision_calls.unnamed(messages, features):
            message.model = self._choices[capability].name(options, deadline)

    def analyze_stream(
        self,
        frames: Iterable[ImageInput | VideoFrame],
        features: Sequence[Feature | FeatureName] | Feature | FeatureName,
        *,
        frame_policy: FramePolicy | str = FramePolicy.EVERY_FRAME,
        timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> FrameStream:
        """Answers the same features of each frame while frames arrive; see FrameStream.

        frames: any iterable of images, or of VideoFrame, also one that never ends. Arrays are sent as PNG, several
            megabytes for each large frame: give jpeg(frame) where the line is slow.
        frame_policy: LATEST_ONLY for a camera, EVERY_FRAME for a film.
        timeout_s: limit in seconds for the whole stream; None sends none, and the server then applies its longest one.
        idle_timeout_s: how long the server may owe a result and send none; None is the client's idle_timeout_s.

        Raises TypeError or ValueError at once for features that cannot be sent; iterating raises the rest.
        """
        asked = checked_features(features)
        options = stream_options(self._transport.settings, timeout_s, idle_timeout_s, request_id, metadata)
        setup = _vision_calls.stream_setup(asked, frame_policy)
        return FrameStream(
            self._transport,
            frames,
            setup,
            asked,
            options,
            lambda deadline: self._name_models(setup.features, asked, options, deadline),
        )
