"""The asynchronous client's methods that find out what texts are about, what they mention, and their language."""

from collections.abc import Sequence

from trivium import _analysis_calls
from trivium._analysis_calls import ClassifyCall, EntitiesCall, LanguageCall
from trivium._async_models import AsyncModelChoice
from trivium._async_transport import AsyncTransport
from trivium._call_settings import unary_options
from trivium._metadata import Metadata
from trivium._retry import Deadline
from trivium._text_input import Texts
from trivium.analysis import ClassifyTextResponse, DetectLanguageResponse, ExtractEntitiesResponse
from trivium.embeddings import TruncationPolicy
from trivium.models import Capability
from trivium.settings import CallOptions


class AsyncAnalysisMethods:
    """The methods of AsyncClient for TextAnalysisService. For one event loop.

    See AsyncEmbeddingMethods for `model` and time limits.

    texts: one text, or a list or another sized collection of up to 512; (id, text) in place of a text has the id in its
        result.

    A text that fails is no exception: its result has the error, and `raise_for_failed()` of the response makes it one.
    Every method raises TriviumError, and TypeError or ValueError for arguments that cannot be sent.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._classify_choice = AsyncModelChoice(transport, Capability.CLASSIFY_TEXT)
        self._entities_choice = AsyncModelChoice(transport, Capability.EXTRACT_ENTITIES)
        self._language_choice = AsyncModelChoice(transport, Capability.DETECT_LANGUAGE)

    async def classify(
        self,
        texts: Texts,
        labels: Sequence[str] | None = None,
        *,
        model: str | None = None,
        template: str | None = None,
        top_k: int | None = None,
        min_score: float | None = None,
        truncation: TruncationPolicy | str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> ClassifyTextResponse:
        """Scores labels for each text, highest first.

            response = await client.classify("The match ended in a draw.", ["sport", "politics"])
            response.results[0].best

        labels: the labels to choose from, up to 128, for a model that compares vectors; None for a classifier, which
            has labels of its own.
        template: what is embedded for a label, with `{}` where the label goes: "This text is about {}."
        top_k: returns this many of the best labels. min_score: returns only those with at least this score.
        truncation: what to do with a text that is too long; None fails it alone.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        call = _analysis_calls.classify(
            texts,
            labels,
            template=template,
            top_k=top_k,
            min_score=min_score,
            truncation=truncation,
            request_id=options.request_id,
        )
        deadline = await self._name_model(call, self._classify_choice, model, options)
        return await self._transport.unary(call, options, deadline)

    async def extract_entities(
        self,
        texts: Texts,
        *,
        model: str | None = None,
        min_score: float | None = None,
        truncation: TruncationPolicy | str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> ExtractEntitiesResponse:
        """Finds names of people, places and whatever else the model was trained to find in each text.

        min_score: returns only entities with at least this score, 0 to 1.
        truncation: what to do with a text that is too long; None fails it alone. Nothing is found in what was cut off.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        call = _analysis_calls.extract_entities(
            texts, min_score=min_score, truncation=truncation, request_id=options.request_id
        )
        deadline = await self._name_model(call, self._entities_choice, model, options)
        return await self._transport.unary(call, options, deadline)

    async def detect_language(
        self,
        texts: Texts,
        *,
        model: str | None = None,
        top_k: int | None = None,
        min_score: float | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> DetectLanguageResponse:
        """Tells in which language each text is written, by its first 8192 bytes.

        top_k: returns this many of the likeliest languages; None is 1. min_score: returns only those with at least this
            score, 0 to 1; expect low ones for one or two words.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        call = _analysis_calls.detect_language(texts, top_k=top_k, min_score=min_score, request_id=options.request_id)
        deadline = await self._name_model(call, self._language_choice, model, options)
        return await self._transport.unary(call, options, deadline)

    async def _name_model(
        self,
        call: ClassifyCall | EntitiesCall | LanguageCall,
        choice: AsyncModelChoice,
        model: str | None,
        options: CallOptions,
    ) -> Deadline:
        """Fills in the model within the deadline of the call, and returns that."""
        deadline = Deadline(options.timeout_s)
        call.request.model = await choice.name(options, deadline) if model is None else model
        return deadline
