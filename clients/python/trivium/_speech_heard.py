"""What comes of recognising speech. All immutable; `raw` is the Protobuf message."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

from trivium._speech_format import AudioFormat, GoAway
from trivium.call_info import CallInfo, ServedModel
from trivium.v1 import speech_pb2


class RecognitionTask(StrEnum):
    """What to write of what is heard: what was said in its own language, or in English."""

    TRANSCRIBE = "TRANSCRIBE"
    TRANSLATE = "TRANSLATE"


class ActivityKind(StrEnum):
    """What a SpeechActivity tells. SPEECH_END: the utterance may go on; END_OF_UTTERANCE: its final text follows."""

    SPEECH_START = "SPEECH_START"
    SPEECH_END = "SPEECH_END"
    END_OF_UTTERANCE = "END_OF_UTTERANCE"


class RecognitionMarker(Enum):
    """What may stand between chunks of sound.

    FINALIZE asks for a final result for what was heard so far. KEEP_ALIVE says that the caller is still there.
    """

    FINALIZE = "finalize"
    KEEP_ALIVE = "keep_alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTiming:
    """A word, with its punctuation, and when it was spoken, in seconds from the start of the audio.

    confidence: the mean probability of its tokens; None where the model does not say.
    """

    word: str
    start_s: float
    end_s: float
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptSegment:
    """Something said in one go, between two times in seconds from the start of the audio.

    index: interim results of an utterance have that of the final one. words: empty unless word_timings was asked for.
    channel: from 0, where channels are separate. confidence: the mean probability of its tokens, not calibrated;
    no_speech_probability: how likely it is that nobody speaks; each None where the model does not say.
    """

    index: int
    text: str
    start_s: float
    end_s: float
    language_code: str
    channel: int
    confidence: float | None
    no_speech_probability: float | None
    words: tuple[WordTiming, ...]
    raw: speech_pb2.TranscriptSegment = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What is said in a recording.

    text: of all segments in a row; with a row for each channel where they are separate. segments: by their beginning,
    none where nobody speaks. language_code: the language spoken longest, empty where nobody speaks. duration_s: how
    long the recording is.
    """

    text: str
    segments: tuple[TranscriptSegment, ...]
    language_code: str
    duration_s: float
    info: CallInfo
    raw: speech_pb2.RecognizeResponse = field(repr=False, compare=False)

    @property
    def words(self) -> tuple[WordTiming, ...]:
        """The words of all segments. Empty unless word_timings was asked for."""
        return tuple(word for segment in self.segments for word in segment.words)

    def srt(self) -> str:
        """Returns captions as a SubRip file, as the server made them. They fit better where word_timings was asked."""
        return self._captions(speech_pb2.CAPTION_FORMAT_SRT)

    def webvtt(self) -> str:
        """Returns captions as a WebVTT file; see srt."""
        return self._captions(speech_pb2.CAPTION_FORMAT_WEBVTT)

    def _captions(self, wanted: int) -> str:
        for captions in self.raw.captions:
            if captions.format == wanted:
                return captions.content
        raise LookupError("the server made no captions of this kind; it may be older than this client")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionProgress:
    """How far a recording is: first it is sent, then heard.

    sent_bytes of total_bytes, None where that is not known before the end; processed_s of audio_s, in seconds of its
    sound, are transcribed, None where its length is not known yet.
    """

    sent_bytes: int
    total_bytes: int | None
    processed_s: float
    audio_s: float | None

    @property
    def fraction(self) -> float | None:
        """How much of the sound was heard, 0 to 1; None where its length is not known."""
        return min(1.0, self.processed_s / self.audio_s) if self.audio_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionReady:
    """A stream was accepted. preferred_chunk_bytes: a good size of a chunk."""

    model: ServedModel
    format: AudioFormat
    preferred_chunk_bytes: int
    raw: speech_pb2.RecognitionReady = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechActivity:
    """Somebody began to speak, or ceased, at offset_s seconds from the start of the audio."""

    kind: ActivityKind
    offset_s: float
    raw: speech_pb2.SpeechActivity = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptUpdate:
    """What was said in an utterance, as it is understood so far.

    is_final: the last word on it, which every utterance has exactly once; its text may be empty, where what sounded
    like speech turned out to be none. stable_len: how many characters of the text are not expected to change.
    processed_s: up to where the audio was heard. audio_s: how long it is, where it is a file.
    """

    segment: TranscriptSegment
    is_final: bool
    stable_len: int
    processed_s: float
    audio_s: float | None
    raw: speech_pb2.TranscriptUpdate = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text of the utterance."""
        return self.segment.text

    @property
    def stable_text(self) -> str:
        """The beginning of the text that is not expected to change; all of it where is_final."""
        return self.segment.text[: self.stable_len]


RecognitionEvent: TypeAlias = RecognitionReady | SpeechActivity | TranscriptUpdate | GoAway
"""An event of a stream that is transcribed."""
