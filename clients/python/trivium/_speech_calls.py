"""The calls of the speech services with one response, and results from what the server answers. Pure."""

from collections.abc import Sequence
from typing import TypeAlias

from trivium import _calls
from trivium._calls import UnaryCall
from trivium._error_base import DataLossError
from trivium._error_types import ErrorReason, InputTooLarge
from trivium._speech_format import in_seconds, parse_format
from trivium._speech_heard import (
    ActivityKind,
    RecognitionReady,
    SpeechActivity,
    Transcript,
    TranscriptSegment,
    TranscriptUpdate,
    WordTiming,
)
from trivium._speech_settings import CAPTION_FORMATS
from trivium._speech_spoken import (
    AudioChunk,
    Speech,
    SpeechInterrupted,
    SpeechMark,
    SpeechMarkKind,
    SynthesisReady,
    Voice,
)
from trivium._text_input import checked_text
from trivium.call_info import parse_call_info, parse_served_model
from trivium.v1 import common_pb2, speech_pb2

RecognizeCall: TypeAlias = UnaryCall[speech_pb2.RecognizeRequest, speech_pb2.RecognizeResponse, Transcript]
SynthesizeCall: TypeAlias = UnaryCall[speech_pb2.SynthesizeRequest, speech_pb2.SynthesizeResponse, Speech]
VoicesCall: TypeAlias = UnaryCall[speech_pb2.ListVoicesRequest, speech_pb2.ListVoicesResponse, tuple[list[Voice], str]]


def too_large(size: int | None, limit_bytes: int) -> InputTooLarge:
    """Returns the error for a recording with separate channels that no request carries."""
    return InputTooLarge(
        f"audio takes {'more' if size is None else size} bytes, and with separate channels it may have {limit_bytes}; "
        "send each channel of a larger recording as one of its own",
        reason=ErrorReason.INPUT_TOO_LARGE,
        metadata={"field": "audio", "actual": str(size or ""), "limit": str(limit_bytes)},
    )


def recognize(config: speech_pb2.RecognitionConfig, audio: bytes) -> RecognizeCall:
    """Recognize, with captions in all formats."""
    request = speech_pb2.RecognizeRequest(
        config=config, audio=common_pb2.Media(content=audio), caption_formats=CAPTION_FORMATS
    )
    return UnaryCall(_calls.RECOGNIZE, request, parse_transcript)


def synthesize(config: speech_pb2.SynthesisConfig, text: str) -> SynthesizeCall:
    """Synthesize. TypeError or ValueError for what is no text."""
    spoken = speech_pb2.SynthesisInput(text=checked_text(text, "text"))
    return UnaryCall(_calls.SYNTHESIZE, speech_pb2.SynthesizeRequest(config=config, input=spoken), _parse_speech)


def list_voices(model: str | None, language: str | None, page_token: str) -> VoicesCall:
    """ListVoices, one page of it."""
    request = speech_pb2.ListVoicesRequest(model=model or "", language_code=language or "", page_token=page_token)
    return UnaryCall(
        _calls.LIST_VOICES, request, lambda page: ([_parse_voice(voice) for voice in page.voices], page.next_page_token)
    )


def parse_transcript(raw: speech_pb2.RecognizeResponse) -> Transcript:
    """Wraps the message."""
    return Transcript(
        text=raw.text,
        segments=tuple(parse_segment(segment) for segment in raw.segments),
        language_code=raw.language_code,
        duration_s=in_seconds(raw.audio_duration),
        info=parse_call_info(raw.info),
        raw=raw,
    )


def whole_transcript(
    segments: Sequence[speech_pb2.TranscriptSegment], completed: speech_pb2.RecognitionCompleted
) -> Transcript:
    """Returns what Recognize would have answered, out of what StreamRecognize did."""
    texts = [segment.alternatives[0].text for segment in segments if segment.alternatives]
    return parse_transcript(
        speech_pb2.RecognizeResponse(
            text=" ".join(texts),
            segments=segments,
            language_code=_main_language(segments),
            audio_duration=completed.audio_duration,
            captions=completed.captions,
            info=completed.info,
        )
    )


def _main_language(segments: Sequence[speech_pb2.TranscriptSegment]) -> str:
    """Returns the language that was spoken longest."""
    spoken_s: dict[str, float] = {}
    for segment in segments:
        length_s = in_seconds(segment.end_offset) - in_seconds(segment.start_offset)
        spoken_s[segment.language_code] = spoken_s.get(segment.language_code, 0) + length_s
    return max(spoken_s, key=lambda code: spoken_s[code], default="")


