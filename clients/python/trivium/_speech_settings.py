"""What to recognise and how, and how to speak: options of callers as messages. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from trivium._calls import duration
from trivium._speech_format import SAMPLE_BYTES, AudioEncoding, checked_encoding, format_message
from trivium._speech_heard import RecognitionTask
from trivium._text_input import checked_choice, checked_text
from trivium.v1 import speech_pb2

CAPTION_FORMATS = (speech_pb2.CAPTION_FORMAT_SRT, speech_pb2.CAPTION_FORMAT_WEBVTT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpointing:
    """When an utterance of a live stream begins and ends. None is the server's default.

    trailing_silence_s: how long the speaker must be silent for the utterance to be over, 0.1 to 5, by default 0.4.
    activity_threshold: from which probability of speech on sound counts as speech, 0.05 to 0.95, by default 0.5.
    speech_start_timeout_s: ends the stream when nobody has spoken for so long, 1 to 3600, counted in audio; by default
    never. single_utterance: ends the stream after the first utterance.
    """

    trailing_silence_s: float | None = None
    activity_threshold: float | None = None
    speech_start_timeout_s: float | None = None
    single_utterance: bool = False


def recognition_config(
    *,
    model: str | None,
    language: str | Sequence[str] | None,
    task: RecognitionTask | str,
    word_timings: bool,
    prompt: str | None,
    separate_channels: bool = False,
) -> speech_pb2.RecognitionConfig:
    """Returns the message without its format. TypeError or ValueError for what cannot be sent."""
    chosen = checked_choice(RecognitionTask, task, "task")
    return speech_pb2.RecognitionConfig(
        model="" if model is None else checked_text(model, "model"),
        language_codes=_languages(language),
        task=speech_pb2.RecognitionTask.Value(f"RECOGNITION_TASK_{chosen}"),
        include_word_timings=word_timings,
        separate_channels=separate_channels,
        prompt="" if prompt is None else checked_text(prompt, "prompt"),
    )


def _languages(language: str | Sequence[str] | None) -> list[str]:
    if language is None:
        return []
    if not isinstance(language, str | Sequence):
        raise TypeError(f"language is {type(language).__name__}, not a code or a list of codes")
    codes = [language] if isinstance(language, str) else list(language)
    return [checked_text(code, "language") for code in codes]


def live_setup(
    config: speech_pb2.RecognitionConfig,
    *,
    interim_results: bool,
    interim_period_s: float | None,
    endpointing: Endpointing | None,
    activity: bool,
) -> speech_pb2.StreamRecognizeSetup:
    """Returns the setup of a live stream. TypeError or ValueError for what cannot be sent."""
    setup = speech_pb2.StreamRecognizeSetup(
        config=config, interim_results=interim_results, interim_period=duration(interim_period_s)
    )
    if endpointing is not None or activity:
        ends = endpointing or Endpointing()
        setup.endpointing.CopyFrom(
            speech_pb2.EndpointingConfig(
                emit_activity_events=activity,
                speech_start_timeout=duration(ends.speech_start_timeout_s),
                trailing_silence=duration(ends.trailing_silence_s),
                activity_threshold=ends.activity_threshold,
                single_utterance=ends.single_utterance,
            )
        )
    return setup


def checked_live_encoding(encoding: AudioEncoding | str) -> AudioEncoding:
    """Returns an encoding without a header. ValueError for another one, TypeError for what is no name."""
    chosen = checked_encoding(encoding)
    if chosen not in SAMPLE_BYTES:
        names = ", ".join(name.lower() for name in SAMPLE_BYTES)
        raise ValueError(f"encoding is {chosen.lower()!r}; live sound is one of {names}, and transcribe() takes files")
    return chosen


def synthesis_config(
    *,
    model: str | None,
    voice: str | None,
    language: str | None,
    encoding: AudioEncoding | str,
    sample_rate_hz: int | None,
    speaking_rate: float | None,
    volume_gain_db: float | None,
    word_timings: bool,
) -> speech_pb2.SynthesisConfig:
    """Returns the message. TypeError or ValueError for what cannot be sent."""
    config = speech_pb2.SynthesisConfig(
        model="" if model is None else checked_text(model, "model"),
        output_format=format_message(checked_encoding(encoding), sample_rate_hz, 0),
        speaking_rate=speaking_rate,
        volume_gain_db=volume_gain_db,
        include_word_timings=word_timings,
    )
    if voice is not None:
        config.voice.voice_name = checked_text(voice, "voice")
    if language is not None:
        config.voice.language_code = checked_text(language, "language")
    return config
