"""What the scripted server answers to speech calls."""

import struct
import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from tests.sdk.scripted import Act
from trivium.v1 import common_pb2, models_pb2, speech_pb2

HEARD = common_pb2.ServedModel(name="ear", digest="sha256:1")
SPOKEN = common_pb2.ServedModel(name="mouth", digest="sha256:2")
CAPTIONS = [
    speech_pb2.CaptionFile(format=speech_pb2.CAPTION_FORMAT_SRT, content="1\n00:00:00,500 --> 00:00:01,250\nHello.\n"),
    speech_pb2.CaptionFile(format=speech_pb2.CAPTION_FORMAT_WEBVTT, content="WEBVTT\n"),
]


def span(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def segment(text: str, index: int = 0, *, start_s: float = 0.5, words: bool = False) -> speech_pb2.TranscriptSegment:
    """A segment of three quarters of a second."""
    made = speech_pb2.TranscriptSegment(
        segment_index=index,
        start_offset=span(start_s),
        end_offset=span(start_s + 0.75),
        language_code="en",
        no_speech_probability=0.25,
    )
    best = made.alternatives.add(text=text, confidence=0.5)
    if words:
        best.words.add(word=text, start_offset=span(start_s), end_offset=span(start_s + 0.5), confidence=0.75)
    return made


def heard_info() -> common_pb2.CallInfo:
    audio = common_pb2.AudioUsage(input_duration=span(2.5), speech_duration=span(0.75), channel_count=1)
    return common_pb2.CallInfo(model=HEARD, usage=common_pb2.Usage(audio=audio))


def recognize(request: speech_pb2.RecognizeRequest, context: grpc.ServicerContext) -> speech_pb2.RecognizeResponse:
    """An act for Recognize."""
    return speech_pb2.RecognizeResponse(
        text="Hello.",
        segments=[segment("Hello.", words=request.config.include_word_timings)],
        language_code="en",
        audio_duration=span(2.5),
        captions=[made for made in CAPTIONS if made.format in request.caption_formats],
        info=heard_info(),
    )


def hear_file(seen: list[bytes]) -> Act:
    """An act for StreamRecognize with a file: keeps it, and answers with two segments."""

    def act(requests: Any, context: grpc.ServicerContext) -> Iterator[speech_pb2.StreamRecognizeResponse]:
        response = speech_pb2.StreamRecognizeResponse
        setup = next(requests).setup
        yield response(ready=speech_pb2.RecognitionReady(model=HEARD, preferred_chunk_bytes=65536))
        seen.append(b"".join(request.audio for request in requests))
        for place, text in enumerate(("Hello.", "Again.")):
            update = speech_pb2.TranscriptUpdate(
                segment=segment(text, place, start_s=0.5 + place),
                is_final=True,
                stable_prefix_length=len(text),
                processed_offset=span(2.5),
                audio_duration=span(2.5),
            )
            yield response(sequence=place + 1, transcript=update)
        completed = speech_pb2.RecognitionCompleted(
            info=heard_info(),
            audio_duration=span(2.5),
            captions=[made for made in CAPTIONS if made.format in setup.caption_formats],
        )
        yield response(sequence=3, completed=completed)

    return act


def hear_live(
    seen: list[speech_pb2.StreamRecognizeRequest], *, go_away_after: int | None = None, utterances: int | None = None
) -> Act:
    """An act for StreamRecognize with live sound: keeps the messages, and answers each at once with a final text.

    Its text is the bytes of a chunk, the kind of any other message. go_away_after: tells after so many that the stream
    will end. utterances: ends the stream after so many.
    """

    def act(requests: Any, context: grpc.ServicerContext) -> Iterator[speech_pb2.StreamRecognizeResponse]:
        response = speech_pb2.StreamRecognizeResponse
        setup = next(requests).setup
        yield response(ready=speech_pb2.RecognitionReady(model=HEARD, accepted_format=setup.config.format))
        sequence = 1
        for request in requests:
            seen.append(request)
            text = request.audio.decode() or str(request.WhichOneof("request"))
            update = speech_pb2.TranscriptUpdate(
                segment=segment(text, len(seen) - 1), is_final=True, stable_prefix_length=len(text)
            )
            yield response(sequence=sequence, transcript=update)
            sequence += 1
            if len(seen) == go_away_after:
                yield response(sequence=sequence, go_away=common_pb2.GoAway(time_left=span(7.5)))
                sequence += 1
            if len(seen) == utterances:
                break
        completed = speech_pb2.RecognitionCompleted(info=heard_info(), audio_duration=span(2.5))
        yield response(sequence=sequence, completed=completed)

    return act


def silent_after_setup(seen: list[speech_pb2.StreamRecognizeRequest]) -> Act:
    """Accepts the setup of StreamRecognize, takes everything, and says nothing more."""

    def act(requests: Any, context: grpc.ServicerContext) -> Iterator[speech_pb2.StreamRecognizeResponse]:
        next(requests)
        yield speech_pb2.StreamRecognizeResponse(ready=speech_pb2.RecognitionReady(model=HEARD))
        seen.extend(requests)
        while context.is_active():
            time.sleep(0.01)

    return act


def wav(samples: bytes, sample_rate_hz: int = 24000) -> bytes:
    """A WAV file of 16 bits, mono."""
    fmt = struct.pack("<HHIIHH", 1, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    size = struct.pack("<I", len(samples))
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(samples))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + size
        + samples
    )