def parse_segment(raw: speech_pb2.TranscriptSegment) -> TranscriptSegment:
    """Wraps the message with the best of its alternatives. DataLossError where it has none."""
    if not raw.alternatives:
        raise DataLossError(f"segment {raw.segment_index} of the response has no text")
    best = raw.alternatives[0]
    return TranscriptSegment(
        index=raw.segment_index,
        text=best.text,
        start_s=in_seconds(raw.start_offset),
        end_s=in_seconds(raw.end_offset),
        language_code=raw.language_code,
        channel=raw.channel,
        confidence=best.confidence if best.HasField("confidence") else None,
        no_speech_probability=raw.no_speech_probability if raw.HasField("no_speech_probability") else None,
        words=tuple(_parse_word(word) for word in best.words),
        raw=raw,
    )


def _parse_word(raw: speech_pb2.WordTiming) -> WordTiming:
    return WordTiming(
        word=raw.word,
        start_s=in_seconds(raw.start_offset),
        end_s=in_seconds(raw.end_offset),
        confidence=raw.confidence if raw.HasField("confidence") else None,
    )


def parse_heard_ready(raw: speech_pb2.RecognitionReady) -> RecognitionReady:
    """Wraps the message."""
    return RecognitionReady(
        model=parse_served_model(raw.model),
        format=parse_format(raw.accepted_format),
        preferred_chunk_bytes=raw.preferred_chunk_bytes,
        raw=raw,
    )


def parse_activity(raw: speech_pb2.SpeechActivity) -> SpeechActivity | None:
    """Wraps the message; None for a kind that this version does not know."""
    known = speech_pb2.ActivityKind.DESCRIPTOR.values_by_number.get(raw.kind)
    name = known.name.removeprefix("ACTIVITY_KIND_") if known else ""
    if name not in ActivityKind.__members__:
        return None
    return SpeechActivity(kind=ActivityKind(name), offset_s=in_seconds(raw.offset), raw=raw)


def parse_update(raw: speech_pb2.TranscriptUpdate) -> TranscriptUpdate:
    """Wraps the message."""
    return TranscriptUpdate(
        segment=parse_segment(raw.segment),
        is_final=raw.is_final,
        stable_len=raw.stable_prefix_length,
        processed_s=in_seconds(raw.processed_offset),
        audio_s=in_seconds(raw.audio_duration) if raw.HasField("audio_duration") else None,
        raw=raw,
    )


def _parse_speech(raw: speech_pb2.SynthesizeResponse) -> Speech:
    return Speech(
        audio=raw.audio,
        format=parse_format(raw.format),
        marks=tuple(parse_mark(mark) for mark in raw.marks),
        duration_s=in_seconds(raw.audio_duration),
        info=parse_call_info(raw.info),
        raw=raw,
    )


def parse_mark(raw: speech_pb2.SpeechMark) -> SpeechMark:
    """Wraps the message; an unknown kind becomes UNSPECIFIED."""
    known = speech_pb2.SpeechMarkKind.DESCRIPTOR.values_by_number.get(raw.kind)
    name = known.name.removeprefix("SPEECH_MARK_KIND_") if known else ""
    return SpeechMark(
        kind=SpeechMarkKind(name) if name in SpeechMarkKind.__members__ else SpeechMarkKind.UNSPECIFIED,
        value=raw.value,
        start_s=in_seconds(raw.start_offset),
        end_s=in_seconds(raw.end_offset),
        source_start=raw.source_span.start_offset,
        source_end=raw.source_span.end_offset,
        raw=raw,
    )


def parse_spoken_ready(raw: speech_pb2.SynthesisReady) -> SynthesisReady:
    """Wraps the message."""
    return SynthesisReady(model=parse_served_model(raw.model), format=parse_format(raw.format), raw=raw)


def parse_audio_chunk(raw: speech_pb2.AudioChunk) -> AudioChunk:
    """Wraps the message."""
    return AudioChunk(audio=raw.audio, start_s=in_seconds(raw.start_offset), raw=raw)


def parse_interrupted(raw: speech_pb2.SpeechInterrupted) -> SpeechInterrupted:
    """Wraps the message."""
    return SpeechInterrupted(
        produced_s=in_seconds(raw.produced_duration),
        discarded_start=raw.discarded_span.start_offset,
        discarded_end=raw.discarded_span.end_offset,
        raw=raw,
    )


def _parse_voice(raw: speech_pb2.Voice) -> Voice:
    return Voice(
        name=raw.voice_name,
        display_name=raw.display_name,
        language_codes=tuple(raw.language_codes),
        model=raw.model,
        sample_rate_hz=raw.native_sample_rate_hertz,
        traits=dict(raw.traits),
        raw=raw,
    )
