"""Calling SpeechRecognitionService and SpeechSynthesisService in tests."""

import io
import queue
import wave
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar  # fields of many types, by name

import numpy as np
from google.protobuf.duration_pb2 import Duration
from numpy.typing import NDArray

from tests.rpc.toy_speech import pcm
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub as EarStub
from trivium.v1.speech_pb2_grpc import SpeechSynthesisServiceStub as VoiceStub

Floats = NDArray[np.float32]
Heard = pb.StreamRecognizeRequest
Told = pb.StreamSynthesizeRequest

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

PCM = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_PCM_S16LE, sample_rate_hertz=16_000)
WAV = pb.AudioFormat(encoding=pb.AUDIO_ENCODING_WAV)


def seconds(value: Duration) -> float:
    return value.ToNanoseconds() / 1e9


def duration(value: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(value * 1e9))
    return message


def wav(samples: Floats, rate_hz: int = 16_000) -> bytes:
    """A WAV file; samples of shape (n,) or (n, channels)."""
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
            writer.setsampwidth(2)
            writer.setframerate(rate_hz)
            writer.writeframes(pcm(samples))
        return file.getvalue()


def recognition(model: str = "toy-ear", **fields: Any) -> pb.RecognitionConfig:
    return pb.RecognitionConfig(model=model, **fields)


def recognize_request(content: bytes, *captions: Any, model: str = "toy-ear", **config: Any) -> pb.RecognizeRequest:
    """captions: values of CaptionFormat, also such as it has not."""
    return pb.RecognizeRequest(
        config=recognition(model, **config), audio=common_pb2.Media(content=content), caption_formats=captions
    )


def recognize(stub: EarStub, content: bytes, *captions: Any, **config: Any) -> pb.RecognizeResponse:
    return stub.Recognize(recognize_request(content, *captions, **config), timeout=60)


def hear(
    audio_format: pb.AudioFormat = PCM, *, model: str = "toy-ear", config: dict[str, Any] | None = None, **setup: Any
) -> Heard:
    """A setup of StreamRecognize."""
    whole = recognition(model, format=audio_format, **(config or {}))
    return Heard(setup=pb.StreamRecognizeSetup(config=whole, **setup))


def sound(raw: bytes) -> Heard:
    return Heard(audio=raw)


FINALIZE = Heard(finalize=pb.FinalizeUtterance())
KEEP_ALIVE = Heard(keep_alive=pb.KeepAlive())


def pieces(raw: bytes, size: int) -> list[Heard]:
    return [sound(raw[start : start + size]) for start in range(0, len(raw), size)]


def heard(stub: EarStub, messages: Iterable[Heard], timeout: float = 60) -> list[pb.StreamRecognizeResponse]:
    return list(stub.StreamRecognize(iter(messages), timeout=timeout))


def kinds(events: Iterable[Any]) -> list[str]:
    return [event.WhichOneof("event") for event in events]


def finals(events: Iterable[pb.StreamRecognizeResponse]) -> list[pb.TranscriptUpdate]:
    return [event.transcript for event in events if event.HasField("transcript") and event.transcript.is_final]


def interims(events: Iterable[pb.StreamRecognizeResponse]) -> list[pb.TranscriptUpdate]:
    return [event.transcript for event in events if event.HasField("transcript") and not event.transcript.is_final]


def texts(updates: Iterable[pb.TranscriptUpdate]) -> list[str]:
    return [update.segment.alternatives[0].text for update in updates]


def synthesis(model: str = "toy-voice", **fields: Any) -> pb.SynthesisConfig:
    return pb.SynthesisConfig(model=model, **fields)


def output(encoding: str, rate_hz: int = 0) -> pb.AudioFormat:
    return pb.AudioFormat(encoding=pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}"), sample_rate_hertz=rate_hz)


def synthesize_request(text: str, **config: Any) -> pb.SynthesizeRequest:
    return pb.SynthesizeRequest(config=synthesis(**config), input=pb.SynthesisInput(text=text))


def synthesize(stub: VoiceStub, text: str, **config: Any) -> pb.SynthesizeResponse:
    return stub.Synthesize(synthesize_request(text, **config), timeout=60)


def speak(**config: Any) -> Told:
    """A setup of StreamSynthesize."""
    return Told(setup=pb.StreamSynthesizeSetup(config=synthesis(**config)))


def text(fragment: str) -> Told:
    return Told(text_fragment=fragment)


FLUSH = Told(flush=pb.FlushText())
INTERRUPT = Told(interrupt=pb.InterruptSpeech())


def told(stub: VoiceStub, messages: Iterable[Told], timeout: float = 60) -> list[pb.StreamSynthesizeResponse]:
    return list(stub.StreamSynthesize(iter(messages), timeout=timeout))


def sound_of(events: Iterable[pb.StreamSynthesizeResponse]) -> bytes:
    return b"".join(event.audio.audio for event in events if event.HasField("audio"))


def marks_of(events: Iterable[pb.StreamSynthesizeResponse]) -> list[pb.SpeechMark]:
    return [event.mark for event in events if event.HasField("mark")]


def usage_of(call: Any) -> common_pb2.Usage:
    """What the trailing metadata of an answered call has."""
    trailing: dict[str, Any] = dict(call.trailing_metadata())
    return common_pb2.Usage.FromString(trailing["trivium-usage-bin"])


class Dialogue(Generic[RequestT, ResponseT]):
    """A stream whose messages are sent one by one."""

    def __init__(self, method: Any, first: RequestT, timeout: float = 60) -> None:
        self._to_send: queue.SimpleQueue[RequestT | None] = queue.SimpleQueue()
        self.call = method(iter(self._to_send.get, None), timeout=timeout)
        self._events: Iterator[ResponseT] = iter(self.call)
        self.send(first)

    def send(self, *messages: RequestT) -> None:
        for message in messages:
            self._to_send.put(message)

    def next(self) -> ResponseT:
        return next(self._events)

    def until(self, kind: str) -> list[ResponseT]:
        """Reads up to the next event of this kind."""
        events: list[Any] = []
        while not events or events[-1].WhichOneof("event") != kind:
            events.append(self.next())
        return events

    def half_close(self) -> None:
        self._to_send.put(None)

    def end(self) -> list[ResponseT]:
        self.half_close()
        return list(self._events)


def spans(marks: Sequence[pb.SpeechMark]) -> list[tuple[int, int]]:
    return [(mark.source_span.start_offset, mark.source_span.end_offset) for mark in marks]
