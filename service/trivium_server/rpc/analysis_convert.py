"""Requests of TextAnalysisService into frozen requests, as embedding_convert does it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trivium.v1 import analysis_pb2 as pb
from trivium.v1 import common_pb2
from trivium_server.architectures.text_capabilities import Truncation
from trivium_server.rpc.spans import Unit
from trivium_server.rpc.text_items import truncation
from trivium_server.rpc.violations import MAX_ITEMS, MAX_LABEL_BYTES, Violations

_DEFAULT_TOP_K = 128
_ANY_SCORE = -math.inf
_PLACE = "{}"
_UNITS: dict[int, Unit] = {
    **{value: value for value in common_pb2.OffsetUnit.values()},
    common_pb2.OFFSET_UNIT_UNSPECIFIED: common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySpec:
    """How to classify. labels: those of the model, or of the request; candidates: what is embedded for the latter."""

    labels: tuple[str, ...]
    candidates: tuple[str, ...]
    top_k: int
    min_score: float
    truncation: Truncation


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractSpec:
    """Which entities to return, and how."""

    min_score: float
    unit: Unit
    truncation: Truncation


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectSpec:
    """Which languages to return."""

    top_k: int
    min_score: float


def classify_spec(request: pb.ClassifyTextRequest, own_labels: Sequence[str] | None, found: Violations) -> ClassifySpec:
    """Returns how a call classifies. Raises what `found` holds already and what is found here, all together.

    own_labels: those that the model was trained with, empty for one that takes any; None without a model.
    """
    found.count("analyse.items", len(request.items), "items", at_least=1)
    if own_labels and request.candidate_labels:
        found.unsupported("candidate_labels", "the model has labels of its own, see Model.labels")
    else:
        takes_any_labels = own_labels is not None and not own_labels
        if takes_any_labels and not request.candidate_labels:
            most = MAX_ITEMS["classify.candidate_labels"]
            found.add("candidate_labels", f"is empty; the model has no labels of its own, so it needs 1 to {most}")
        _check_labels(request.candidate_labels, found)
    if request.label_template:
        _check_template(request, found)
    if request.HasField("top_k"):
        found.number("classify.top_k", request.top_k, "top_k")
    if request.HasField("min_score"):
        found.number("classify.min_score", request.min_score, "min_score")
    policy = truncation(request.truncation, "truncation", found)
    found.raise_if_any()
    given = tuple(request.candidate_labels)
    template = request.label_template or _PLACE
    return ClassifySpec(
        labels=tuple(own_labels or given),
        candidates=tuple(template.replace(_PLACE, label) for label in given),
        top_k=request.top_k if request.HasField("top_k") else _DEFAULT_TOP_K,
        min_score=request.min_score if request.HasField("min_score") else _ANY_SCORE,
        truncation=policy,
    )


def extract_spec(request: pb.ExtractEntitiesRequest, found: Violations) -> ExtractSpec:
    """Returns how a call extracts. Raises what `found` holds already and what is found here, all together."""
    found.count("analyse.items", len(request.items), "items", at_least=1)
    if request.HasField("min_score"):
        found.number("extract.min_score", request.min_score, "min_score")
    unit = found.choice("offset_unit", request.offset_unit, _UNITS, "OffsetUnit")
    policy = truncation(request.truncation, "truncation", found)
    found.raise_if_any()
    assert unit is not None, "an unknown unit was found"
    return ExtractSpec(
        min_score=request.min_score if request.HasField("min_score") else _ANY_SCORE, unit=unit, truncation=policy
    )


def detect_spec(request: pb.DetectLanguageRequest, found: Violations) -> DetectSpec:
    """Returns how many languages a call wants. Raises what `found` holds already and what is found here."""
    found.count("analyse.items", len(request.items), "items", at_least=1)
    if request.HasField("top_k"):
        found.number("detect.top_k", request.top_k, "top_k")
    if request.HasField("min_score"):
        found.number("detect.min_score", request.min_score, "min_score")
    found.raise_if_any()
    return DetectSpec(
        top_k=request.top_k if request.HasField("top_k") else 1,
        min_score=request.min_score if request.HasField("min_score") else _ANY_SCORE,
    )


def _check_labels(labels: Sequence[str], found: Violations) -> None:
    if not found.count("classify.candidate_labels", len(labels), "candidate_labels"):
        return
    places: dict[str, int] = {}
    for index, label in enumerate(labels):
        found.text(f"candidate_labels[{index}]", label, MAX_LABEL_BYTES)
        place = places.setdefault(label, index)
        if place != index:
            found.add(f"candidate_labels[{index}]", f"is the same as candidate_labels[{place}]")


def _check_template(request: pb.ClassifyTextRequest, found: Violations) -> None:
    found.size("label_template", request.label_template, MAX_LABEL_BYTES)
    times = request.label_template.count(_PLACE)
    if times != 1:
        found.add("label_template", f"has {times} places for a label; it must have {_PLACE} once")
    if not request.candidate_labels:
        found.add("label_template", "goes with candidate_labels only")
