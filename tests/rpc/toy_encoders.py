"""Text encoders whose answers can be computed by hand, on a real server: for the laws of the transport.

A token is a word. The vector of a text is random, seeded by prompt and text, so that equal texts have equal vectors.
"""

import asyncio
import functools
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import grpc
import numpy as np
from numpy.typing import NDArray

from tests.server.stores import write_model
from tests.serving import LoopThread
from trivium_server.architectures.catalog import Catalog, Family
from trivium_server.architectures.image.decoder import ImageDecoder
from trivium_server.architectures.text_capabilities import (
    Embedded,
    EmbeddingInfo,
    EmbeddingOptions,
    EmbeddingPrompt,
    EncoderMeter,
    EntitySpan,
    Outcome,
    Purpose,
    Scored,
    ScoreScale,
    SparseWeights,
    Tagged,
    Truncation,
    VectorKind,
)
from trivium_server.config import Config, LimitsConfig, ModelsConfig, SpeechConfig
from trivium_server.errors import DeadlineExceeded, InputTooLong
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.analysis import TextAnalysisService
from trivium_server.rpc.boundary import Boundary
from trivium_server.rpc.embedding import EmbeddingService
from trivium_server.rpc.models import ModelService
from trivium_server.rpc.speech_recognition import SpeechRecognitionService
from trivium_server.rpc.speech_synthesis import SpeechSynthesisService
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.rpc.vision import VisionService
from trivium_server.runtime.workload import Workload
from trivium_server.telemetry import MemoryMetrics

LOOPBACK = "127.0.0.1:0"
MAX_TOKENS = 16
DIMENSIONS = 8
PROMPTS = (
    EmbeddingPrompt(name="query", text="ask: ", purposes=frozenset({Purpose.QUERY}), is_default=False),
    EmbeddingPrompt(name="passage", text="", purposes=frozenset({Purpose.DOCUMENT}), is_default=True),
)
ALL_KINDS = tuple(VectorKind)


