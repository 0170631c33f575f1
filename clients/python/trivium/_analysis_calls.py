"""The calls of TextAnalysisService: requests from what callers give, results from what the server answers. Pure."""

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from trivium._calls import CLASSIFY_TEXT, DETECT_LANGUAGE, EXTRACT_ENTITIES, UnaryCall
from trivium._embedding_calls import check_places, checked_count, checked_number, item_error, truncation_policy
from trivium._text_input import Texts, checked_items, checked_text
from trivium.analysis import (
    ClassifyTextResponse,
    ClassifyTextResult,
    DetectLanguageResponse,
    DetectLanguageResult,
    Entity,
    ExtractEntitiesResponse,
    ExtractEntitiesResult,
    LabelScore,
    LanguageScore,
)
from trivium.call_info import parse_call_info
from trivium.embeddings import TruncationPolicy, parse_scale
from trivium.v1 import analysis_pb2, common_pb2

ClassifyCall: TypeAlias = UnaryCall[
    analysis_pb2.ClassifyTextRequest, analysis_pb2.ClassifyTextResponse, ClassifyTextResponse
]
EntitiesCall: TypeAlias = UnaryCall[
    analysis_pb2.ExtractEntitiesRequest, analysis_pb2.ExtractEntitiesResponse, ExtractEntitiesResponse
]
LanguageCall: TypeAlias = UnaryCall[
    analysis_pb2.DetectLanguageRequest, analysis_pb2.DetectLanguageResponse, DetectLanguageResponse
]


def classify(
    texts: Texts,
    labels: Sequence[str] | None,
    *,
    template: str | None,
    top_k: int | None,
    min_score: float | None,
    truncation: TruncationPolicy | str | None,
    request_id: str,
) -> ClassifyCall:
    """ClassifyText, without the model. Raises TypeError or ValueError for what cannot be sent."""
    request = analysis_pb2.ClassifyTextRequest(
        items=_items(texts),
        candidate_labels=_checked_labels(labels),
        label_template="" if template is None else checked_text(template, "template"),
        truncation=truncation_policy(truncation),
    )
    _limit(request, top_k, min_score)
    return UnaryCall(CLASSIFY_TEXT, request, partial(_parse_classify, count=len(request.items), request_id=request_id))


def _items(texts: Texts) -> list[analysis_pb2.TextItem]:
    return [analysis_pb2.TextItem(item_id=item.item_id, text=item.text) for item in checked_items(texts, "texts")]


def _checked_labels(labels: Sequence[str] | None) -> list[str]:
    if isinstance(labels, str):
        raise TypeError("labels is text, not a list of labels; a choice needs several")
    return [checked_text(label, f"labels[{place}]") for place, label in enumerate(labels or ())]


def _limit(
    request: analysis_pb2.ClassifyTextRequest | analysis_pb2.DetectLanguageRequest,
    top_k: int | None,
    min_score: float | None,
) -> None:
    if top_k is not None:
        request.top_k = checked_count(top_k, "top_k")
    if min_score is not None:
        request.min_score = checked_number(min_score, "min_score")


def _parse_classify(raw: analysis_pb2.ClassifyTextResponse, count: int, request_id: str) -> ClassifyTextResponse:
    check_places([result.index for result in raw.results], count)
    results = tuple(
        ClassifyTextResult(
            index=result.index,
            item_id=result.item_id,
            labels=tuple(_parse_label(label) for label in result.labels.labels),
            error=item_error(result, "labels", request_id),
            input_tokens=result.input_tokens,
            truncated=result.truncated,
            raw=result,
        )
        for result in raw.results
    )
    info, scale = parse_call_info(raw.info), parse_scale(raw.score_scale)
    return ClassifyTextResponse(results=results, score_scale=scale, info=info, raw=raw)


def _parse_label(raw: common_pb2.LabelScore) -> LabelScore:
    return LabelScore(label=raw.label, score=raw.score, class_index=raw.class_index)


def extract_entities(
    texts: Texts, *, min_score: float | None, truncation: TruncationPolicy | str | None, request_id: str
) -> EntitiesCall:
    """ExtractEntities, without the model. Raises TypeError or ValueError for what cannot be sent."""
    request = analysis_pb2.ExtractEntitiesRequest(
        items=_items(texts),
        offset_unit=common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT,
        truncation=truncation_policy(truncation),
    )
    if min_score is not None:
        request.min_score = checked_number(min_score, "min_score")
    parse = partial(_parse_entities, count=len(request.items), request_id=request_id)
    return UnaryCall(EXTRACT_ENTITIES, request, parse)


def _parse_entities(raw: analysis_pb2.ExtractEntitiesResponse, count: int, request_id: str) -> ExtractEntitiesResponse:
    check_places([result.index for result in raw.results], count)
    results = tuple(
        ExtractEntitiesResult(
            index=result.index,
            item_id=result.item_id,
            entities=tuple(_parse_entity(entity) for entity in result.entities.entities),
            error=item_error(result, "entities", request_id),
            input_tokens=result.input_tokens,
            truncated=result.truncated,
            raw=result,
        )
        for result in raw.results
    )
    return ExtractEntitiesResponse(results=results, info=parse_call_info(raw.info), raw=raw)


def _parse_entity(raw: analysis_pb2.Entity) -> Entity:
    span = raw.span
    return Entity(label=raw.label, text=raw.text, start=span.start_offset, end=span.end_offset, score=raw.score)


def detect_language(texts: Texts, *, top_k: int | None, min_score: float | None, request_id: str) -> LanguageCall:
    """DetectLanguage, without the model. Raises TypeError or ValueError for what cannot be sent."""
    request = analysis_pb2.DetectLanguageRequest(items=_items(texts))
    _limit(request, top_k, min_score)
    parse = partial(_parse_languages, count=len(request.items), request_id=request_id)
    return UnaryCall(DETECT_LANGUAGE, request, parse)


def _parse_languages(raw: analysis_pb2.DetectLanguageResponse, count: int, request_id: str) -> DetectLanguageResponse:
    check_places([result.index for result in raw.results], count)
    results = tuple(
        DetectLanguageResult(
            index=result.index,
            item_id=result.item_id,
            languages=tuple(
                LanguageScore(language_code=language.language_code, score=language.score)
                for language in result.languages.languages
            ),
            error=item_error(result, "languages", request_id),
            raw=result,
        )
        for result in raw.results
    )
    return DetectLanguageResponse(results=results, info=parse_call_info(raw.info), raw=raw)
