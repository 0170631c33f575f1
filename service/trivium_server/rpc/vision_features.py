"""The features of trivium.v1.VisionFeature: which capability each asks for, how it is asked, what its answer becomes.

`open_feature` checks a feature and lends its model; the work that it returns is done once the image is decoded.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium_server.architectures.abilities import model_is_missing
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.vision_capabilities import (
    FaceDetector,
    Image,
    ImageClassifier,
    ImageEmbedder,
    ObjectDetector,
    TextReader,
    VisionMeter,
    VisionModel,
)
from trivium_server.errors import UnsupportedFeature
from trivium_server.numerics import NotFiniteError
from trivium_server.rpc import answers, vision_results
from trivium_server.rpc.pacing import Pacer
from trivium_server.rpc.vectors import write_vector
from trivium_server.rpc.violations import Violations
from trivium_server.rpc.vision_convert import (
    ClassifySpec,
    DetectSpec,
    EmbedImageSpec,
    FacesSpec,
    ReadSpec,
    classify_spec,
    detect_spec,
    embed_image_spec,
    faces_spec,
    read_spec,
)
from trivium_server.text.pooling import shaped

_KINDS = ", ".join(field.name for field in pb.VisionFeature.DESCRIPTOR.oneofs_by_name["feature"].fields)
_FeatureT = TypeVar("_FeatureT")
_ModelT = TypeVar("_ModelT", bound=VisionModel)
_SpecT = TypeVar("_SpecT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An image to look at for one feature, until when, and what that takes.

    warnings: what the work has to tell besides; their paths are those inside the feature.
    """

    image: Image
    deadline_s: float
    meter: VisionMeter
    pacer: Pacer
    warnings: list[common_pb2.Warning] = field(default_factory=list)


Work: TypeAlias = Callable[[Task, pb.VisionResult], Awaitable[None]]
_Check: TypeAlias = Callable[[_FeatureT, _ModelT | None, Violations], _SpecT]
_Answer: TypeAlias = Callable[[_ModelT, _SpecT, Task, pb.VisionResult], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFeature:
    """A feature whose model is lent.

    work: writes the outcome into a result. enough_side: see VisionModel. unused: fields that are not honoured.
    """

    served: common_pb2.ServedModel
    work: Work
    enough_side: int | None
    unused: tuple[str, ...] = ()


def open_feature(feature: pb.VisionFeature, catalog: Catalog, leases: contextlib.ExitStack) -> OpenFeature:
    """Lends the model that a feature names until `leases` are given back.

    Raises what is wrong with the feature, and what Catalog.lease raises; paths are those inside the feature.
    """

    def opened(
        message: _FeatureT,
        capability: type[_ModelT],
        check: _Check[_FeatureT, _ModelT, _SpecT],
        answer: _Answer[_ModelT, _SpecT],
    ) -> OpenFeature:
        found = Violations()
        if not feature.model:
            found.add("model", model_is_missing(capability, catalog.able(capability)))
            check(message, None, found)
            raise AssertionError("a missing name is a violation")
        lease = leases.enter_context(catalog.lease(feature.model, capability, "model"))
        spec = check(message, lease.model, found)
        return OpenFeature(
            served=answers.served_model(lease.card, lease.model.execution_provider),
            work=lambda task, result: answer(lease.model, spec, task, result),
            enough_side=lease.model.enough_side,
            unused=spec.unused if isinstance(spec, DetectSpec) else (),
        )

    # Protocols are what the catalog asks of a model; mypy wants concrete classes for type[T].
    match feature.WhichOneof("feature"):
        case "classification":
            return opened(feature.classification, ImageClassifier, classify_spec, _classify)  # type: ignore[type-abstract]
        case "detection":
            return opened(feature.detection, ObjectDetector, detect_spec, _detect)  # type: ignore[type-abstract]
        case "text_recognition":
            return opened(feature.text_recognition, TextReader, read_spec, _read)  # type: ignore[type-abstract]
        case "faces":
            return opened(feature.faces, FaceDetector, faces_spec, _find_faces)  # type: ignore[type-abstract]
        case "embedding":
            return opened(feature.embedding, ImageEmbedder, embed_image_spec, _embed)  # type: ignore[type-abstract]
        case None:
            found = Violations()
            if not feature.model:
                found.add("model", "is required")
            found.add("feature", f"is required: one of {_KINDS}")
            found.raise_if_any()
            raise AssertionError("a missing feature is a violation")


async def _classify(model: ImageClassifier, spec: ClassifySpec, task: Task, result: pb.VisionResult) -> None:
    scores = await model.classify_image(task.image, deadline_s=task.deadline_s, meter=task.meter)
    labels = vision_results.image_labels(
        scores, model.image_labels, model.image_label_scale, top_k=spec.top_k, min_score=spec.min_score
    )
    result.classification.CopyFrom(labels)


async def _detect(model: ObjectDetector, spec: DetectSpec, task: Task, result: pb.VisionResult) -> None:
    objects = await model.detect_objects(
        task.image,
        max_objects=spec.max_objects,
        min_score=spec.min_score,
        iou_threshold=spec.iou_threshold,
        deadline_s=task.deadline_s,
        meter=task.meter,
    )
    result.detection.CopyFrom(await vision_results.detected_objects(objects, model.object_labels, task.pacer))


async def _read(model: TextReader, spec: ReadSpec, task: Task, result: pb.VisionResult) -> None:
    found = await model.read_text(
        task.image,
        min_score=spec.min_score,
        with_words=spec.with_words,
        deadline_s=task.deadline_s,
        meter=task.meter,
    )
    task.warnings.extend(vision_results.text_warnings(found))
    result.text_recognition.CopyFrom(await vision_results.recognized_text(found.lines, task.pacer))


async def _find_faces(model: FaceDetector, spec: FacesSpec, task: Task, result: pb.VisionResult) -> None:
    faces = await model.detect_faces(
        task.image,
        max_faces=spec.max_faces,
        min_score=spec.min_score,
        deadline_s=task.deadline_s,
        meter=task.meter,
    )
    names = model.landmark_names if spec.with_landmarks else ()
    result.faces.CopyFrom(await vision_results.detected_faces(faces, names, task.pacer))


async def _embed(model: ImageEmbedder, spec: EmbedImageSpec, task: Task, result: pb.VisionResult) -> None:
    vector = await model.embed_image(task.image, deadline_s=task.deadline_s, meter=task.meter)
    embedding = pb.ImageEmbedding()
    try:
        shape = shaped(vector, dimensions=spec.dimensions, normalize=spec.normalize)
        write_vector(shape, spec.encoding, embedding)
    except NotFiniteError:
        raise UnsupportedFeature("image", "what the model makes of it is not finite") from None
    except UnsupportedFeature as error:
        # Said of the encoding alone, which is inside the feature here.
        (violation,) = error.violations
        raise UnsupportedFeature(f"embedding.{violation.field}", violation.description) from None
    result.embedding.CopyFrom(embedding)