@functools.lru_cache(maxsize=8)
def vector_of(text: str, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    """The vector of a text, its prompt before it; not normalized."""
    return np.random.default_rng(zlib.crc32(text.encode())).standard_normal(dimensions).astype(np.float32)


def cut(text: str, truncation: Truncation) -> tuple[list[str], bool] | InputTooLong:
    """The tokens that are read."""
    words = text.split()
    if len(words) <= MAX_TOKENS:
        return words, False
    if truncation is Truncation.ERROR:
        return InputTooLong("text", len(words), MAX_TOKENS)
    return (words[:MAX_TOKENS] if truncation is Truncation.KEEP_START else words[-MAX_TOKENS:]), True


class Toy:
    """What all toys have. `gate` holds every run back while it is closed."""

    execution_provider = "ToyExecutionProvider"
    workload = Workload(num_places=1, num_busy=0, busy_s=0.0, num_waiting=0, waiting_runs=0.0, num_runs=0, num_items=0)

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.num_under_way = 0
        self.num_read = 0

    async def warm_up(self) -> None:
        await asyncio.sleep(0)

    async def close(self, grace_s: float) -> None:
        await asyncio.sleep(0)

    async def pass_gate(self, num_inputs: int, deadline_s: float) -> None:
        self.num_under_way += 1
        self.num_read += num_inputs
        try:
            await asyncio.sleep(0)
            async with asyncio.timeout(deadline_s - time.monotonic()):
                await self.gate.wait()
        except TimeoutError:
            raise DeadlineExceeded(deadline_s) from None
        finally:
            self.num_under_way -= 1


class ToyEncoder(Toy):
    """What all text encoders have."""

    max_input_tokens = MAX_TOKENS

    async def run(self, texts: Sequence[str], deadline_s: float, meter: EncoderMeter) -> None:
        meter.input_characters += sum(map(len, texts))
        await self.pass_gate(len(texts), deadline_s)
        meter.compute_s += 0.001 * len(texts)


class ToyEmbedder(ToyEncoder):
    """Embeds in all kinds; a text that begins with `loud` has components of 1e5, and one with `silent` none but 0."""

    def __init__(self, dimensions: int = DIMENSIONS, kinds: tuple[VectorKind, ...] = ALL_KINDS) -> None:
        super().__init__()
        half = dimensions // 2
        self.embedding_info = EmbeddingInfo(
            dimensions=dimensions, supported_dimensions=(dimensions, half), kinds=kinds, prompts=PROMPTS
        )

    async def embed(
        self, texts: Sequence[str], options: EmbeddingOptions, *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[Embedded]]:
        await self.run(texts, deadline_s, meter)
        return [self._embedded(text, options, meter) for text in texts]

    async def embed_stream(
        self, groups: AsyncIterable[Sequence[str]], options: EmbeddingOptions, *, deadline_s: float, meter: EncoderMeter
    ) -> AsyncGenerator[Sequence[Outcome[Embedded]]]:
        async for texts in groups:
            for start in range(0, len(texts), 100):
                yield await self.embed(texts[start : start + 100], options, deadline_s=deadline_s, meter=meter)

    def _embedded(self, text: str, options: EmbeddingOptions, meter: EncoderMeter) -> Outcome[Embedded]:
        read = cut(text, options.truncation)
        if isinstance(read, InputTooLong):
            return read
        words, truncated = read
        meter.input_tokens += len(words)
        return Embedded(
            vectors=self._vectors(options.prompt + text, words, options),
            input_tokens=len(words),
            truncated=truncated,
        )

    def _vectors(
        self, text: str, words: Sequence[str], options: EmbeddingOptions
    ) -> NDArray[np.float32] | SparseWeights:
        size = self.embedding_info.dimensions
        if options.kind is VectorKind.SPARSE:
            ids = np.unique(np.array([zlib.crc32(word.encode()) % 30_000 for word in words], np.int64))
            return SparseWeights(ids=ids, weights=ids.astype(np.float32))
        vectors = np.stack([vector_of(part, size) for part in ([text] if options.kind is VectorKind.DENSE else words)])
        vectors = vectors[:, : options.dimensions]
        if options.normalize:
            vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        if text.startswith("loud"):
            vectors[:] = 1e5
        if text.startswith("silent"):
            vectors[:] = 0
        return vectors[0] if options.kind is VectorKind.DENSE else vectors


class ToyReranker(ToyEncoder):
    """The score of a document is how many words it shares with the query; the query takes room."""

    rerank_scales = (ScoreScale.PROBABILITY, ScoreScale.LOGIT)

    async def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        scale: ScoreScale,
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        words = set(query.split())
        if len(query.split()) >= MAX_TOKENS:
            raise InputTooLong("query", len(query.split()), MAX_TOKENS - 1)
        await self.run([query, *documents], deadline_s, meter)
        return [self._scored(document, words, scale, truncation, meter) for document in documents]

    def _scored(
        self, document: str, query: set[str], scale: ScoreScale, truncation: Truncation, meter: EncoderMeter
    ) -> Outcome[Scored]:
        read = cut(document, truncation)
        if isinstance(read, InputTooLong):
            return read
        shared = float(len(query.intersection(read[0])))
        meter.input_tokens += len(query) + len(read[0])
        score = shared if scale is ScoreScale.LOGIT else shared / (shared + 1)
        scores = np.array([score], np.float32)
        return Scored(scores=scores, input_tokens=len(query) + len(read[0]), truncated=read[1])


class ToyClassifier(ToyEncoder):
    """The score of a label is its share of the text's words; labels of its own, or any."""

    def __init__(self, *labels: str) -> None:
        super().__init__()
        self.labels = labels
        self.label_scale = ScoreScale.PROBABILITY if labels else ScoreScale.COSINE

    async def classify(
        self,
        texts: Sequence[str],
        candidates: Sequence[str],
        *,
        truncation: Truncation,
        deadline_s: float,
        meter: EncoderMeter,
    ) -> Sequence[Outcome[Scored]]:
        for index, candidate in enumerate(candidates):
            if len(candidate.split()) > MAX_TOKENS:
                raise InputTooLong(f"candidate_labels[{index}]", len(candidate.split()), MAX_TOKENS)
        await self.run(texts, deadline_s, meter)
        labels = self.labels or [candidate.split()[-1] for candidate in candidates]
        return [self._scored(text, labels, truncation, meter) for text in texts]

    def _scored(self, text: str, labels: Sequence[str], truncation: Truncation, meter: EncoderMeter) -> Outcome[Scored]:
        read = cut(text, truncation)
        if isinstance(read, InputTooLong):
            return read
        words, truncated = read
        meter.input_tokens += len(words)
        scores = np.array([words.count(label) / len(words) for label in labels], np.float32)
        return Scored(scores=scores, input_tokens=len(words), truncated=truncated)


class ToyTagger(ToyEncoder):
    """Finds words with a capital letter; the longer, the surer."""

    entity_labels = ("NAME", "SHOUT")

    async def extract(
        self, texts: Sequence[str], *, truncation: Truncation, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[Tagged]]:
        await self.run(texts, deadline_s, meter)
        return [self._tagged(text, truncation, meter) for text in texts]

    def _tagged(self, text: str, truncation: Truncation, meter: EncoderMeter) -> Outcome[Tagged]:
        read = cut(text, truncation)
        if isinstance(read, InputTooLong):
            return read
        meter.input_tokens += len(read[0])
        spans = []
        position = 0
        for word in read[0]:
            start = text.index(word, position)
            position = start + len(word)
            if word[0].isupper():
                label = "SHOUT" if word.isupper() else "NAME"
                spans.append(EntitySpan(label=label, start=start, end=position, score=1 - 1 / (1 + len(word))))
        return Tagged(entities=tuple(spans), input_tokens=len(read[0]), truncated=read[1])


class ToyDetector(ToyEncoder):
    """Takes texts for the language whose code they name; they are as likely nothing otherwise."""

    language_codes = ("de", "en", "zxx")

    async def detect(
        self, texts: Sequence[str], *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[NDArray[np.float32]]]:
        await self.run(texts, deadline_s, meter)
        counts = [[1 + 2 * text.split().count(code) for code in self.language_codes] for text in texts]
        return [(np.array(row) / sum(row)).astype(np.float32) for row in counts]


Toys: TypeAlias = Mapping[str, Callable[[], Toy]]

MODELS: Toys = {
    "toy-embedder": ToyEmbedder,
    "toy-wide": lambda: ToyEmbedder(dimensions=4096),
    "toy-huge": lambda: ToyEmbedder(dimensions=2**19),
    "toy-sparse": lambda: ToyEmbedder(kinds=(VectorKind.SPARSE,)),
    "toy-reranker": ToyReranker,
    "toy-classifier": lambda: ToyClassifier("good", "bad", "ugly"),
    "toy-zero-shot": ToyClassifier,
    "toy-tagger": ToyTagger,
    "toy-detector": ToyDetector,
}


class ToyServer:
    """A grpc.aio server with these models, the boundary and the services that they answer."""

    def __init__(
        self, store: Path, toys: Toys = MODELS, *, speech: SpeechConfig | None = None, **limits: float
    ) -> None:
        self._toys = toys
        self.speech = speech or SpeechConfig()
        self.metrics = MemoryMetrics()
        self.limits = LimitsConfig(**limits)  # type: ignore[arg-type]  # by name
        self.admission = Admission(self.limits.max_concurrent_calls)
        self.models: dict[str, Toy] = {}
        self.thread = LoopThread()
        for name in toys:
            write_model(store, name, architecture="toy")
        self.thread.run(self._start(store))
        self.channel = grpc.insecure_channel(self.address, options=[("grpc.max_receive_message_length", -1)])

    def load(self, folder: Path, *_: object) -> Toy:
        model = self.models[folder.name] = self._toys[folder.name]()
        return model

    async def _start(self, store: Path) -> None:
        from trivium.v1.analysis_pb2_grpc import add_TextAnalysisServiceServicer_to_server
        from trivium.v1.embedding_pb2_grpc import add_EmbeddingServiceServicer_to_server
        from trivium.v1.models_pb2_grpc import add_ModelServiceServicer_to_server
        from trivium.v1.speech_pb2_grpc import (
            add_SpeechRecognitionServiceServicer_to_server,
            add_SpeechSynthesisServiceServicer_to_server,
        )
        from trivium.v1.vision_pb2_grpc import add_VisionServiceServicer_to_server

        config = Config(models=ModelsConfig(dir=store), limits=self.limits, speech=self.speech)
        self.catalog = Catalog(config, {"toy": Family(self.load)})
        await self.catalog.scan()
        for name in self._toys:
            self.catalog.start_load(name)
        await self.catalog.settled()
        boundary = Boundary(limits=self.limits, admission=self.admission, metrics=self.metrics, instance_id="toy")
        options = [("grpc.max_receive_message_length", self.limits.max_request_bytes)]
        self._server = grpc.aio.server(interceptors=(boundary,), options=options)
        add_EmbeddingServiceServicer_to_server(EmbeddingService(self.catalog), self._server)
        add_TextAnalysisServiceServicer_to_server(TextAnalysisService(self.catalog), self._server)
        self.decoder = ImageDecoder(config.images)
        add_VisionServiceServicer_to_server(VisionService(self.catalog, self.decoder), self._server)
        self.threads = SpeechThreads(self.speech.decoders)
        self.recognition = SpeechRecognitionService(self.catalog, self.speech, self.threads, self.admission)
        add_SpeechRecognitionServiceServicer_to_server(self.recognition, self._server)
        synthesis = SpeechSynthesisService(
            self.catalog,
            self.speech,
            self.threads,
            self.admission,
            max_sound_bytes=self.limits.max_request_bytes,
        )
        add_SpeechSynthesisServiceServicer_to_server(synthesis, self._server)
        add_ModelServiceServicer_to_server(ModelService(self.catalog, self.limits.max_request_bytes), self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(LOOPBACK)}"
        await self._server.start()

    async def _stop(self) -> None:
        await self._server.stop(0)
        await self.catalog.close(0.0)
        await self.decoder.close(0.0)
        self.threads.close()

    def set_gate(self, name: str, *, is_open: bool) -> None:
        gate = self.models[name].gate
        self.thread.loop.call_soon_threadsafe(gate.set if is_open else gate.clear)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.channel.close()
        self.thread.run(self._stop())
        self.thread.close()
