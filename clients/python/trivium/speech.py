"""Speech: what is recognised in sound, and what is spoken. See Client.speech.

client.speech.transcribe("talk.mp3").text
client.speech.speak("Good morning.").save("morning.wav")
"""

from trivium._speech_format import AudioEncoding, AudioFormat, GoAway
from trivium._speech_heard import (
    ActivityKind,
    RecognitionEvent,
    RecognitionMarker,
    RecognitionReady,
    RecognitionTask,
    SpeechActivity,
    Transcript,
    TranscriptionProgress,
    TranscriptSegment,
    TranscriptUpdate,
    WordTiming,
)
from trivium._speech_input import AudioInput, SoundChunk
from trivium._speech_settings import Endpointing
from trivium._speech_spoken import (
    AudioChunk,
    Speech,
    SpeechInterrupted,
    SpeechMark,
    SpeechMarkKind,
    SynthesisEvent,
    SynthesisMarker,
    SynthesisReady,
    Voice,
)

__all__ = [
    "FINALIZE",
    "FLUSH",
    "INTERRUPT",
    "KEEP_ALIVE",
    "ActivityKind",
    "AudioChunk",
    "AudioEncoding",
    "AudioFormat",
    "AudioInput",
    "Endpointing",
    "GoAway",
    "RecognitionEvent",
    "RecognitionMarker",
    "RecognitionReady",
    "RecognitionTask",
    "SoundChunk",
    "Speech",
    "SpeechActivity",
    "SpeechInterrupted",
    "SpeechMark",
    "SpeechMarkKind",
    "SynthesisEvent",
    "SynthesisMarker",
    "SynthesisReady",
    "Transcript",
    "TranscriptSegment",
    "TranscriptUpdate",
    "TranscriptionProgress",
    "Voice",
    "WordTiming",
]

FINALIZE = RecognitionMarker.FINALIZE
KEEP_ALIVE = RecognitionMarker.KEEP_ALIVE
FLUSH = SynthesisMarker.FLUSH
INTERRUPT = SynthesisMarker.INTERRUPT
