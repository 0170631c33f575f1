"""TextAnalysisService: requests in, labels and entities out; the model does the rest."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trivium.v1 import analysis_pb2 as pb
from trivium.v1 import common_pb2
from trivium.v1.analysis_pb2_grpc import TextAnalysisServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.text_capabilities import (
    EntityExtractor,
    LanguageDetector,
    Scored,
    Tagged,
    TextClassifier,
)
from trivium_server.errors import TriviumError
from trivium_server.rpc.analysis_convert import (
    ClassifySpec,
    DetectSpec,
    ExtractSpec,
    classify_spec,
    detect_spec,
    extract_spec,
)
from trivium_server.rpc.spans import convert_spans
from trivium_server.rpc.status import rpc_status
from trivium_server.rpc.text_call import text_call
from trivium_server.rpc.text_items import checked_items
from trivium_server.rpc.violations import Violations

# grpc's servicer context: the boundary alone talks to it.
Context = object


class TextAnalysisService(TextAnalysisServiceServicer):
    """See proto/trivium/v1/analysis.proto."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def ClassifyText(self, request: pb.ClassifyTextRequest, context: Context) -> pb.ClassifyTextResponse:
        def check(model: TextClassifier | None, found: Violations) -> ClassifySpec:
            return classify_spec(request, model.labels if model else None, found)

        # A Protocol is what the catalog asks of a model; mypy wants concrete classes for type[T].
        with text_call(self._catalog, TextClassifier, request.model, "model", check) as call:  # type: ignore[type-abstract]
            named = ((item.item_id, item.text) for item in request.items)
            checked = await checked_items(named, "text", "item_id", call.pacer)
            outcomes = await call.model.classify(
                checked.texts,
                call.spec.candidates,
                truncation=call.spec.truncation,
                deadline_s=call.call.deadline_s,
                meter=call.meter,
            )
            scale = common_pb2.ScoreScale.Value(f"SCORE_SCALE_{call.model.label_scale.value}")
            response = pb.ClassifyTextResponse(score_scale=scale)
            for index, outcome in enumerate(checked.joined(outcomes)):
                result = response.results.add(item_id=request.items[index].item_id, index=index)
                if isinstance(outcome, Scored):
                    result.labels.SetInParent()
                    for place, score in _best(outcome.scores, call.spec.top_k, call.spec.min_score):
                        result.labels.labels.add(label=call.spec.labels[place], score=score, class_index=place)
                    result.input_tokens, result.truncated = outcome.input_tokens, outcome.truncated
                    call.num_truncated += outcome.truncated
                else:
                    result.error.CopyFrom(rpc_status(outcome, call.call.request_id))
                await call.pacer.pause()
            response.info.CopyFrom(call.info("truncation"))
            return response

    async def ExtractEntities(self, request: pb.ExtractEntitiesRequest, context: Context) -> pb.ExtractEntitiesResponse:
        def check(_model: EntityExtractor | None, found: Violations) -> ExtractSpec:
            return extract_spec(request, found)

        with text_call(self._catalog, EntityExtractor, request.model, "model", check) as call:  # type: ignore[type-abstract]
            named = ((item.item_id, item.text) for item in request.items)
            checked = await checked_items(named, "text", "item_id", call.pacer)
            outcomes = await call.model.extract(
                checked.texts, truncation=call.spec.truncation, deadline_s=call.call.deadline_s, meter=call.meter
            )
            response = pb.ExtractEntitiesResponse(offset_unit=call.spec.unit)
            for index, outcome in enumerate(checked.joined(outcomes)):
                item = request.items[index]
                result = response.results.add(item_id=item.item_id, index=index)
                if isinstance(outcome, Tagged):
                    result.entities.SetInParent()
                    _write_entities(item.text, outcome, call.spec, result.entities)
                    result.input_tokens, result.truncated = outcome.input_tokens, outcome.truncated
                    call.num_truncated += outcome.truncated
                else:
                    result.error.CopyFrom(rpc_status(outcome, call.call.request_id))
                await call.pacer.pause()
            response.info.CopyFrom(call.info("truncation"))
            return response

    async def DetectLanguage(self, request: pb.DetectLanguageRequest, context: Context) -> pb.DetectLanguageResponse:
        def check(_model: LanguageDetector | None, found: Violations) -> DetectSpec:
            return detect_spec(request, found)

        with text_call(self._catalog, LanguageDetector, request.model, "model", check) as call:  # type: ignore[type-abstract]
            named = ((item.item_id, item.text) for item in request.items)
            checked = await checked_items(named, "text", "item_id", call.pacer)
            outcomes = await call.model.detect(checked.texts, deadline_s=call.call.deadline_s, meter=call.meter)
            codes = call.model.language_codes
            response = pb.DetectLanguageResponse()
            for index, outcome in enumerate(checked.joined(outcomes)):
                result = response.results.add(item_id=request.items[index].item_id, index=index)
                if isinstance(outcome, TriviumError):
                    result.error.CopyFrom(rpc_status(outcome, call.call.request_id))
                else:
                    result.languages.SetInParent()
                    for place, score in _best(outcome, call.spec.top_k, call.spec.min_score):
                        result.languages.languages.add(language_code=codes[place], score=score)
                await call.pacer.pause()
            response.info.CopyFrom(call.info(""))
            return response


def _best(scores: NDArray[np.float32], top_k: int, min_score: float) -> Iterator[tuple[int, float]]:
    """Yields places and scores, highest score first, and those of equal score by place."""
    for place in np.argsort(-scores, kind="stable")[:top_k].tolist():
        score = float(scores[place])
        if score < min_score:
            return
        yield place, score


def _write_entities(text: str, tagged: Tagged, spec: ExtractSpec, message: pb.EntityList) -> None:
    # Compared as the caller sees them: scores and the bound are float32 there.
    kept = [entity for entity in tagged.entities if np.float32(entity.score) >= spec.min_score]
    spans = convert_spans(text, ((entity.start, entity.end) for entity in kept), spec.unit)
    for entity, (start, end) in zip(kept, spans, strict=True):
        message.entities.add(
            label=entity.label,
            text=text[entity.start : entity.end],
            span=common_pb2.TextSpan(start_offset=start, end_offset=end),
            score=entity.score,
        )
