"""Asks our server about images over gRPC, and says what it answered."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks import grpc_client
from benchmarks.processes import ServerProcess
from benchmarks.vision_images import MODELS
from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceStub

Analyze = Callable[[pb.AnalyzeImageRequest], Awaitable[pb.AnalyzeImageResponse]]
# The requests about one image: all are sent before the first answer comes.
Asked = Sequence[pb.AnalyzeImageRequest]


class Server(Protocol):
    """A server that runs."""

    @property
    def address(self) -> str: ...

    @property
    def process(self) -> ServerProcess: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How long it took in all, in processor time of the server, and of each image until its last answer."""

    elapsed_s: float
    cpu_s: float
    durations_s: list[float]


def feature(name: str) -> pb.VisionFeature:
    """A feature as it comes when nothing is set."""
    model = MODELS[name]
    match name:
        case "classification":
            return pb.VisionFeature(model=model, classification=pb.ImageClassificationFeature())
        case "detection":
            return pb.VisionFeature(model=model, detection=pb.ObjectDetectionFeature())
        case "faces":
            return pb.VisionFeature(model=model, faces=pb.FaceDetectionFeature())
        case "embedding":
            return pb.VisionFeature(model=model, embedding=pb.ImageEmbeddingFeature())
        case _:
            return pb.VisionFeature(model=model, text_recognition=pb.TextRecognitionFeature())


def request(content: bytes, *features: str) -> pb.AnalyzeImageRequest:
    """Asks for features of an image."""
    return pb.AnalyzeImageRequest(image=common_pb2.Media(content=content), features=map(feature, features))


def outcome(result: pb.VisionResult) -> str:
    """Says in a word what a result has. Raises RuntimeError for an error."""
    match result.WhichOneof("outcome"):
        case "classification":
            return _listed([label.class_index for label in result.classification.labels])
        case "detection":
            return _listed([found.label.class_index for found in result.detection.objects])
        case "faces":
            return str(len(result.faces.faces))
        case "text_recognition":
            return "\n".join(line.text for line in result.text_recognition.lines)
        case "embedding":
            values = result.embedding.dense.values
            return _listed([len(values), max(range(len(values)), key=values.__getitem__)])
    raise RuntimeError(f"a feature failed: {result.error.message or 'no outcome'}")


async def answers(address: str, requests: Sequence[pb.AnalyzeImageRequest]) -> list[str]:
    """Asks one request after the other, and returns the outcome of the first feature of each."""
    async with _connected(address) as analyze:
        return [outcome((await analyze(one)).results[0]) for one in requests]


async def closed_loop(server: Server, images: Sequence[Asked], *, count: int, callers: int) -> Done:
    """Asks about `count` images, in turn and over and over, with so many callers.

    Each caller has its own connection, which is there before the clock starts. Raises RuntimeError where a feature
    fails.
    """
    left = itertools.islice(itertools.cycle(images), count)
    durations: list[float] = []

    async def drive(analyze: Analyze) -> None:
        for asked in left:
            begun = time.monotonic()
            responses = await asyncio.gather(*map(analyze, asked))
            durations.append(time.monotonic() - begun)
            for response in responses:
                require_all(response.results)

    async with contextlib.AsyncExitStack() as stack:
        open_ones = [await stack.enter_async_context(_connected(server.address)) for _ in range(callers)]
        cpu, started = server.process.cpu_s(), time.monotonic()
        await asyncio.gather(*map(drive, open_ones))
        elapsed, used = time.monotonic() - started, server.process.cpu_s() - cpu
    return Done(elapsed_s=elapsed, cpu_s=used, durations_s=durations)


def require_all(results: Sequence[pb.VisionResult]) -> None:
    """Raises RuntimeError where a feature failed."""
    for result in results:
        if result.HasField("error"):
            raise RuntimeError(f"a feature failed: {result.error.message}")


@contextlib.asynccontextmanager
async def _connected(address: str) -> AsyncIterator[Analyze]:
    async with grpc_client.open_channel(address) as channel:
        await channel.channel_ready()
        yield VisionServiceStub(channel).AnalyzeImage


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
