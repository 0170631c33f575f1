"""Transcribes speech while it is spoken: one sound that comes in pieces, utterance by utterance.

One task feeds it (`push`, `finalize`, `finish`), another one reads what is understood (`events`). Final results come in
the order of the utterances; those between them are for the reader who is quick enough: at most one is under way, and
one that was not read is replaced by the next.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.speech.hearing import Ahead, Hearing
from trivium_server.architectures.speech.listening import (
    Listener,
    ListenerEvent,
    Piece,
    SpeechStarts,
    SpeechStops,
    UtteranceEnds,
    rules_for,
)
from trivium_server.architectures.speech.live_events import (
    Activity,
    ActivityKind,
    Endpointing,
    FinalResult,
    InterimResult,
    Update,
)
from trivium_server.architectures.speech_capabilities import (
    Heard,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
    VoiceActivityDetector,
)
from trivium_server.errors import QueueFull
from trivium_server.speech.stable_prefix import StablePrefix

__all__ = ["Activity", "ActivityKind", "Endpointing", "LiveTranscription", "Update"]

# With so much to be recognised, or so many events that nobody read, `push` waits.
_MOST_WAITING_S = 20.0
_MOST_UNREAD = 64


class LiveTranscription:
    """One stream of sound. What `events` yields as final depends on the sound alone, not on how and when it came."""

    def __init__(
        self,
        recognizer: SpeechRecognizer,
        detector: VoiceActivityDetector,
        options: RecognitionOptions,
        endpointing: Endpointing,
        *,
        interim_period_s: float | None,
        deadline_s: float,
        meter: SpeechMeter,
    ) -> None:
        """interim_period_s: after how much more sound an utterance is understood anew; None: only at its end."""
        rules = rules_for(
            recognizer.recognizer_info.max_segment_s,
            trailing_silence_s=endpointing.trailing_silence_s,
            activity_threshold=endpointing.activity_threshold,
        )
        self._listener = Listener(detector, rules, deadline_s=deadline_s, meter=meter)
        self._hearing = Hearing(recognizer, options, deadline_s=deadline_s, meter=meter)
        self._endpointing = endpointing
        self._interim_period_s = interim_period_s
        self._speech_s = 0.0
        # Counts utterances that are over; the index of the one that goes on.
        self._index = 0
        # Up to where the sound of the utterance that goes on was taken for interim results.
        self._interim_s = 0.0
        self._interim: asyncio.Task[None] | None = None
        self._ahead: Ahead | None = None
        self._tasks: set[asyncio.Task[Heard] | asyncio.Task[None]] = set()
        self._waiting_s = 0.0
        self._is_speaking = False
        # Since when there is no utterance; None while there is one.
        self._silent_since_s: float | None = 0.0
        self._unread: deque[Activity | InterimResult | FinalResult] = deque()
        self._is_over = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def heard_s(self) -> float:
        """How much sound was heard so far."""
        return self._listener.heard_s

    @property
    def speech_s(self) -> float:
        """How much of it was taken for speech."""
        return self._speech_s

    @property
    def num_under_way(self) -> int:
        """How many results are being made. For tests: 0 once events was left."""
        return len(self._tasks)

    async def push(self, samples: NDArray[np.float32]) -> None:
        """Hears the next samples, any number of them, at SAMPLE_RATE_HZ; does nothing once the stream is over.

        Waits while there is much to be recognised, or to be read. Raises as VoiceStream.push does.
        """
        while not self._is_over and (self._waiting_s > _MOST_WAITING_S or len(self._unread) >= _MOST_UNREAD):
            self._room.clear()
            await self._room.wait()
        if not self._is_over:
            self._take(await self._listener.push(samples))
            self._check_silence(self._listener.decided_s)
            self._begin_interim()
            self._hear_ahead()

    async def finalize(self) -> None:
        """Ends the utterance that goes on, if there is one."""
        if not self._is_over:
            self._take(self._listener.close())

    async def finish(self) -> None:
        """Says that no more sound comes."""
        await self.finalize()
        self._end()

    async def events(self) -> AsyncGenerator[Activity | Update]:
        """Yields what happens, to the end of the stream. Read it once; wrap it in contextlib.aclosing.

        Leaving it drops all that is under way, and ends the stream. Raises what the recogniser raises.
        """
        stable = StablePrefix()
        try:
            while True:
                if not self._unread:
                    if self._failure is not None:
                        raise self._failure
                    if self._is_over:
                        return
                    self._news.clear()
                    await self._news.wait()
                    continue
                first = self._unread[0]
                if isinstance(first, FinalResult):
                    # It stays in its place till it is there, so that what comes later waits behind it.
                    heard = await first.task
                    self._next_event()
                    stable = StablePrefix()
                    yield first.update(heard)
                elif isinstance(first, InterimResult):
                    self._next_event()
                    yield first.update(stable.update(first.heard.text))
                else:
                    self._next_event()
                    yield first
        finally:
            await self._leave()

    def _next_event(self) -> None:
        self._unread.popleft()
        self._room.set()

    def _take(self, events: Iterable[ListenerEvent]) -> None:
        for event in events:
            self._check_silence(event.heard_s)
            if self._is_over:
                return
            match event:
                case SpeechStarts(offset_s):
                    self._is_speaking = True
                    self._silent_since_s = None
                    self._tell(Activity(kind=ActivityKind.SPEECH_START, offset_s=offset_s))
                case SpeechStops(offset_s):
                    self._is_speaking = False
                    self._tell(Activity(kind=ActivityKind.SPEECH_END, offset_s=offset_s))
                case UtteranceEnds(piece, heard_s):
                    self._silent_since_s = None if self._is_speaking else heard_s
                    self._tell(Activity(kind=ActivityKind.END_OF_UTTERANCE, offset_s=heard_s))
                    self._begin_final(piece, heard_s)
                    if self._endpointing.single_utterance:
                        self._end()

    def _check_silence(self, heard_s: float) -> None:
        timeout_s, since_s = self._endpointing.speech_start_timeout_s, self._silent_since_s
        if timeout_s is not None and since_s is not None and heard_s - since_s >= timeout_s:
            self._end()

    def _begin_final(self, piece: Piece, heard_s: float) -> None:
        self._drop_interim()
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not ahead.is_of(piece):
            ahead.task.cancel()
            ahead = None
        task = asyncio.create_task(self._hearing.hear(piece, Urgency.LIVE, ahead))
        self._tasks.add(task)
        self._waiting_s += piece.duration_s
        task.add_done_callback(lambda _: self._on_final(task, piece))
        self._tell(FinalResult(self._index, piece, heard_s, task))
        self._index += 1
        self._interim_s = piece.end_s
        self._speech_s += piece.duration_s

    def _on_final(self, task: "asyncio.Task[Heard]", piece: Piece) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the reader may have left before it came to this one
        self._waiting_s -= piece.duration_s
        self._room.set()

    def _begin_interim(self) -> None:
        # In a pause the final result is near; and while one is under way, the machine has enough to do.
        is_busy = self._interim is not None or self._waiting_s > 0 or self._listener.is_pausing
        if self._interim_period_s is None or self._is_over or is_busy:
            return
        piece = self._listener.open_piece()
        if piece is None or piece.end_s - max(self._interim_s, piece.start_s) < self._interim_period_s:
            return
        self._interim_s = piece.end_s
        self._interim = asyncio.create_task(self._hear_interim(self._index, piece))
        self._tasks.add(self._interim)
        self._interim.add_done_callback(self._tasks.discard)

    async def _hear_interim(self, index: int, piece: Piece) -> None:
        try:
            heard = await self._hearing.hear(piece, Urgency.INTERIM)
        except QueueFull:
            heard = None
        except Exception as error:  # noqa: BLE001  whatever it is, events ends with it
            heard, self._failure = None, error
            self._news.set()
        self._interim = None
        if heard is not None and heard.text:
            self._forget_interims()
            self._tell(InterimResult(index, piece, heard))

    def _hear_ahead(self) -> None:
        """Begins with the final result as soon as all of its sound is there, not only when the silence was long enough.

        It costs a run where somebody speaks on.
        """
        piece = None if self._is_over else self._listener.ending_piece()
        if self._ahead is not None:
            if piece is not None and self._ahead.is_of(piece):
                return
            self._ahead.task.cancel()
            self._ahead = None
        if piece is None or self._waiting_s > 0:
            return
        self._ahead = self._hearing.hear_ahead(piece)
        self._tasks.add(self._ahead.task)
        self._ahead.task.add_done_callback(self._on_ahead)

    def _on_ahead(self, task: "asyncio.Task[Heard]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told by the final result that takes it, if one does

    def _drop_interim(self) -> None:
        if self._interim is not None:
            self._interim.cancel()
            self._interim = None
        self._forget_interims()

    def _forget_interims(self) -> None:
        """Drops what nobody read of the utterance that goes on."""
        self._unread = deque(
            each for each in self._unread if not (isinstance(each, InterimResult) and each.index == self._index)
        )

    def _tell(self, event: "Activity | InterimResult | FinalResult") -> None:
        self._unread.append(event)
        self._news.set()

    def _end(self) -> None:
        self._is_over = True
        self._drop_interim()
        self._news.set()
        self._room.set()

    async def _leave(self) -> None:
        self._end()
        self._unread.clear()
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
