"""The family of models that hear and speak."""

from trivium_server.architectures.speech.load import LOAD_ERRORS, SpeechModel, load
from trivium_server.architectures.speech.moonshine import MoonshineModel
from trivium_server.architectures.speech.voice_activity import VoiceActivityModel
from trivium_server.architectures.speech.whisper import WhisperModel

__all__ = ["LOAD_ERRORS", "MoonshineModel", "SpeechModel", "VoiceActivityModel", "WhisperModel", "load"]
