"""Whisper: speech of many languages into text, and into English, with the time of each word.

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision", and openai/whisper. Sounds
that wait in the same line are written down together: a run of the decoder reads its weights once for all of them.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.speech.folder import open_tokenizer
from trivium_server.architectures.speech.runner import RunnerStats, SpeechRunner, max_waiting
from trivium_server.architectures.speech.whisper_folder import WhisperFolder, read_whisper_folder
from trivium_server.architectures.speech.whisper_graphs import (
    Sounds,
    WhisperAligner,
    WhisperEncoder,
    open_aligner,
    open_decoder,
    open_encoder,
)
from trivium_server.architectures.speech.whisper_writing import WhisperWriter
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    Heard,
    HeardWord,
    RecognitionOptions,
    RecognitionTask,
    RecognizerInfo,
    SpeechMeter,
    Urgency,
)
from trivium_server.config import Config
from trivium_server.errors import UnsupportedFeature
from trivium_server.numerics import NotFiniteError, finite
from trivium_server.runtime.workload import Workload
from trivium_server.speech.log_mel import LogMel
from trivium_server.speech.whisper_rules import Answer
from trivium_server.speech.word_alignment import token_starts, words_of

Floats = NDArray[np.float32]

# Sounds that are written down together.
_MOST_TOGETHER = 4
# The model learned from 30 s each, but hears a third of it as well where five seconds of silence follow, at a third of
# the cost (measured with tiny.en, of 1493 words wrong: 64, not 62). With less silence it goes round in circles.
_LENGTHS = 3
_SILENT_FRAMES = 500
# Less is no word.
_SHORTEST_S = 0.1
# The rest of a sound that the model left out is heard again, if it is so long.
_LEAST_REST_S = 1.0
# A position of the encoder.
_POSITION_S = 0.02
# Languages without spaces between words.
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km", "bo"})


# Prompt, beginning and number of frames: sounds that have these in common are written down together.
_Alike: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], int]


@dataclass(frozen=True, slots=True)
class _Item:
    samples: Floats
    options: RecognitionOptions


@dataclass(slots=True)
class _Hearing:
    """How far an item is: what is left of its sound begins at start, a sample."""

    item: _Item
    language_code: str = ""
    start: int = 0
    texts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    words: list[HeardWord] = field(default_factory=list)
    no_speech: float = 0.0

    @property
    def rest(self) -> Floats:
        return self.item.samples[self.start :]

    def heard(self) -> Heard:
        return Heard(
            text=" ".join(self.texts),
            language_code=self.language_code,
            words=tuple(self.words),
            confidence=float(np.exp(np.mean(self.logprobs))) if self.logprobs else None,
            no_speech=self.no_speech,
        )


class WhisperModel:
    """Implements capabilities.ServedModel and speech_capabilities.SpeechRecognizer."""

    def __init__(
        self,
        name: str,
        folder: WhisperFolder,
        *,
        encoder: WhisperEncoder,
        writer: WhisperWriter,
        aligner: WhisperAligner | None,
        config: Config,
    ) -> None:
        self.execution_provider = encoder.execution_provider
        self.recognizer_info = RecognizerInfo(
            language_codes=folder.language_codes,
            tasks=tuple(folder.tasks) or (RecognitionTask.TRANSCRIBE,),
            max_segment_s=folder.max_segment_s,
            gives_word_timings=aligner is not None,
            honors_prompt=True,
        )
        self._folder = folder
        self._encoder = encoder
        self._writer = writer
        self._aligner = aligner
        self._log_mel = LogMel(folder.mel)
        self._runner: SpeechRunner[_Item, Heard] = SpeechRunner(
            self._hear_all,
            model=name,
            num_runners=config.speech.runners,
            max_items=_MOST_TOGETHER,
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

    async def recognize_speech(
        self,
        samples: Floats,
        options: RecognitionOptions,
        *,
        urgency: Urgency,
        deadline_s: float,
        meter: SpeechMeter,
    ) -> Heard:
        return await self._runner.run(_Item(samples, options), urgency=urgency, deadline_s=deadline_s, meter=meter)

    def _rehearse(self) -> None:
        code = self._folder.language_codes[0]
        self._hear_all([_Item(np.zeros(SAMPLE_RATE_HZ, np.float32), RecognitionOptions(language_codes=(code,)))])

    def _hear_all(self, items: Sequence[_Item]) -> list[Heard | Exception]:
        hearings = [_Hearing(item) for item in items]
        failures: dict[int, Exception] = {}
        left = {index for index, item in enumerate(items) if len(item.samples) >= _SHORTEST_S * SAMPLE_RATE_HZ}
        while left:
            groups: defaultdict[_Alike, list[tuple[int, Sounds]]] = defaultdict(list)
            for index in sorted(left):
                hearing = hearings[index]
                try:
                    sound = self._listen(hearing)
                except NotFiniteError:
                    failures[index] = UnsupportedFeature("audio", "what the model makes of it is not finite")
                    left.discard(index)
                    continue
                prompt = self._writer.prompt(hearing.item.options.prompt)
                beginning = self._folder.beginning(hearing.language_code, hearing.item.options.task)
                groups[tuple(prompt), tuple(beginning), self._num_frames(hearing.rest)].append((index, sound))
            for (prompt_tokens, begins, _), members in groups.items():
                answers = self._writer.write([sound for _, sound in members], prompt_tokens, begins)
                for (index, sound), answer in zip(members, answers, strict=True):
                    if not self._take(hearings[index], sound, answer, begins):
                        left.discard(index)
        return [failures.get(index) or hearing.heard() for index, hearing in enumerate(hearings)]

    def _listen(self, hearing: _Hearing) -> Sounds:
        """Returns what the encoder makes of the rest of an item; its language is known then."""
        features = self._log_mel(hearing.rest, self._num_frames(hearing.rest))
        sound = self._encoder.hear(finite(features)[np.newaxis])
        if not hearing.language_code:
            candidates = hearing.item.options.language_codes or self._folder.language_codes
            hearing.language_code = candidates[0] if len(candidates) == 1 else self._writer.language(sound, candidates)
        return sound

    def _num_frames(self, samples: Floats) -> int:
        """Returns how many frames the encoder hears: those of the sound, and silence to the next of some lengths."""
        needed = len(samples) / self._folder.mel.hop_len + _SILENT_FRAMES
        most = self._folder.max_frames
        lengths = (2 * math.ceil(most * part / _LENGTHS / 2) for part in range(1, _LENGTHS))
        return next((length for length in lengths if length >= needed), most)

    def _take(self, hearing: _Hearing, sound: Sounds, answer: Answer, beginning: Sequence[int]) -> bool:
        """Adds an answer to what was heard of an item, and returns whether something is left of it."""
        duration_s = len(hearing.rest) / SAMPLE_RATE_HZ
        hearing.no_speech = answer.no_speech if hearing.start == 0 else min(hearing.no_speech, answer.no_speech)
        if answer.is_silence:
            return False
        num_kept, steps = self._folder.rules.kept(answer.tokens)
        written = [
            (token, logprob)
            for token, logprob in zip(answer.tokens[:num_kept], answer.token_logprobs[:num_kept], strict=True)
            if token < self._folder.rules.eot
        ]
        text = self._writer.text([token for token, _ in written]).strip()
        # A lone full stop or note of music is no word.
        if any(map(str.isalnum, text)):
            hearing.texts.append(text)
            hearing.logprobs += [logprob for _, logprob in written]
            if hearing.item.options.with_words and self._aligner is not None:
                hearing.words += self._words(hearing, sound, written, beginning)
        if steps is None or steps == 0 or duration_s - steps * _POSITION_S < _LEAST_REST_S:
            return False
        hearing.start += round(steps * _POSITION_S * SAMPLE_RATE_HZ)
        return True

    def _words(
        self, hearing: _Hearing, sound: Sounds, written: Sequence[tuple[int, float]], beginning: Sequence[int]
    ) -> list[HeardWord]:
        assert self._aligner is not None
        tokens = [token for token, _ in written]
        begin = [*beginning, self._folder.no_timestamps]
        attention = self._aligner.listen([*begin, *tokens, self._folder.rules.eot], sound)
        # Behind the sound there is silence, to which nothing is to be assigned.
        duration_s = len(hearing.rest) / SAMPLE_RATE_HZ
        attention = attention[:, :, : max(1, math.ceil(duration_s / _POSITION_S))]
        attention = attention / np.maximum(attention.sum(axis=-1, keepdims=True), 1e-9)
        # Each row pays attention for the token after it.
        starts = token_starts(attention, len(beginning), len(begin) + len(tokens))
        begin_s = hearing.start / SAMPLE_RATE_HZ
        return [
            HeardWord(
                text=word.text,
                start_s=begin_s + starts[word.start] * _POSITION_S,
                end_s=begin_s + min(duration_s, starts[word.end] * _POSITION_S),
                confidence=float(np.mean(np.exp([logprob for _, logprob in written[word.start : word.end]]))),
            )
            for word in words_of(tokens, self._writer.text, has_spaces=hearing.language_code not in _UNSPACED)
        ]


def load(files: FolderFiles, name: str, config: Config, progress: Callable[[float], None]) -> WhisperModel:
    """Loads a folder. progress: called with 0 to 1. Raises ModelFolderError and SessionError."""
    folder = read_whisper_folder(files)
    tokenizer = open_tokenizer(files)
    encoder = open_encoder(files, config)
    progress(0.3)
    decoder = open_decoder(files, config)
    progress(0.7)
    aligner = open_aligner(files, config)
    progress(0.9)
    writer = WhisperWriter(folder, decoder, tokenizer)
    return WhisperModel(name, folder, encoder=encoder, writer=writer, aligner=aligner, config=config)
