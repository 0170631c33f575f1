"""Has the utterances of one sound recognised: in one language, with times from the beginning of the sound."""

import asyncio
import dataclasses
from dataclasses import dataclass

from trivium_server.architectures.speech.listening import Piece
from trivium_server.architectures.speech_capabilities import (
    Heard,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
)
from trivium_server.errors import QueueFull


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """An utterance: where it begins and ends, in seconds from the beginning of the sound, and what was understood.

    The times of its words count from there too. index counts from 0, for all channels together.
    """

    index: int
    start_s: float
    end_s: float
    heard: Heard
    channel: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """An utterance that is recognised before it is known to be over, and how."""

    piece: Piece
    options: RecognitionOptions
    task: "asyncio.Task[Heard]"

    def is_of(self, piece: Piece) -> bool:
        return (self.piece.start_s, self.piece.end_s) == (piece.start_s, piece.end_s)


class Hearing:
    """One sound's recogniser. Where the caller left several languages open, the first utterance with words decides."""

    def __init__(
        self, recognizer: SpeechRecognizer, options: RecognitionOptions, *, deadline_s: float, meter: SpeechMeter
    ) -> None:
        self._recognizer = recognizer
        self._options = options
        self._deadline_s = deadline_s
        self._meter = meter
        candidates = options.language_codes or recognizer.recognizer_info.language_codes
        self._is_settled = len(candidates) == 1
        self._settling = asyncio.Lock()

    def hear_ahead(self, piece: Piece) -> Ahead:
        """Begins to recognise what will be an utterance if nobody speaks on. Cancel its task, or give it to `hear`."""
        task = asyncio.create_task(self._recognize(piece, Urgency.LIVE, self._options))
        return Ahead(piece=piece, options=self._options, task=task)

    async def hear(self, piece: Piece, urgency: Urgency, ahead: Ahead | None = None) -> Heard:
        """Recognises an utterance, or what there is of it (INTERIM), for which words are not timed.

        ahead: of the same piece, whose result is taken where it comes to the same.
        """
        if urgency is Urgency.INTERIM:
            return await self._recognize(piece, urgency, dataclasses.replace(self._options, with_words=False))
        # One after the other until the language is known, then together again.
        async with self._settling:
            if not self._is_settled:
                heard = await self._take(ahead) or await self._recognize(piece, urgency, self._options)
                if heard.text:
                    self._is_settled = True
                    self._options = dataclasses.replace(self._options, language_codes=(heard.language_code,))
                return heard
        return await self._take(ahead) or await self._recognize(piece, urgency, self._options)

    async def _take(self, ahead: Ahead | None) -> Heard | None:
        if ahead is None:
            return None
        if ahead.options != self._options:
            ahead.task.cancel()
            return None
        try:
            return await ahead.task
        except QueueFull:
            return None

    async def _recognize(self, piece: Piece, urgency: Urgency, options: RecognitionOptions) -> Heard:
        heard = await self._recognizer.recognize_speech(
            piece.samples, options, urgency=urgency, deadline_s=self._deadline_s, meter=self._meter
        )
        words = tuple(
            dataclasses.replace(word, start_s=piece.start_s + word.start_s, end_s=piece.start_s + word.end_s)
            for word in heard.words
        )
        return dataclasses.replace(heard, words=words)
