"""Writes down what Whisper hears in some sounds at a time: greedily, and warmer where that is not to be believed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trivium_server.architectures.speech.whisper_folder import WhisperFolder
from trivium_server.architectures.speech.whisper_graphs import Sounds, WhisperDecoder, rows_of
from trivium_server.numerics import finite, softmax
from trivium_server.speech.repetition import loop_start
from trivium_server.speech.whisper_rules import TEMPERATURES, Answer, most_believable

Floats = NDArray[np.float32]


@dataclass(slots=True)
class _Row:
    """An answer that is being written."""

    place: int
    no_speech: float
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class WhisperWriter:
    """Calls may be concurrent."""

    def __init__(self, folder: WhisperFolder, decoder: WhisperDecoder, tokenizer: Tokenizer) -> None:
        self._folder = folder
        self._decoder = decoder
        self._tokenizer = tokenizer

    def text(self, tokens: Sequence[int]) -> str:
        """Returns what the tokens say, without times."""
        rules = self._folder.rules
        text: str = self._tokenizer.decode([token for token in tokens if token < rules.eot], skip_special_tokens=False)
        return text

    def prompt(self, text: str) -> list[int]:
        """Returns the tokens of what was said before, none for an empty text; the end of it where it is too long."""
        if not text.strip():
            return []
        ids: list[int] = self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids
        return [self._folder.previous, *ids[-(self._folder.max_len // 2 - 1) :]]

    def language(self, sound: Sounds, candidates: Sequence[str]) -> str:
        """Returns the likeliest language of a sound. Raises NotFiniteError and SessionError, as the calls below."""
        logits = self._decoder.begin(sound).read(np.array([[self._folder.sot]], np.int64))[0, -1]
        tokens = [self._folder.languages[code] for code in candidates]
        return candidates[int(finite(logits[tokens]).argmax())]

    def write(self, sounds: Sequence[Sounds], prompt: Sequence[int], beginning: Sequence[int]) -> list[Answer]:
        """Returns an answer for each sound; all have the same number of frames. beginning: the tokens after the prompt.

        Sounds share runs while no answer has to be tried again.
        """
        answers = self._write(rows_of(sounds), len(sounds), prompt, beginning, temperature=0.0)
        return [
            answer if answer.is_believable else self._try_warmer(answer, sound, prompt, beginning)
            for answer, sound in zip(answers, sounds, strict=True)
        ]

    def _try_warmer(self, first: Answer, sound: Sounds, prompt: Sequence[int], beginning: Sequence[int]) -> Answer:
        answers = [first]
        for temperature in TEMPERATURES[1:]:
            answers += self._write(sound, 1, prompt, beginning, temperature=temperature)
            if answers[-1].is_believable:
                return answers[-1]
        return most_believable(answers)

    def _write(
        self, sounds: Sounds, num_rows: int, prompt: Sequence[int], beginning: Sequence[int], *, temperature: float
    ) -> list[Answer]:
        rules = self._folder.rules
        # The same sound gives the same answer, whatever was asked before.
        rng = np.random.default_rng(0)
        writing = self._decoder.begin(sounds)
        start = [*prompt, *beginning]
        logits = writing.read(np.array([start] * num_rows, np.int64))
        no_speech = softmax(finite(logits[:, len(prompt)]))[:, self._folder.no_speech]
        all_rows = [_Row(place, float(no_speech[place])) for place in range(num_rows)]
        rows = list(all_rows)
        while rows:
            for row, of_row in zip(rows, finite(logits[:, -1]), strict=True):
                logprobs = rules.logprobs(of_row, row.tokens)
                token = int(logprobs.argmax()) if temperature == 0.0 else _drawn(logprobs, temperature, rng)
                row.tokens.append(token)
                row.logprobs.append(float(logprobs[token]))
            left = [index for index, row in enumerate(rows) if not self._is_over(row)]
            if len(left) < len(rows):
                rows = [rows[index] for index in left]
                if rows:
                    writing.keep(left)
            if rows:
                logits = writing.read(np.array([[row.tokens[-1]] for row in rows], np.int64))
        return [self._answer(row) for row in all_rows]

    def _is_over(self, row: _Row) -> bool:
        has_ended = row.tokens[-1] == self._folder.rules.eot or len(row.tokens) >= self._folder.max_len // 2
        return has_ended or loop_start(row.tokens) is not None

    def _answer(self, row: _Row) -> Answer:
        start = loop_start(row.tokens)
        has_ended = row.tokens[-1] == self._folder.rules.eot
        tokens = row.tokens[:-1] if has_ended else row.tokens[:start]
        return Answer(
            tokens=tuple(tokens),
            token_logprobs=tuple(row.logprobs[: len(tokens)]),
            logprob=sum(row.logprobs) / len(row.logprobs),
            no_speech=row.no_speech,
            text=self.text(tokens).strip(),
            was_looping=start is not None,
        )


def _drawn(logprobs: Floats, temperature: float, rng: np.random.Generator) -> int:
    """Returns a token by its probability, the likely ones more likely still where it is cool."""
    weights = np.exp((logprobs.astype(np.float64) - logprobs.max()) / temperature)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
