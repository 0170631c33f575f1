"""Asks our server to transcribe and to speak, over gRPC with the generated stubs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from google.protobuf.duration_pb2 import Duration

from benchmarks import grpc_client
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub, SpeechSynthesisServiceStub

_FILE_CHUNK = 64 * 1024

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Replies(Protocol):
    """What the generated stub returns for a stream of results on an asyncio channel."""

    def __aiter__(self) -> AsyncIterator[pb.StreamRecognizeResponse]: ...


class Sounds(Protocol):
    """What the generated stub returns for a stream of sound on an asyncio channel."""

    def __aiter__(self) -> AsyncIterator[pb.StreamSynthesizeResponse]: ...


@dataclass(slots=True, kw_only=True)
class Update:
    """A transcript, when it came on time.monotonic()'s clock, and up to where the sound was heard for it."""

    arrived_s: float
    processed_s: float
    start_s: float
    end_s: float
    is_final: bool
    text: str


@dataclass(slots=True, kw_only=True)
class LiveStream:
    """One live stream. begun_s: when its sound began. sent: (end of the chunk in the sound, when it was sent)."""

    begun_s: float = 0.0
    late_s: float = 0.0
    sent: list[tuple[float, float]] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    is_completed: bool = False

    @property
    def text(self) -> str:
        return " ".join(update.text for update in self.updates if update.is_final and update.text)

    @property
    def num_interims(self) -> int:
        return sum(not update.is_final for update in self.updates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """A spoken text, 16-bit at rate_hz. Times on time.monotonic()'s clock; sent_s: of the text."""

    sound: bytes
    rate_hz: int
    sent_s: float
    first_s: float
    ended_s: float

    @property
    def audio_s(self) -> float:
        return len(self.sound) / 2 / self.rate_hz


async def recognize(stub: SpeechRecognitionServiceStub, model: str, content: bytes) -> pb.RecognizeResponse:
    """Transcribes a file in one request."""
    request = pb.RecognizeRequest(config=pb.RecognitionConfig(model=model), audio=common_pb2.Media(content=content))
    return await grpc_client.unary(stub.Recognize)(request)


async def recognize_in_pieces(stub: SpeechRecognitionServiceStub, model: str, content: bytes) -> str:
    """Transcribes a file that is sent in pieces. Raises RuntimeError where the answer is cut short."""

    async def requests() -> AsyncIterator[pb.StreamRecognizeRequest]:
        file = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_AUTO)
        config = pb.RecognitionConfig(model=model, format=file)
        yield pb.StreamRecognizeRequest(setup=pb.StreamRecognizeSetup(config=config))
        for at in range(0, len(content), _FILE_CHUNK):
            yield pb.StreamRecognizeRequest(audio=content[at : at + _FILE_CHUNK])

    texts, is_completed = [], False
    async for response in _replies(stub, requests()):
        is_completed = response.HasField("completed")
        if response.HasField("transcript"):
            texts.append(response.transcript.segment.alternatives[0].text)
    if not is_completed:
        raise RuntimeError("the transcript was cut short")
    return " ".join(texts)


async def listen(
    stub: SpeechRecognitionServiceStub,
    model: str,
    sound: bytes,
    *,
    rate_hz: int,
    chunk_s: float,
    period_s: float,
    trailing_silence_s: float,
    delay_s: float = 0.0,
) -> LiveStream:
    """Plays 16-bit sound as a microphone does: each chunk is sent when its last sample would have been spoken.

    delay_s: after which it begins. Raises RuntimeError where the stream is cut short.
    """
    stream = LiveStream()
    is_ready = asyncio.Event()
    step = round(chunk_s * rate_hz) * 2

    async def requests() -> AsyncIterator[pb.StreamRecognizeRequest]:
        raw = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_PCM_S16LE, sample_rate_hertz=rate_hz)
        setup = pb.StreamRecognizeSetup(
            config=pb.RecognitionConfig(model=model, format=raw),
            interim_results=True,
            interim_period=_duration(period_s),
            endpointing=pb.EndpointingConfig(trailing_silence=_duration(trailing_silence_s)),
        )
        yield pb.StreamRecognizeRequest(setup=setup)
        await is_ready.wait()
        await asyncio.sleep(delay_s)
        stream.begun_s = time.monotonic()
        for at in range(0, len(sound), step):
            chunk = sound[at : at + step]
            end_s = (at + len(chunk)) / 2 / rate_hz
            due_s = stream.begun_s + end_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now = time.monotonic()
            stream.late_s = max(stream.late_s, now - due_s)
            stream.sent.append((end_s, now))
            yield pb.StreamRecognizeRequest(audio=chunk)

    async for response in _replies(stub, requests()):
        now = time.monotonic()
        match response.WhichOneof("event"):
            case "ready":
                is_ready.set()
            case "transcript":
                stream.updates.append(_update(response.transcript, now))
            case "completed":
                stream.is_completed = True
    if not stream.is_completed:
        raise RuntimeError("a live stream was cut short")
    return stream


