"""What models that hear and speak can do, as rpc/ sees it: a Protocol per capability, with request and result types.

Like `vision_capabilities`. Sound that is heard is float32 in [-1, 1], mono, at SAMPLE_RATE_HZ, shape (samples,); it is
made of files and streams by `speech/`. Times are seconds from the start of the sound at hand. No protobuf, no
onnxruntime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trivium_server.speech.text_piece import TextPiece as TextPiece  # noqa: PLC0414  # mypy takes this for an export

SAMPLE_RATE_HZ = 16_000
# What a detector of voice activity looks at at a time: 32 ms.
VOICE_WINDOW = 512


class RecognitionTask(Enum):
    """Names as in trivium.v1.RecognitionTask, without the prefix."""

    TRANSCRIBE = "TRANSCRIBE"
    TRANSLATE = "TRANSLATE"


@dataclass(slots=True)
class SpeechMeter:
    """What a call has used so far, filled in by the models as it goes. For the event loop alone. In seconds.

    queue_s: until its first run began. inference_s: from then to the end of its last. compute_s: its share of the
    runners' time. began_s: when its first run began, on the clock of time.monotonic().
    """

    preprocess_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0
    compute_s: float = 0.0
    began_s: float | None = None

    def note_run(self, *, asked_s: float, began_s: float, ended_s: float, compute_s: float) -> None:
        """Adds a run that was asked for, began and ended at these times, on the clock of time.monotonic()."""
        if self.began_s is None:
            self.began_s = began_s
            self.queue_s += began_s - asked_s
        self.inference_s = max(self.inference_s, ended_s - self.began_s)
        self.compute_s += compute_s


class Urgency(Enum):
    """What a model does first. LIVE: somebody waits who has ceased to speak, or hears nothing. It is before the others.

    INTERIM: what somebody has said of an utterance that goes on. FILE: a part of a recording, or what is spoken ahead.
    These two take turns.
    """

    LIVE = "LIVE"
    INTERIM = "INTERIM"
    FILE = "FILE"


class SpeechModel(Protocol):
    """What all models that hear or speak have. Methods may be called concurrently from the event loop.

    All calls raise QueueFull, QueueTimeout, DeadlineExceeded and CallAborted; deadline_s is absolute, on the clock of
    time.monotonic(). Cancelling a call drops what still waits of it.
    """

    @property
    def execution_provider(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognizerInfo:
    """What a recogniser can do.

    language_codes: without regions, the default one first. max_segment_s: how much it hears at a time.
    """

    language_codes: tuple[str, ...]
    tasks: tuple[RecognitionTask, ...]
    max_segment_s: float
    gives_word_timings: bool
    honors_prompt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionOptions:
    """How to recognise, already checked against `RecognizerInfo`.

    language_codes: the candidates; one is taken for granted, and of several, or of all where there are none, the model
    finds the one that fits.
    """

    language_codes: tuple[str, ...] = ()
    task: RecognitionTask = RecognitionTask.TRANSCRIBE
    with_words: bool = False
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardWord:
    """A word with its punctuation, and when it was spoken."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a recogniser understood of one piece of sound.

    text is empty where there were no words. language_code: the one taken for granted or found. confidence: mean
    probability of the tokens, no_speech: probability that nobody speaks; None where the model does not say.
    """

    text: str
    language_code: str
    words: tuple[HeardWord, ...] = ()
    confidence: float | None = None
    no_speech: float | None = None


@runtime_checkable
class SpeechRecognizer(SpeechModel, Protocol):
    """Turns speech into text."""

    @property
    def recognizer_info(self) -> RecognizerInfo: ...

    async def recognize_speech(
        self,
        samples: NDArray[np.float32],
        options: RecognitionOptions,
        *,
        urgency: Urgency,
        deadline_s: float,
        meter: SpeechMeter,
    ) -> Heard:
        """Understands one piece of at most max_segment_s. What is less urgent stands back in the queue."""
        ...


class VoiceStream(Protocol):
    """The detector's memory of one stream. One push at a time."""

    async def push(self, samples: NDArray[np.float32], *, deadline_s: float, meter: SpeechMeter) -> NDArray[np.float32]:
        """Takes any number of whole windows, shape (n * VOICE_WINDOW,); returns the probability of speech of each."""
        ...


@runtime_checkable
class VoiceActivityDetector(SpeechModel, Protocol):
    """Says where somebody speaks."""

    def open_voice_stream(self) -> VoiceStream:
        """Begins with an empty memory. Nothing needs to be closed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Somebody who can speak."""

    name: str
    display_name: str
    language_codes: tuple[str, ...]
    traits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """A word, where it is in the text that was given (code points), and when it is spoken."""

    piece: TextPiece
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Sound of one sentence, float32 in [-1, 1], shape (samples,), at the synthesizer's rate; empty for none.

    words in order, without overlap; every word of the sentence that makes a sound is among them.
    """

    samples: NDArray[np.float32]
    words: tuple[SpokenWord, ...]


@runtime_checkable
class SpeechSynthesizer(SpeechModel, Protocol):
    """Turns text into speech, sentence by sentence."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def voices(self) -> Sequence[Voice]:
        """At least one, the default one first."""
        ...

    @property
    def max_sentence_len(self) -> int:
        """Characters; a longer sentence is cut before it is spoken."""
        ...

    async def speak_sentence(
        self,
        text: str,
        *,
        voice: str,
        speaking_rate: float,
        deadline_s: float,
        meter: SpeechMeter,
        urgency: Urgency = Urgency.FILE,
        ends_paragraph: bool = False,
    ) -> Spoken:
        """Speaks one sentence, with the pause after it. The same text gives the same sound, in any company."""
        ...
