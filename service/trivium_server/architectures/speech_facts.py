"""What is known of a loaded model that hears or speaks without asking it again."""

from dataclasses import dataclass

from trivium_server.architectures.capabilities import Capability
from trivium_server.architectures.speech_capabilities import (
    RecognizerInfo,
    SpeechRecognizer,
    SpeechSynthesizer,
    VoiceActivityDetector,
)
from trivium_server.config import SpeechConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechFacts:
    """What a model can do with speech, and how much of it.

    max_audio_s: of one recording. max_text_len: of one text, in characters. Each is 0 where it does not apply.
    """

    capabilities: frozenset[Capability]
    language_codes: tuple[str, ...] = ()
    recognizer: RecognizerInfo | None = None
    max_audio_s: float = 0.0
    max_text_len: int = 0


def speech_facts(model: object, config: SpeechConfig) -> SpeechFacts | None:
    """Returns what a model tells of itself; None for one that neither hears nor speaks."""
    capabilities: set[Capability] = set()
    language_codes: dict[str, None] = {}
    recognizer: RecognizerInfo | None = None
    if isinstance(model, VoiceActivityDetector):
        capabilities.add(Capability.DETECT_VOICE_ACTIVITY)
    if isinstance(model, SpeechRecognizer):
        capabilities.add(Capability.RECOGNIZE_SPEECH)
        recognizer = model.recognizer_info
        language_codes.update(dict.fromkeys(recognizer.language_codes))
    can_speak = isinstance(model, SpeechSynthesizer)
    if isinstance(model, SpeechSynthesizer):
        capabilities.add(Capability.SYNTHESIZE_SPEECH)
        language_codes.update(dict.fromkeys(code for voice in model.voices for code in voice.language_codes))
    if not capabilities:
        return None
    return SpeechFacts(
        capabilities=frozenset(capabilities),
        language_codes=tuple(language_codes),
        recognizer=recognizer,
        max_audio_s=config.max_audio_s if recognizer else 0.0,
        max_text_len=config.max_text_len if can_speak else 0,
    )