async def speak(stub: SpeechSynthesisServiceStub, model: str, text: str) -> Speech:
    """Has a text spoken on a stream of its own, and hears it to its end. Raises RuntimeError where it is cut short."""
    is_ready = asyncio.Event()
    sent_s = first_s = 0.0
    sound = bytearray()
    rate_hz, is_completed = 0, False

    async def requests() -> AsyncIterator[pb.StreamSynthesizeRequest]:
        nonlocal sent_s
        raw = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_PCM_S16LE)
        config = pb.SynthesisConfig(model=model, output_format=raw)
        yield pb.StreamSynthesizeRequest(setup=pb.StreamSynthesizeSetup(config=config))
        await is_ready.wait()
        sent_s = time.monotonic()
        yield pb.StreamSynthesizeRequest(text_fragment=text)

    # grpc-stubs types a stub by its own blocking channel.
    async for response in cast("Sounds", stub.StreamSynthesize(requests())):  # type: ignore[arg-type]
        match response.WhichOneof("event"):
            case "ready":
                rate_hz = response.ready.format.sample_rate_hertz
                is_ready.set()
            case "audio":
                first_s = first_s or time.monotonic()
                sound += response.audio.audio
            case "completed":
                is_completed = True
    if not is_completed or not sound:
        raise RuntimeError(f"the sound of {text!r} was cut short")
    return Speech(sound=bytes(sound), rate_hz=rate_hz, sent_s=sent_s, first_s=first_s, ended_s=time.monotonic())


@contextlib.asynccontextmanager
async def hearing(address: str) -> AsyncIterator[SpeechRecognitionServiceStub]:
    """A connection of its own, which is there."""
    async with grpc_client.open_channel(address) as channel:
        await channel.channel_ready()
        yield cast("SpeechRecognitionServiceStub", SpeechRecognitionServiceStub(channel))


@contextlib.asynccontextmanager
async def speaking(address: str) -> AsyncIterator[SpeechSynthesisServiceStub]:
    """A connection of its own, which is there."""
    async with grpc_client.open_channel(address) as channel:
        await channel.channel_ready()
        yield cast("SpeechSynthesisServiceStub", SpeechSynthesisServiceStub(channel))


async def shared_out(items: Sequence[_Item], callers: Sequence[Callable[[_Item], Awaitable[_Made]]]) -> list[_Made]:
    """Has callers work on items, each on the next one when its last is done; results in the order of the items."""
    made: dict[int, _Made] = {}
    left: Iterator[tuple[int, _Item]] = iter(enumerate(items))

    async def work(caller: Callable[[_Item], Awaitable[_Made]]) -> None:
        for number, item in left:
            made[number] = await caller(item)

    await asyncio.gather(*map(work, callers))
    return [made[number] for number in range(len(items))]


def _replies(stub: SpeechRecognitionServiceStub, requests: AsyncIterator[pb.StreamRecognizeRequest]) -> Replies:
    # grpc-stubs types a stub by its own blocking channel.
    return cast("Replies", stub.StreamRecognize(requests))  # type: ignore[arg-type]


def _update(told: pb.TranscriptUpdate, now: float) -> Update:
    segment = told.segment
    return Update(
        arrived_s=now,
        processed_s=_seconds(told.processed_offset),
        start_s=_seconds(segment.start_offset),
        end_s=_seconds(segment.end_offset),
        is_final=told.is_final,
        text=segment.alternatives[0].text if segment.alternatives else "",
    )


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromMilliseconds(round(1000 * seconds))
    return made


def _seconds(told: Duration) -> float:
    return told.seconds + told.nanos / 1e9