def mark(text: str, start: int, start_s: float) -> speech_pb2.SpeechMark:
    return speech_pb2.SpeechMark(
        kind=speech_pb2.SPEECH_MARK_KIND_SENTENCE,
        value=text,
        start_offset=span(start_s),
        end_offset=span(start_s + 1),
        source_span=common_pb2.TextSpan(start_offset=start, end_offset=start + len(text)),
    )


def spoken_info() -> common_pb2.CallInfo:
    audio = common_pb2.AudioUsage(output_duration=span(1.5))
    return common_pb2.CallInfo(model=SPOKEN, usage=common_pb2.Usage(input_characters=6, audio=audio))


def synthesize(request: speech_pb2.SynthesizeRequest, context: grpc.ServicerContext) -> speech_pb2.SynthesizeResponse:
    """An act for Synthesize: four samples, in a WAV file or as they are."""
    samples = struct.pack("<4h", 0, 1, -1, 32767)
    encoding = request.config.output_format.encoding
    is_wav = encoding == speech_pb2.AUDIO_ENCODING_WAV
    return speech_pb2.SynthesizeResponse(
        audio=wav(samples) if is_wav else samples,
        format=speech_pb2.AudioFormat(encoding=encoding, sample_rate_hertz=24000, channel_count=1),
        marks=[mark(request.input.text, 0, 0)],
        audio_duration=span(1.5),
        info=spoken_info(),
    )


def speak(seen: list[speech_pb2.StreamSynthesizeRequest]) -> Act:
    """An act for StreamSynthesize: each flush, and the end, speaks what there is, a byte for each character."""

    def act(requests: Any, context: grpc.ServicerContext) -> Iterator[speech_pb2.StreamSynthesizeResponse]:
        response = speech_pb2.StreamSynthesizeResponse
        config = next(requests).setup.config
        audio_format = speech_pb2.AudioFormat(
            encoding=config.output_format.encoding, sample_rate_hertz=24000, channel_count=1
        )
        yield response(ready=speech_pb2.SynthesisReady(model=SPOKEN, format=audio_format))
        sequence, text, spoken = 1, "", 0

        def events() -> Iterator[dict[str, Any]]:
            nonlocal text, spoken
            for request in requests:
                seen.append(request)
                match request.WhichOneof("request"):
                    case "text_fragment":
                        text += request.text_fragment
                    case "interrupt":
                        dropped = common_pb2.TextSpan(start_offset=spoken, end_offset=len(text))
                        spoken = len(text)
                        yield {
                            "interrupted": speech_pb2.SpeechInterrupted(
                                produced_duration=span(0.5), discarded_span=dropped
                            )
                        }
                    case "flush":
                        yield from said()
            yield from said()

        def said() -> Iterator[dict[str, Any]]:
            nonlocal spoken
            sentence = text[spoken:]
            if sentence:
                yield {"mark": mark(sentence, spoken, 0)}
                yield {"audio": speech_pb2.AudioChunk(audio=sentence.encode(), start_offset=span(spoken / 10))}
            spoken = len(text)

        for event in events():
            yield response(sequence=sequence, **event)
            sequence += 1
        completed = speech_pb2.SynthesisCompleted(info=spoken_info(), audio_duration=span(1.5))
        yield response(sequence=sequence, completed=completed)

    return act


def voices(*names: str) -> speech_pb2.ListVoicesResponse:
    return speech_pb2.ListVoicesResponse(
        voices=[
            speech_pb2.Voice(
                voice_name=name,
                display_name=name.title(),
                language_codes=["en-US"],
                model="mouth",
                native_sample_rate_hertz=24000,
                traits={"gender": "female"},
            )
            for name in names
        ]
    )


def list_models(request: models_pb2.ListModelsRequest, context: grpc.ServicerContext) -> models_pb2.ListModelsResponse:
    """An act for ListModels: one model that hears, one that speaks."""
    names = {models_pb2.CAPABILITY_RECOGNIZE_SPEECH: "ear", models_pb2.CAPABILITY_SYNTHESIZE_SPEECH: "mouth"}
    return models_pb2.ListModelsResponse(
        models=[
            models_pb2.Model(
                name=name,
                state=models_pb2.MODEL_STATE_READY,
                capabilities=[capability],
                limits=models_pb2.ModelLimits(max_input_characters=20000),
            )
            for capability, name in names.items()
            if request.capability in (capability, models_pb2.CAPABILITY_UNSPECIFIED)
        ]
    )
