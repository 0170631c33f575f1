"""Requests to speak into frozen specs. Every field is checked, and all that is wrong told together.

Each function takes the model, or None where none is named: then only what holds for every model is checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech_capabilities import SpeechSynthesizer, Voice
from trivium_server.rpc.spans import Unit
from trivium_server.rpc.speech_fields import check_language_code, speaks, spoken_format
from trivium_server.rpc.violations import Violations
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

_UNITS: dict[int, Unit] = {
    common_pb2.OFFSET_UNIT_UNSPECIFIED: common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT,
    common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT: common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT,
    common_pb2.OFFSET_UNIT_UTF8_BYTE: common_pb2.OFFSET_UNIT_UTF8_BYTE,
    common_pb2.OFFSET_UNIT_UTF16_CODE_UNIT: common_pb2.OFFSET_UNIT_UTF16_CODE_UNIT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisSpec:
    """How to speak."""

    voice: str
    audio_format: AudioFormat
    speaking_rate: float
    gain_db: float
    with_words: bool
    unit: Unit


def synthesize_spec(
    request: pb.SynthesizeRequest, model: SpeechSynthesizer | None, found: Violations, *, max_text_len: int
) -> SynthesisSpec:
    """Returns how to speak a text. Raises what `found` holds and what is found here, all together."""
    spec = _synthesis_spec(request.config, model, "config", found, AudioEncoding.WAV)
    if not request.HasField("input"):
        found.add("input", "is required")
    elif request.input.WhichOneof("input") is None:
        found.add("input.text", "is required")
    elif not request.input.text:
        found.add("input.text", "is empty")
    elif len(request.input.text) > max_text_len:
        found.too_large("input.text", len(request.input.text), max_text_len, "characters")
    found.raise_if_any()
    return spec


def speak_stream_spec(
    setup: pb.StreamSynthesizeSetup, model: SpeechSynthesizer | None, found: Violations
) -> SynthesisSpec:
    """Returns how to speak a stream of text. Raises as synthesize_spec does."""
    spec = _synthesis_spec(setup.config, model, "setup.config", found, AudioEncoding.PCM_S16LE)
    found.raise_if_any()
    return spec


def _synthesis_spec(
    config: pb.SynthesisConfig,
    model: SpeechSynthesizer | None,
    path: str,
    found: Violations,
    default_encoding: AudioEncoding,
) -> SynthesisSpec:
    audio_format = spoken_format(
        config.output_format,
        f"{path}.output_format",
        found,
        default=default_encoding,
        native_rate_hz=model.sample_rate_hz if model else 0,
    )
    if config.HasField("speaking_rate"):
        found.number("speech.speaking_rate", config.speaking_rate, f"{path}.speaking_rate")
    if config.HasField("volume_gain_db"):
        found.number("speech.volume_gain_db", config.volume_gain_db, f"{path}.volume_gain_db")
    unit = found.choice(f"{path}.offset_unit", config.offset_unit, _UNITS, "OffsetUnit")
    return SynthesisSpec(
        voice=_voice(config.voice, model.voices if model else (), f"{path}.voice", found),
        audio_format=audio_format,
        speaking_rate=config.speaking_rate if config.HasField("speaking_rate") else 1.0,
        gain_db=config.volume_gain_db,
        with_words=config.include_word_timings,
        unit=unit or common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT,
    )


def _voice(selection: pb.VoiceSelection, voices: Sequence[Voice], path: str, found: Violations) -> str:
    """Returns the name of the voice; any where no model is known. voices: at least one where one is."""
    language = selection.language_code
    if language and not check_language_code(language, f"{path}.language_code", found):
        language = ""
    if not voices:
        return ""
    able = voices
    if selection.WhichOneof("voice") == "voice_name":
        able = [voice for voice in voices if voice.name == selection.voice_name]
        if not able:
            found.add(f"{path}.voice_name", f"is no voice of the model, which has {_names(voices)}; see ListVoices")
            return ""
    spoken = [voice for voice in able if not language or speaks(voice.language_codes, language)]
    if not spoken:
        codes = ", ".join(dict.fromkeys(code for voice in able for code in voice.language_codes))
        whose = "the voice" if len(able) == 1 else "the model"
        found.add(f"{path}.language_code", f"is {language}, which {whose} does not speak; it speaks {codes}")
        return ""
    return spoken[0].name


def _names(voices: Sequence[Voice]) -> str:
    most = 8
    rest = len(voices) - most
    return ", ".join(voice.name for voice in voices[:most]) + (f" and {rest} more" if rest > 0 else "")
