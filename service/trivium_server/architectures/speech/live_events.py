"""What a live stream of speech tells, and when it is over."""

import asyncio
from dataclasses import dataclass
from enum import Enum

from trivium_server.architectures.speech.hearing import Segment
from trivium_server.architectures.speech.listening import Piece
from trivium_server.architectures.speech_capabilities import Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpointing:
    """When an utterance is over, and when the stream is. In seconds of sound.

    speech_start_timeout_s: the stream ends when nobody has spoken for so long. single_utterance: it ends after one.
    """

    trailing_silence_s: float = 0.4
    activity_threshold: float = 0.5
    speech_start_timeout_s: float | None = None
    single_utterance: bool = False


class ActivityKind(Enum):
    """Names as in trivium.v1.ActivityKind, without the prefix."""

    SPEECH_START = "SPEECH_START"
    SPEECH_END = "SPEECH_END"
    END_OF_UTTERANCE = "END_OF_UTTERANCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Somebody began to speak, or ceased, at this time from the beginning of the sound."""

    kind: ActivityKind
    offset_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What is understood of an utterance. stable_prefix_len: of its text, in code points.

    processed_s: up to where the sound was heard for it.
    """

    segment: Segment
    is_final: bool
    stable_prefix_len: int
    processed_s: float


@dataclass(frozen=True, slots=True)
class InterimResult:
    """Of an utterance that goes on."""

    index: int
    piece: Piece
    heard: Heard

    def update(self, stable_prefix_len: int) -> Update:
        piece = self.piece
        return Update(
            segment=Segment(index=self.index, start_s=piece.start_s, end_s=piece.end_s, heard=self.heard),
            is_final=False,
            stable_prefix_len=stable_prefix_len,
            processed_s=piece.end_s,
        )


@dataclass(frozen=True, slots=True)
class FinalResult:
    """Of an utterance that is over; heard_s of the sound were heard by then."""

    index: int
    piece: Piece
    heard_s: float
    task: "asyncio.Task[Heard]"

    def update(self, heard: Heard) -> Update:
        piece = self.piece
        return Update(
            segment=Segment(index=self.index, start_s=piece.start_s, end_s=piece.end_s, heard=heard),
            is_final=True,
            stable_prefix_len=len(heard.text),
            processed_s=self.heard_s,
        )
