"""Models that hear and speak, and whose answers can be computed by hand, for the laws of the transport.

Their language is tones: each digit is a word, spoken as a tone of its own. So a test knows what is said in a sound.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from tests.rpc.toy_encoders import Toy, Toys
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    VOICE_WINDOW,
    Heard,
    HeardWord,
    RecognitionOptions,
    RecognitionTask,
    RecognizerInfo,
    SpeechMeter,
    Spoken,
    SpokenWord,
    TextPiece,
    Urgency,
    Voice,
    VoiceStream,
)

Floats = NDArray[np.float32]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORD_S = 0.24
GAP_S = 0.064
LOUD = 0.5
MAX_SEGMENT_S = 4.0
RUN_S = 0.001
VOICE_RATE_HZ = 24_000
LETTER_S = 0.05
PAUSE_S = 0.2
_FRAME = 160


def silence(seconds: float, rate_hz: int = SAMPLE_RATE_HZ) -> Floats:
    return np.zeros(round(seconds * rate_hz), np.float32)


def said(digits: Iterable[int], rate_hz: int = SAMPLE_RATE_HZ) -> Floats:
    """The sound of digits, one after the other."""
    times = np.arange(round(WORD_S * rate_hz)) / rate_hz
    parts: list[Floats] = []
    for digit in digits:
        tone = LOUD * np.sin(2 * np.pi * _tone_hz(digit) * times)
        parts += [tone.astype(np.float32), silence(GAP_S, rate_hz)]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def speech(*utterances: str, pause_s: float = 0.8, rate_hz: int = SAMPLE_RATE_HZ) -> Floats:
    """Utterances of digits, as "314", with a pause before each and after the last."""
    parts = [silence(pause_s, rate_hz)]
    for utterance in utterances:
        parts += [said(map(int, utterance), rate_hz), silence(pause_s, rate_hz)]
    return np.concatenate(parts)


def words(digits: str) -> str:
    """What is understood of digits."""
    return " ".join(WORDS[int(digit)] for digit in digits)


def pcm(samples: Floats) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def _tone_hz(digit: int) -> float:
    return 400.0 + 200.0 * digit


def _bursts(samples: Floats) -> Iterable[tuple[int, int]]:
    """Where it is loud, in samples."""
    num_frames = len(samples) // _FRAME
    is_loud = np.abs(samples[: num_frames * _FRAME]).reshape(num_frames, _FRAME).max(axis=1, initial=0) > LOUD / 4
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_loud, [False]]).astype(np.int8)))
    return [(start * _FRAME, end * _FRAME) for start, end in edges.reshape(-1, 2).tolist()]


class ToyEar(Toy):
    """Recognises digits. A run takes run_s, or as long as the gate is closed; interim ones run_s only."""

    def __init__(
        self,
        *,
        run_s: float = 0.0,
        languages: tuple[str, ...] = ("en", "de"),
        tasks: tuple[RecognitionTask, ...] = tuple(RecognitionTask),
        is_plain: bool = False,
        make_error: Callable[[], Exception] | None = None,
    ) -> None:
        super().__init__()
        self.run_s = run_s
        self.make_error = make_error
        self.seen: list[tuple[RecognitionOptions, Urgency]] = []
        self.recognizer_info = RecognizerInfo(
            language_codes=languages,
            tasks=tasks,
            max_segment_s=MAX_SEGMENT_S,
            gives_word_timings=not is_plain,
            honors_prompt=not is_plain,
        )

    async def recognize_speech(
        self,
        samples: Floats,
        options: RecognitionOptions,
        *,
        urgency: Urgency,
        deadline_s: float,
        meter: SpeechMeter,
    ) -> Heard:
        asked_s = time.monotonic()
        self.seen.append((options, urgency))
        await asyncio.sleep(self.run_s)
        if urgency is not Urgency.INTERIM:
            await self.pass_gate(1, deadline_s)
        meter.note_run(asked_s=asked_s, began_s=asked_s, ended_s=time.monotonic(), compute_s=RUN_S)
        if self.make_error:
            raise self.make_error()
        found = [self._word(samples[start:end], start) for start, end in _bursts(samples)]
        candidates = options.language_codes or self.recognizer_info.language_codes
        is_german = "de" in candidates and any(word.text == WORDS[9] for word in found)
        text = " ".join(word.text for word in found)
        return Heard(
            text=text.upper() if options.task is RecognitionTask.TRANSLATE else text,
            language_code="de" if is_german else candidates[0],
            words=tuple(found) if options.with_words else (),
            confidence=0.75,
            no_speech=0.125,
        )

    def _word(self, burst: Floats, start: int) -> HeardWord:
        loudest = np.abs(np.fft.rfft(burst * np.hanning(len(burst)))).argmax()
        hertz = loudest * SAMPLE_RATE_HZ / len(burst)
        digit = min(range(10), key=lambda each: abs(_tone_hz(each) - hertz))
        end = start + len(burst)
        return HeardWord(text=WORDS[digit], start_s=start / SAMPLE_RATE_HZ, end_s=end / SAMPLE_RATE_HZ, confidence=0.5)


class ToyVoiceDetector(Toy):
    """Takes for speech what is loud. Counts the windows that it has heard."""

    async def push(self, samples: Floats, *, deadline_s: float, meter: SpeechMeter) -> Floats:
        await self.pass_gate(len(samples) // VOICE_WINDOW, deadline_s)
        levels = np.abs(samples.reshape(-1, VOICE_WINDOW)).max(axis=1)
        return np.where(levels > LOUD / 4, np.float32(0.98), np.float32(0.01))

    def open_voice_stream(self) -> VoiceStream:
        return self


class ToyVoice(Toy):
    """Speaks each word as a tone, as long as it has letters; a pause ends a sentence."""

    max_sentence_len = 200

    def __init__(
        self,
        *,
        rate_hz: int = VOICE_RATE_HZ,
        run_s: float = 0.0,
        make_error: Callable[[], Exception] | None = None,
    ) -> None:
        super().__init__()
        self.sample_rate_hz = rate_hz
        self.run_s = run_s
        self.make_error = make_error
        self.spoken: list[str] = []
        self.urgencies: list[Urgency] = []
        self.voices = (
            Voice(name="ann", display_name="Ann", language_codes=("en-US", "en-GB"), traits=(("gender", "female"),)),
            Voice(name="ben", display_name="Ben", language_codes=("de-DE",), traits=(("gender", "male"),)),
        )

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
        asked_s = time.monotonic()
        self.spoken.append(text)
        self.urgencies.append(urgency)
        await asyncio.sleep(self.run_s)
        await self.pass_gate(1, deadline_s)
        meter.note_run(asked_s=asked_s, began_s=asked_s, ended_s=time.monotonic(), compute_s=RUN_S)
        if self.make_error:
            raise self.make_error()
        return spoken(text, self.sample_rate_hz, is_low=voice == "ben", speaking_rate=speaking_rate)


def spoken(text: str, rate_hz: int = VOICE_RATE_HZ, *, is_low: bool = False, speaking_rate: float = 1.0) -> Spoken:
    """What a ToyVoice makes of a sentence."""
    parts: list[Floats] = []
    found: list[SpokenWord] = []
    at = num_samples = 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        if not any(character.isalnum() for character in word):
            continue
        length = round(len(word) * LETTER_S / speaking_rate * rate_hz)
        hertz = (150.0 if is_low else 300.0) + 20 * len(word)
        parts.append((0.9 * np.sin(2 * np.pi * hertz * np.arange(length) / rate_hz)).astype(np.float32))
        begin_s, num_samples = num_samples / rate_hz, num_samples + length
        piece = TextPiece(text=word, start=start, end=at)
        found.append(SpokenWord(piece=piece, start_s=begin_s, end_s=num_samples / rate_hz))
    if not found:
        return Spoken(samples=np.zeros(0, np.float32), words=())
    return Spoken(samples=np.concatenate([*parts, silence(PAUSE_S / speaking_rate, rate_hz)]), words=tuple(found))


MODELS: Toys = {
    "toy-detector": ToyVoiceDetector,
    "toy-ear": ToyEar,
    "toy-plain-ear": lambda: ToyEar(languages=("en",), tasks=(RecognitionTask.TRANSCRIBE,), is_plain=True),
    "toy-slow-ear": lambda: ToyEar(run_s=0.3),
    "toy-broken-ear": lambda: ToyEar(make_error=lambda: ArithmeticError("a defect")),
    "toy-voice": ToyVoice,
    "toy-odd-voice": lambda: ToyVoice(rate_hz=22_050),
    "toy-slow-voice": lambda: ToyVoice(run_s=0.2),
    "toy-broken-voice": lambda: ToyVoice(make_error=lambda: ArithmeticError("a defect")),
}
