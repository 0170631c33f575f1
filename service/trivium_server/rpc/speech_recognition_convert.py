"""Requests to recognise speech into frozen specs. Every field is checked, and all that is wrong told together.

Each function takes the model's info, or None where no model is named: then only what holds for every model is checked.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech.live import Endpointing
from trivium_server.architectures.speech_capabilities import RecognitionOptions, RecognitionTask, RecognizerInfo
from trivium_server.rpc.speech_fields import check_language_code, heard_format, language_of
from trivium_server.rpc.violations import MAX_PROMPT_LEN, Violations, seconds
from trivium_server.speech.audio_format import SAMPLE_BYTES, AudioFormat

ONE_CHANNEL = "is for Recognize, where there is more than one channel"
_DEFAULT_INTERIM_PERIOD_S = 0.5
_TASKS: dict[int, RecognitionTask] = {
    pb.RECOGNITION_TASK_UNSPECIFIED: RecognitionTask.TRANSCRIBE,
    pb.RECOGNITION_TASK_TRANSCRIBE: RecognitionTask.TRANSCRIBE,
    pb.RECOGNITION_TASK_TRANSLATE: RecognitionTask.TRANSLATE,
}
_CAPTION_FORMATS = frozenset({pb.CAPTION_FORMAT_SRT, pb.CAPTION_FORMAT_WEBVTT})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionSpec:
    """What to recognise in which sound. warnings: of fields that have no effect."""

    audio_format: AudioFormat
    options: RecognitionOptions
    separate_channels: bool
    warnings: tuple[common_pb2.Warning, ...] = ()

    @property
    def is_live(self) -> bool:
        """On a stream: the sound is heard while it comes, and is no file."""
        return self.audio_format.encoding in SAMPLE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """How to recognise a stream. interim_period_s: None where only final results are wanted."""

    recognition: RecognitionSpec
    endpointing: Endpointing
    with_activity: bool
    interim_period_s: float | None


def recognize_spec(request: pb.RecognizeRequest, info: RecognizerInfo | None, found: Violations) -> RecognitionSpec:
    """Returns how to recognise a recording. Raises what `found` holds and what is found here, all together."""
    spec = _recognition_spec(request.config, info, "config", found)
    _check_media(request, found)
    _check_caption_formats(request.caption_formats, "caption_formats", found)
    found.raise_if_any()
    return spec


def stream_spec(setup: pb.StreamRecognizeSetup, info: RecognizerInfo | None, found: Violations) -> StreamSpec:
    """Returns how to recognise a stream. Raises as recognize_spec does."""
    spec = _recognition_spec(setup.config, info, "setup.config", found)
    if setup.HasField("interim_period"):
        found.duration(setup.interim_period, "setup.interim_period", "speech.interim_period")
    if spec.separate_channels and spec.audio_format.num_channels > 1:
        found.unsupported("setup.config.separate_channels", ONE_CHANNEL)
    if setup.HasField("endpointing") and not spec.is_live:
        found.add(
            "setup.endpointing", "is not for a file; audio without a header, as AUDIO_ENCODING_PCM_S16LE, is live"
        )
    elif setup.HasField("endpointing"):
        _check_endpointing(setup.endpointing, found)
    _check_caption_formats(setup.caption_formats, "setup.caption_formats", found)
    if setup.caption_formats and spec.is_live:
        found.add("setup.caption_formats", "is for a file; live sound has none")
    found.raise_if_any()
    period_s = seconds(setup.interim_period) if setup.HasField("interim_period") else _DEFAULT_INTERIM_PERIOD_S
    if setup.interim_results and not spec.is_live:
        spec = _with_warning(spec, _ignored("setup.interim_results", "a file has final results only"))
    return StreamSpec(
        recognition=spec,
        endpointing=_endpointing(setup.endpointing),
        with_activity=setup.endpointing.emit_activity_events,
        interim_period_s=period_s if setup.interim_results and spec.is_live else None,
    )


def _recognition_spec(
    config: pb.RecognitionConfig, info: RecognizerInfo | None, path: str, found: Violations
) -> RecognitionSpec:
    audio_format = heard_format(config.format, f"{path}.format", found)
    task = found.choice(f"{path}.task", config.task, _TASKS, "RecognitionTask") or RecognitionTask.TRANSCRIBE
    if info and task not in info.tasks:
        found.unsupported(f"{path}.task", f"the model cannot do RECOGNITION_TASK_{task.value}")
    if info and config.include_word_timings and not info.gives_word_timings:
        found.unsupported(f"{path}.include_word_timings", "the model does not say when words are spoken")
    if len(config.prompt) > MAX_PROMPT_LEN:
        found.too_large(f"{path}.prompt", len(config.prompt), MAX_PROMPT_LEN, "characters")
    warnings: tuple[common_pb2.Warning, ...] = ()
    is_honored = info is None or info.honors_prompt
    if config.prompt and not is_honored:
        warnings = (_ignored(f"{path}.prompt", "the model takes no prompt"),)
    options = RecognitionOptions(
        language_codes=_languages(config.language_codes, info, f"{path}.language_codes", found),
        task=task,
        with_words=config.include_word_timings,
        prompt=config.prompt if is_honored else "",
    )
    return RecognitionSpec(
        audio_format=audio_format, options=options, separate_channels=config.separate_channels, warnings=warnings
    )


def _languages(codes: Sequence[str], info: RecognizerInfo | None, path: str, found: Violations) -> tuple[str, ...]:
    if not found.count("speech.language_codes", len(codes), path):
        return ()
    languages: dict[str, None] = {}
    for index, code in enumerate(codes):
        here = f"{path}[{index}]"
        if not check_language_code(code, here, found):
            continue
        language = language_of(code)
        if info and language not in info.language_codes:
            found.unsupported(here, f"the model does not know {language}; see Model.language_codes")
        languages[language] = None
    return tuple(languages)


def _check_media(request: pb.RecognizeRequest, found: Violations) -> None:
    if not request.HasField("audio"):
        found.add("audio", "is required")
    elif request.audio.WhichOneof("source") is None:
        found.add("audio.content", "is required")
    elif not request.audio.content:
        found.add("audio.content", "is empty")


def _check_caption_formats(formats: Sequence[int], path: str, found: Violations) -> None:
    if not found.count("speech.caption_formats", len(formats), path):
        return
    seen: set[int] = set()
    for index, value in enumerate(formats):
        here = f"{path}[{index}]"
        if value not in _CAPTION_FORMATS:
            found.add(here, f"{value} is no known CaptionFormat")
        elif value in seen:
            found.add(here, f"{pb.CaptionFormat.Name(pb.CaptionFormat.ValueType(value))} is asked for twice")
        seen.add(value)


def _check_endpointing(message: pb.EndpointingConfig, found: Violations) -> None:
    path = "setup.endpointing"
    for name in ("speech_start_timeout", "trailing_silence"):
        if message.HasField(name):
            found.duration(getattr(message, name), f"{path}.{name}", f"speech.{name}")
    if message.HasField("activity_threshold"):
        found.number("speech.activity_threshold", message.activity_threshold, f"{path}.activity_threshold")


def _endpointing(message: pb.EndpointingConfig) -> Endpointing:
    default = Endpointing()
    has = message.HasField
    return Endpointing(
        trailing_silence_s=(
            seconds(message.trailing_silence) if has("trailing_silence") else default.trailing_silence_s
        ),
        activity_threshold=(message.activity_threshold if has("activity_threshold") else default.activity_threshold),
        speech_start_timeout_s=seconds(message.speech_start_timeout) if has("speech_start_timeout") else None,
        single_utterance=message.single_utterance,
    )


def _with_warning(spec: RecognitionSpec, warning: common_pb2.Warning) -> RecognitionSpec:
    return dataclasses.replace(spec, warnings=(*spec.warnings, warning))


def _ignored(path: str, why: str) -> common_pb2.Warning:
    return common_pb2.Warning(code=common_pb2.WARNING_CODE_PARAMETER_IGNORED, message=why, field_path=path)
