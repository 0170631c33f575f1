"""hibari: speaks English, a sentence at a time, many times faster than it sounds.

Text becomes phonemes (speech/pronunciation.py), the network says how long each of them is and what spectrum each frame
of sound has, and speech/waveform.py makes sound of that. Source: github.com/MMWilliams/hibari.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.speech.folder import open_graph
from trivium_server.architectures.speech.runner import RunnerStats, SpeechRunner, max_waiting
from trivium_server.architectures.speech.synthesizer_folder import SynthesizerSetting, read_setting
from trivium_server.architectures.speech.unknown_words import open_unknown_words
from trivium_server.architectures.speech_capabilities import (
    SpeechMeter,
    Spoken,
    SpokenWord,
    TextPiece,
    Urgency,
    Voice,
)
from trivium_server.config import Config
from trivium_server.numerics import finite
from trivium_server.runtime.session import Session
from trivium_server.runtime.workload import Workload
from trivium_server.speech.pronunciation import MAX_LEN, NO_WORD, Pronouncer, Pronunciation
from trivium_server.speech.utterance import WordTime, finished, joined, pause_s, speech_edges, word_times
from trivium_server.speech.waveform import PITCH, SPECTRAL_PARTS, Vocoder, hastened

Floats = NDArray[np.float32]

_GRAPH = "model"
_INPUTS = ("ids", "speed")
_DURATIONS = "durations"
_SPECTRA = (*SPECTRAL_PARTS, PITCH)
_OUTPUTS = (*_SPECTRA, _DURATIONS)

# Beyond this speed the network swallows sounds: of twice the pace every third word is not understood. What is still
# faster is made so of what it says of each frame. At this speed the pace is 1.16.
_TOP_SPEED = 1.25
_PACE_GAINED = 0.62

_REHEARSAL = "Hello, this is a rehearsal, and it is as long as sentences are."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentence:
    text: str
    speaking_rate: float
    ends_paragraph: bool = False


class Synthesizer:
    """Implements capabilities.ServedModel and speech_capabilities.SpeechSynthesizer."""

    def __init__(
        self, name: str, session: Session, pronouncer: Pronouncer, setting: SynthesizerSetting, config: Config
    ) -> None:
        self.execution_provider = session.execution_provider
        self.sample_rate_hz = setting.sample_rate_hz
        self.voices: Sequence[Voice] = (setting.voice,)
        self.max_sentence_len = MAX_LEN
        self._session = session
        self._pronouncer = pronouncer
        self._setting = setting
        self._vocoder = Vocoder(setting.sample_rate_hz, setting.hop)
        self._runner: SpeechRunner[_Sentence, Spoken] = SpeechRunner(
            lambda sentences: [self._speak(sentence) for sentence in sentences],
            model=name,
            num_runners=config.speech.runners,
            max_items=1,
            max_waiting=max_waiting(config),
        )

    @property
    def stats(self) -> RunnerStats:
        """For tests and telemetry: what waits and runs."""
        return self._runner.stats

    @property
    def workload(self) -> Workload:
        return self._runner.workload

    async def warm_up(self) -> None:
        """Raises SessionError."""
        await self._runner.start(self._rehearse)

    async def close(self, grace_s: float) -> None:
        await self._runner.close(grace_s)

    async def speak_sentence(
        self,
        text: str,
        *,
        voice: str,  # noqa: ARG002  a folder has but one
        speaking_rate: float,
        deadline_s: float,
        meter: SpeechMeter,
        urgency: Urgency = Urgency.FILE,
        ends_paragraph: bool = False,
    ) -> Spoken:
        sentence = _Sentence(text=text, speaking_rate=speaking_rate, ends_paragraph=ends_paragraph)
        return await self._runner.run(sentence, urgency=urgency, deadline_s=deadline_s, meter=meter)

    def _rehearse(self) -> None:
        self._speak(_Sentence(text=_REHEARSAL, speaking_rate=1.0))

    def _speak(self, sentence: _Sentence) -> Spoken:
        """Raises SessionError and NotFiniteError."""
        said, words = self._pronouncer(sentence.text)
        sounds: list[Floats] = []
        times: list[WordTime] = []
        for piece in said.pieces(self._setting.max_phonemes):
            sound, lengths, owners = self._sound(piece, sentence.speaking_rate)
            times += word_times(owners, lengths, first=sum(map(len, sounds)))
            sounds.append(sound)
        whole = np.concatenate([np.zeros(0, np.float32), *sounds])
        start, end = speech_edges(whole, self.sample_rate_hz)
        pause = pause_s(sentence.text, sentence.speaking_rate, ends_paragraph=sentence.ends_paragraph)
        return Spoken(
            samples=finished(whole[start:end], self.sample_rate_hz, pause),
            words=tuple(self._spoken_word(words, time, start, end) for time in joined(times) if end > start),
        )

    def _spoken_word(self, words: Sequence[TextPiece], time: WordTime, start: int, end: int) -> SpokenWord:
        """start, end: what is kept of the sound."""
        first, last = (min(max(place, start), end) - start for place in (time.start, time.end))
        return SpokenWord(piece=words[time.word], start_s=first / self.sample_rate_hz, end_s=last / self.sample_rate_hz)

    def _sound(self, said: Pronunciation, speaking_rate: float) -> tuple[Floats, list[int], list[int]]:
        """Returns the sound of phonemes, the length of each in samples, and its word; a pad at each end included."""
        numbers, pad = self._setting.numbers, self._setting.pad
        known = [place for place, phoneme in enumerate(said.phonemes) if phoneme in numbers]
        ids = [pad, *(numbers[said.phonemes[place]] for place in known), pad]
        owners = [NO_WORD, *(said.owners[place] for place in known), NO_WORD]
        speed = min(speaking_rate, _TOP_SPEED)
        *spectra, durations = self._session.run(
            {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}, _OUTPUTS
        )
        outputs = {name: array.astype(np.float32, copy=False) for name, array in zip(_SPECTRA, spectra, strict=True)}
        if speed > 1:
            outputs = hastened(outputs, speaking_rate / (1 + (speed - 1) * _PACE_GAINED))
        with np.errstate(all="ignore"):
            sound = finite(self._vocoder(outputs))
        ends = np.cumsum(durations.reshape(-1), dtype=np.float64)
        ends *= len(sound) / max(1.0, float(ends[-1]))
        return sound, np.diff(np.rint(ends).astype(np.int64), prepend=0).tolist(), owners


def load(files: FolderFiles, name: str, config: Config, progress: Callable[[float], None]) -> Synthesizer:
    """Loads a folder whose model_type is hibari. Raises ModelFolderError and SessionError."""
    setting = read_setting(files)
    session = open_graph(files, _GRAPH, config, inputs=_INPUTS, outputs=_OUTPUTS)
    progress(0.4)
    unknown_words = open_unknown_words(files, config)
    progress(0.6)
    pronouncer = Pronouncer(unknown_words, is_british=setting.is_british)
    progress(1.0)
    return Synthesizer(name, session, pronouncer, setting, config)
