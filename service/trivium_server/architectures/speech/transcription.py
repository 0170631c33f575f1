"""Transcribes recordings: reads them on threads, cuts them into utterances, and has several recognised at a time.

Memory does not grow with the length of a recording: it is read as fast as its utterances are recognised and taken.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.speech.hearing import Hearing, Segment
from trivium_server.architectures.speech.listening import Listener, Piece, UtteranceEnds, rules_for
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    Heard,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
    VoiceActivityDetector,
)
from trivium_server.speech.audio_file import AudioReader
from trivium_server.speech.resampling import Resampler, mix

__all__ = ["FileProgress", "Segment", "transcribe_file"]

Floats = NDArray[np.float32]

_T = TypeVar("_T")

# Utterances of one recording that are recognised or wait for it.
_UNDER_WAY = 8
# Read at a time: long enough that crossing to a thread costs nothing, short enough that others have their turn.
_READ_S = 4.0
# A read that cannot be cancelled is waited for so long before the reader is left.
_LEAVE_S = 5.0


@dataclass(slots=True)
class FileProgress:
    """How far a recording is, in seconds. speech_s: taken for speech, added up over channels heard separately.

    audio_s: how long it is; None until that is known, what its header says at first, and exact at the end.
    was_cut_short: it ends before its header says that it does.
    """

    heard_s: float = 0.0
    speech_s: float = 0.0
    audio_s: float | None = None
    was_cut_short: bool = False


@dataclass(frozen=True, slots=True)
class _UnderWay:
    piece: Piece
    channel: int
    task: "asyncio.Task[Heard]"


async def transcribe_file(
    reader: AudioReader,
    *,
    recognizer: SpeechRecognizer,
    detector: VoiceActivityDetector,
    options: RecognitionOptions,
    separate_channels: bool,
    deadline_s: float,
    meter: SpeechMeter,
    progress: FileProgress,
    pool: Executor,
) -> AsyncGenerator[Segment]:
    """Yields what is said in a recording, in order of time within each channel. Wrap it in contextlib.aclosing.

    The reader is read on the pool, and not used any more once this has ended. Utterances in which no word was
    understood are left out. Raises UndecodableMedia and InputTooLarge for what is read, and what the models raise.
    """
    sound = _Sound(reader, separate_channels=separate_channels)
    hearing = Hearing(recognizer, options, deadline_s=deadline_s, meter=meter)
    rules = rules_for(recognizer.recognizer_info.max_segment_s)
    listeners = [Listener(detector, rules, deadline_s=deadline_s, meter=meter) for _ in range(sound.num_channels)]
    progress.audio_s = reader.duration_s
    under_way: deque[_UnderWay] = deque()
    index = 0
    try:
        is_over = False
        while under_way or not is_over:
            while under_way and (is_over or len(under_way) >= _UNDER_WAY or under_way[0].task.done()):
                heard = await under_way[0].task
                done = under_way.popleft()
                if heard.text:
                    yield Segment(
                        index=index,
                        start_s=done.piece.start_s,
                        end_s=done.piece.end_s,
                        heard=heard,
                        channel=done.channel,
                    )
                    index += 1
            if is_over:
                continue
            began_s = asyncio.get_running_loop().time()
            channels = await _on(pool, sound.read)
            meter.preprocess_s += asyncio.get_running_loop().time() - began_s
            is_over = not channels
            for channel, listener in enumerate(listeners):
                for event in listener.close() if is_over else await listener.push(channels[channel]):
                    if isinstance(event, UtteranceEnds):
                        task = asyncio.create_task(hearing.hear(event.piece, Urgency.FILE))
                        under_way.append(_UnderWay(event.piece, channel, task))
                        progress.speech_s += event.piece.duration_s
            progress.heard_s = listeners[0].heard_s
        progress.audio_s = progress.heard_s
        progress.was_cut_short = reader.was_cut_short
    finally:
        for left in under_way:
            left.task.cancel()
        await asyncio.gather(*(left.task for left in under_way), return_exceptions=True)


class _Sound:
    """A recording as models hear it. For one thread at a time."""

    def __init__(self, reader: AudioReader, *, separate_channels: bool) -> None:
        self._reader = reader
        self._is_mixed = not separate_channels
        self.num_channels = reader.num_channels if separate_channels else 1
        self._resamplers = [Resampler(reader.sample_rate_hz, SAMPLE_RATE_HZ) for _ in range(self.num_channels)]
        self._has_ended = False

    def read(self) -> list[Floats]:
        """Returns the next seconds of each channel at SAMPLE_RATE_HZ, shape (samples,); nothing after the end."""
        parts: list[list[Floats]] = [[] for _ in self._resamplers]
        num_frames = 0
        while not self._has_ended and num_frames < _READ_S * self._reader.sample_rate_hz:
            block = self._reader.read()
            num_frames += len(block)
            self._has_ended = not len(block)
            for channel, resampler in enumerate(self._resamplers):
                if self._has_ended:
                    parts[channel].append(resampler.finish())
                else:
                    one = mix(block) if self._is_mixed else np.ascontiguousarray(block[:, channel])
                    parts[channel].append(resampler.push(one))
        return [np.concatenate(part) for part in parts] if parts[0] else []


async def _on(pool: Executor, work: Callable[[], _T]) -> _T:
    """Works on a thread. Where the call is cancelled, it ends once the work has: nobody may close the reader before."""
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future], timeout=_LEAVE_S)
        if future.done() and not future.cancelled():
            future.exception()  # nobody is left to hear of it
        raise
