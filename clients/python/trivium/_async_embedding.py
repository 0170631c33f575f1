"""The asynchronous client's methods that turn texts into vectors, rank them and compare them."""

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Unpack

from trivium import _embedding_calls
from trivium._async_embed_stream import AsyncEmbedStream
from trivium._async_models import AsyncModelChoice
from trivium._async_transport import AsyncTransport
from trivium._call_settings import stream_options, unary_options
from trivium._embedding_calls import Document
from trivium._metadata import Metadata
from trivium._retry import Deadline
from trivium._text_input import Item, TextInput, Texts, checked_items
from trivium.embeddings import (
    CompareTextsResponse,
    EmbeddingKind,
    EmbedOptions,
    EmbedResponse,
    RerankResponse,
    ScoreScale,
    TruncationPolicy,
)
from trivium.models import Capability
from trivium.settings import CallOptions
from trivium.v1 import embedding_pb2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AsyncEmbeddingMethods:
    """The methods of AsyncClient for EmbeddingService. For one event loop.

    Without `model`, the client's default_model is meant, else the only ready model of the server that can do what is
    asked, which is asked for at most every 30 seconds. ModelNotChosen where there is none or several.

    timeout_s: limit in seconds for everything that the call takes, finding its model and all attempts included; None is
        the client's timeout_s, and no limit where the texts go through a stream. math.inf sends no limit.
    request_id: 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -; None makes a new one.
    metadata: more metadata for this call, over the client's.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._embed_choice = AsyncModelChoice(transport, Capability.EMBED_TEXT)
        self._rerank_choice = AsyncModelChoice(transport, Capability.RERANK)

    async def embed(
        self,
        texts: Texts,
        *,
        model: str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
        **options: Unpack[EmbedOptions],
    ) -> "NDArray[np.float32]":
        """Returns the vectors of texts: float32, shape (texts, dimensions) in their order; (dimensions,) for one str.

            matrix = await client.embed(["Good morning.", "Good evening."])
            scores = matrix @ await client.embed("a greeting", purpose="query")

        texts: one text, or a list or another sized collection of them, of any length: many, or long ones, go through a
            stream, as embed_stream does it.
        options: purpose="query", dimensions=256, truncation="keep_start" and so on, see EmbedOptions.

        Raises ItemsFailed where some texts failed, with the vectors of the others; other TriviumErrors where the call
        failed; TypeError or ValueError for arguments that cannot be sent. embed_items tells more of each text.
        """
        from trivium._vectors import Matrix

        items = checked_items(texts, "texts", instead="; embed_stream takes any iterable")
        config = _embedding_calls.embed_config(options, EmbeddingKind.DENSE)
        matrix = Matrix(len(items))
        if _embedding_calls.fits_one_call(items, config):
            response = await self._embed_once(items, config, model, timeout_s, request_id, metadata)
            matrix.add(response.results)
        else:
            async for result in self._stream(items, config, model, timeout_s, None, request_id, metadata):
                matrix.add([result])
        return matrix.whole()[0] if isinstance(texts, str) else matrix.whole()

    async def embed_items(
        self,
        texts: Texts,
        *,
        model: str | None = None,
        kind: EmbeddingKind | str = EmbeddingKind.DENSE,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
        **options: Unpack[EmbedOptions],
    ) -> EmbedResponse:
        """Returns what became of each text: vector or error, tokens, whether it was cut; and what the call did.

        texts: as for embed; (id, text) in place of a text has the id in its result.
        kind: which kind of vector, one of Model.embedding.kinds.
        options: see EmbedOptions.

        A text that fails is no exception here: its result has the error. Raises as embed does otherwise.
        """
        items = checked_items(texts, "texts", instead="; embed_stream takes any iterable")
        config = _embedding_calls.embed_config(options, kind)
        if _embedding_calls.fits_one_call(items, config):
            return await self._embed_once(items, config, model, timeout_s, request_id, metadata)
        stream = self._stream(items, config, model, timeout_s, None, request_id, metadata)
        results = [result async for result in stream]
        return EmbedResponse(results=tuple(results), info=stream.info)

    def embed_stream(
        self,
        texts: Iterable[TextInput] | AsyncIterable[TextInput],
        *,
        model: str | None = None,
        kind: EmbeddingKind | str = EmbeddingKind.DENSE,
        timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
        **options: Unpack[EmbedOptions],
    ) -> AsyncEmbedStream:
        """Embeds any number of texts while they are read, in constant memory; see AsyncEmbedStream.

        texts: any iterable of texts, or of (id, text), asynchronous or not, also one that never ends.
        timeout_s: limit in seconds for the whole stream; None is without. A server's own limit does not matter.
        idle_timeout_s: how long the server may owe a result and send none; None is the client's idle_timeout_s.
        kind, options: as for embed_items.

        Raises TypeError or ValueError at once for options that cannot be sent; iterating raises the rest.
        """
        _embedding_calls.check_source(texts)
        config = _embedding_calls.embed_config(options, kind)
        return self._stream(texts, config, model, timeout_s, idle_timeout_s, request_id, metadata)

    def _stream(
        self,
        texts: Iterable[TextInput | Item] | AsyncIterable[TextInput],
        config: embedding_pb2.EmbedConfig,
        model: str | None,
        timeout_s: float | None,
        idle_timeout_s: float | None,
        request_id: str | None,
        metadata: Metadata | None,
    ) -> AsyncEmbedStream:
        options = stream_options(self._transport.settings, timeout_s, idle_timeout_s, request_id, metadata)

        async def prepare(deadline: Deadline) -> None:
            config.model = await self._named(self._embed_choice, model, options, deadline)

        return AsyncEmbedStream(self._transport, texts, config, options, prepare)

    async def _embed_once(
        self,
        items: list[Item],
        config: embedding_pb2.EmbedConfig,
        model: str | None,
        timeout_s: float | None,
        request_id: str | None,
        metadata: Metadata | None,
    ) -> EmbedResponse:
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        deadline = Deadline(options.timeout_s)
        config.model = await self._named(self._embed_choice, model, options, deadline)
        return await self._transport.unary(_embedding_calls.embed(items, config, options.request_id), options, deadline)

    async def _named(
        self, choice: AsyncModelChoice, model: str | None, options: CallOptions, deadline: Deadline
    ) -> str:
        return await choice.name(options, deadline) if model is None else model

    async def rerank(
        self,
        query: str,
        documents: Iterable[Document],
        *,
        model: str | None = None,
        top_n: int | None = None,
        score_scale: ScoreScale | str | None = None,
        truncation: TruncationPolicy | str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> RerankResponse:
        """Orders up to 1000 documents by how well each answers the query, best first.

            response = await client.rerank("capital of Japan", documents, top_n=3)
            best = response.results[0].text

        documents: texts, (id, text), or RerankDocument.
        top_n: returns this many of the best; None is all.
        score_scale: "probability", "logit" or "cosine"; None is what suits the model.
        truncation: what to do with a document that is too long; None fails it alone.

        A document that fails is no exception; it is in `failed` of the response. Raises TriviumError, and TypeError or
        ValueError for arguments that cannot be sent.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        call = _embedding_calls.rerank(
            query,
            documents,
            top_n=top_n,
            score_scale=score_scale,
            truncation=truncation,
            request_id=options.request_id,
        )
        deadline = Deadline(options.timeout_s)
        call.request.model = await self._named(self._rerank_choice, model, options, deadline)
        return await self._transport.unary(call, options, deadline)

    async def compare(
        self,
        source: str,
        targets: Iterable[str],
        *,
        model: str | None = None,
        truncation: TruncationPolicy | str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> "NDArray[np.float32]":
        """Returns how alike each of up to 2048 targets is to the source: cosines, float32, shape (targets,).

        Raises ItemsFailed where some targets failed, with the others' similarities as `vectors`; compare_items tells
        more of each.
        """
        from trivium._vectors import similarities

        response = await self.compare_items(
            source,
            targets,
            model=model,
            truncation=truncation,
            timeout_s=timeout_s,
            request_id=request_id,
            metadata=metadata,
        )
        return similarities(response.results)

    async def compare_items(
        self,
        source: str,
        targets: Iterable[str],
        *,
        model: str | None = None,
        truncation: TruncationPolicy | str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> CompareTextsResponse:
        """Returns one comparison for each target, similarity or error, and what the call did.

        truncation: what to do with a text that is too long; None fails a target alone, and the call for the source.

        Raises TriviumError, and TypeError or ValueError for arguments that cannot be sent.
        """
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        call = _embedding_calls.compare(source, targets, truncation, options.request_id)
        deadline = Deadline(options.timeout_s)
        call.request.model = await self._named(self._embed_choice, model, options, deadline)
        return await self._transport.unary(call, options, deadline)
