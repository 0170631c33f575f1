"""A stream of text that is spoken while it comes.

Three parts share the state, all on the event loop. The reader takes every message at once, so that an interruption is
heard even while nobody takes the sound; what it may hold is bounded by the limit on text that is not spoken yet. One
sentence ahead of the one that is being sent, a model speaks the next. The caller's own task sends what there is, and
goes on when that was taken: a reader that is slow slows everything down.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial

from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech_capabilities import SpeechSynthesizer, Spoken, TextPiece, Urgency
from trivium_server.errors import InputTooLarge
from trivium_server.rpc.answers import duration
from trivium_server.rpc.speech_call import SoundUsage, SpeechCall
from trivium_server.rpc.speech_marks import marks_of, num_left_out
from trivium_server.rpc.speech_messages import out_of_turn
from trivium_server.rpc.speech_synthesis_convert import SynthesisSpec
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.rpc.text_ledger import TextLedger
from trivium_server.speech.audio_writer import AudioWriter
from trivium_server.speech.loudness import amplified
from trivium_server.speech.sentences import SentenceSplitter

# How long the pieces of sound are: the first ones are short, so that the first sound leaves at once.
_FIRST_PIECES_S = (0.1, 0.2)
MAX_PIECE_S = 0.5
# Longer fragments are split on a thread: they take milliseconds.
_MAX_INLINE_LEN = 256
# With so many interruptions whose answer nobody took, nothing is read.
_MOST_REPLIES = 64


@dataclass(slots=True)
class _Sentence:
    """A sentence on its way: its sound once it is known, and how much of it was sent, in samples."""

    piece: TextPiece
    spoken: Spoken
    num_sent: int = 0
    marks: deque[pb.SpeechMark] = field(default_factory=deque)

    @property
    def is_over(self) -> bool:
        return not self.marks and self.num_sent == len(self.spoken.samples)


class SpeakingStream:
    """One stream, after its setup."""

    def __init__(
        self,
        call: SpeechCall[SpeechSynthesizer],
        spec: SynthesisSpec,
        threads: SpeechThreads,
        *,
        max_text_len: int,
    ) -> None:
        self._call = call
        self._spec = spec
        self._threads = threads
        self._max_text_len = max_text_len
        self._rate_hz = call.model.sample_rate_hz
        self._writer = AudioWriter(
            spec.audio_format.encoding, from_hz=self._rate_hz, sample_rate_hz=spec.audio_format.sample_rate_hz
        )
        self._splitter = SentenceSplitter(call.model.max_sentence_len)
        self._ledger = TextLedger(spec.unit)
        # From where on text counts as not spoken yet.
        self._spoken_end = 0
        # Sentences that nobody speaks yet, the one that is spoken, the next one with its sound, the one that is sent.
        self._waiting: deque[TextPiece] = deque()
        self._speaking: tuple[TextPiece, asyncio.Task[Spoken]] | None = None
        self._next: _Sentence | None = None
        self._current: _Sentence | None = None
        self._num_samples = 0
        self._num_pieces = 0
        # Of the sentences that were sent, or had no sound.
        self.num_words_left_out = 0
        self._replies: deque[pb.StreamSynthesizeResponse] = deque()
        self._has_ended = False
        self._is_splitting = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        # Those that were told to end, until they have.
        self._leaving: set[asyncio.Task[Spoken]] = set()
        call.sound = self._sound

    @property
    def produced_s(self) -> float:
        """How long the sound is that was sent so far."""
        return self._num_samples / self._rate_hz

    def reply(self, response: pb.StreamSynthesizeResponse) -> None:
        """Sends this before any more sound."""
        self._replies.append(response)
        self._news.set()

    async def events(
        self,
        requests: AsyncIterator[pb.StreamSynthesizeRequest],
        *others: Coroutine[object, object, None],
    ) -> AsyncGenerator[pb.StreamSynthesizeResponse]:
        """Yields what to send until all text was spoken or forgotten, and the caller has half-closed.

        others: run meanwhile. Raises StreamProtocolViolation, InvalidArgument or InputTooLarge for a message of the
        caller, and what the model raises. Wrap it in contextlib.aclosing: leaving ends everything.
        """
        tasks = [asyncio.create_task(coroutine) for coroutine in (self._read(requests), *others)]
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        try:
            async with contextlib.aclosing(self._to_send(tasks)) as responses:
                async for response in responses:
                    yield response
            last = await self._threads.code(self._writer.finish)
            if last:
                yield _audio(last, self.produced_s)
        finally:
            if self._speaking:
                self._leave(self._speaking[1])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._leaving, return_exceptions=True)

    async def _to_send(self, tasks: Sequence[asyncio.Task[None]]) -> AsyncGenerator[pb.StreamSynthesizeResponse]:
        while True:
            self._news.clear()
            for task in tasks:
                if task.done():
                    task.result()
            self._go_on()
            if self._replies:
                reply = self._replies.popleft()
                self._room.set()
                yield reply
            elif self._current and not self._current.is_over:
                part = await self._part_of(self._current)
                if part:
                    yield part
            elif self._speaking or not self._has_ended:
                await self._news.wait()
            else:
                return

    async def _read(self, requests: AsyncIterator[pb.StreamSynthesizeRequest]) -> None:
        async for request in requests:
            match request.WhichOneof("request"):
                case "text_fragment":
                    await self._take(request.text_fragment)
                case "flush":
                    self._waiting.extend(self._splitter.flush())
                case "interrupt":
                    self._interrupt()
                    while len(self._replies) >= _MOST_REPLIES:
                        self._room.clear()
                        await self._room.wait()
                case kind:
                    raise out_of_turn(kind, "text_fragment, flush, interrupt")
            self._news.set()
        self._waiting.extend(self._splitter.flush())
        self._has_ended = True
        self._news.set()

    async def _take(self, fragment: str) -> None:
        unspoken_len = self._ledger.total_len - self._spoken_end + len(fragment)
        if unspoken_len > self._max_text_len:
            raise InputTooLarge("text_fragment", unspoken_len, self._max_text_len, "characters that are not spoken yet")
        self._ledger.add(fragment)
        self._call.input_characters += len(fragment)
        if len(fragment) <= _MAX_INLINE_LEN:
            self._waiting.extend(self._splitter.push(fragment))
            return
        self._is_splitting = True
        try:
            self._waiting.extend(await self._threads.code(partial(self._splitter.push, fragment)))
        finally:
            self._is_splitting = False

    def _interrupt(self) -> None:
        end = self._ledger.total_len
        interrupted = pb.SpeechInterrupted(
            produced_duration=duration(self.produced_s),
            discarded_span=self._ledger.span(min(self._first_unspoken(), end), end),
        )
        self._waiting.clear()
        if self._speaking:
            self._leave(self._speaking[1])
        self._speaking = self._next = self._current = None
        self._splitter.discard()
        self._spoken_end = end
        self._ledger.forget(end)
        self._num_pieces = 0
        self.reply(pb.StreamSynthesizeResponse(interrupted=interrupted))

    def _first_unspoken(self) -> int:
        """Returns where the first word begins whose sound was not sent to its end."""
        if self._current:
            spoken = self._current.spoken
            for word in spoken.words:
                if min(round(word.end_s * self._rate_hz), len(spoken.samples)) > self._current.num_sent:
                    return self._current.piece.start + word.piece.start
        if self._next and len(self._next.spoken.samples):
            return self._next.piece.start
        if self._speaking:
            return self._speaking[0].start
        if self._waiting:
            return self._waiting[0].start
        return self._ledger.after_space(self._ledger.total_len - self._splitter.pending_len)

    def _go_on(self) -> None:
        """Moves sentences on, as far as there is room."""
        if self._speaking and self._speaking[1].done():
            piece, task = self._speaking
            self._speaking = None
            self._next = _Sentence(piece, task.result())
        if self._next and (self._current is None or self._current.is_over):
            self._current, self._next = self._next, None
            self._begin(self._current)
        if self._waiting and not self._speaking and not self._next:
            piece = self._waiting.popleft()
            is_ahead = self._current is not None and not self._current.is_over
            task = asyncio.create_task(self._speak(piece, Urgency.FILE if is_ahead else Urgency.LIVE))
            task.add_done_callback(lambda _: self._news.set())
            self._speaking = piece, task
        is_idle = not (self._speaking or self._is_splitting) and (self._current is None or self._current.is_over)
        if is_idle and not self._splitter.pending_len:
            # Space alone is not held against anybody.
            self._current = None
            self._spoken_end = self._ledger.total_len
            self._ledger.forget(self._spoken_end)

    def _begin(self, sentence: _Sentence) -> None:
        """Makes a sentence the one that is sent."""
        self._spoken_end = sentence.piece.end
        self._ledger.forget(sentence.piece.start)
        self.num_words_left_out += num_left_out(sentence.piece.text, sentence.spoken)
        if len(sentence.spoken.samples):
            sentence.marks.extend(
                marks_of(
                    sentence.piece,
                    sentence.spoken,
                    self.produced_s,
                    self._rate_hz,
                    self._ledger,
                    with_words=self._spec.with_words,
                )
            )

    async def _speak(self, piece: TextPiece, urgency: Urgency) -> Spoken:
        return await self._call.model.speak_sentence(
            piece.text,
            voice=self._spec.voice,
            speaking_rate=self._spec.speaking_rate,
            urgency=urgency,
            ends_paragraph=piece.ends_paragraph,
            deadline_s=self._call.call.deadline_s,
            meter=self._call.meter,
        )

    async def _part_of(self, sentence: _Sentence) -> pb.StreamSynthesizeResponse | None:
        """Returns what comes next of a sentence that is not over; None where an encoder keeps it for now."""
        if sentence.marks:
            return pb.StreamSynthesizeResponse(mark=sentence.marks.popleft())
        start, start_s = sentence.num_sent, self.produced_s
        is_first = self._num_pieces < len(_FIRST_PIECES_S)
        piece_s = _FIRST_PIECES_S[self._num_pieces] if is_first else MAX_PIECE_S
        samples = sentence.spoken.samples[start : start + round(piece_s * self._rate_hz)]
        # Counted before it is encoded, since it will be sent whatever comes meanwhile.
        sentence.num_sent += len(samples)
        self._num_samples += len(samples)
        self._num_pieces += 1
        raw = await self._threads.code(lambda: self._writer.write(amplified(samples, self._spec.gain_db)))
        self._call.note_output()
        return _audio(raw, start_s) if raw else None

    def _leave(self, task: asyncio.Task[Spoken]) -> None:
        self._leaving.add(task)
        task.add_done_callback(self._has_left)
        task.cancel()

    def _has_left(self, task: asyncio.Task[Spoken]) -> None:
        self._leaving.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is left to hear of it

    def _sound(self) -> SoundUsage:
        return SoundUsage(output_s=self.produced_s)


def _audio(raw: bytes, start_s: float) -> pb.StreamSynthesizeResponse:
    return pb.StreamSynthesizeResponse(audio=pb.AudioChunk(audio=raw, start_offset=duration(start_s)))
