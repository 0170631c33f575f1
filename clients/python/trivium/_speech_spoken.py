"""What comes of speaking a text. All immutable; `raw` is the Protobuf message."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from trivium._speech_format import AudioEncoding, AudioFormat, GoAway
from trivium.call_info import CallInfo, ServedModel
from trivium.v1 import speech_pb2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_BY_SUFFIX = {
    ".wav": AudioEncoding.WAV,
    ".flac": AudioEncoding.FLAC,
    ".opus": AudioEncoding.OGG_OPUS,
    ".ogg": AudioEncoding.OGG_OPUS,
    ".mp3": AudioEncoding.MP3,
}


class SpeechMarkKind(StrEnum):
    """What a SpeechMark is about. One that this version does not know is UNSPECIFIED."""

    UNSPECIFIED = "UNSPECIFIED"
    SENTENCE = "SENTENCE"
    WORD = "WORD"


class SynthesisMarker(Enum):
    """What may stand between fragments of text.

    FLUSH speaks what was sent so far without waiting for the end of its sentence. INTERRUPT forgets what is not spoken
    yet.
    """

    FLUSH = "flush"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechMark:
    """When a part of the text is spoken: a sentence with the pause after it, or a word.

    value: the part, as it is written: text[source_start:source_end]; of a stream, of all text since it began. start_s,
    end_s: in seconds from the start of the sound.
    """

    kind: SpeechMarkKind
    value: str
    start_s: float
    end_s: float
    source_start: int
    source_end: int
    raw: speech_pb2.SpeechMark = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """A spoken text. audio: a file in `format`, or bare samples; duration_s: how long it is."""

    audio: bytes = field(repr=False)
    format: AudioFormat
    marks: tuple[SpeechMark, ...]
    duration_s: float
    info: CallInfo
    raw: speech_pb2.SynthesizeResponse = field(repr=False, compare=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the sound to a file, over one that is there. OSError where that fails.

        ValueError for a name that says another format, such as .mp3 for WAV: ask for it with `encoding`.
        """
        wanted = _BY_SUFFIX.get(Path(path).suffix.lower(), self.format.encoding)
        if wanted != self.format.encoding:
            raise ValueError(f"{path}: the sound is {self.format.encoding}; ask for encoding={wanted.lower()!r}")
        Path(path).write_bytes(self.audio)

    @property
    def samples(self) -> "NDArray[np.int16] | NDArray[np.float32]":
        """The sound as samples, shape (n,), at format.sample_rate_hz: int16 of WAV and PCM_S16LE, float32 of PCM_F32LE.

        ValueError for the other encodings, which need a decoder.
        """
        from trivium._speech_input import samples_of  # numpy is not needed by who saves the sound

        return samples_of(self.audio, self.format.encoding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Somebody who can speak, by the name that `voice` chooses.

    traits: what the voice sounds like, for example `gender`: `female`.
    """

    name: str
    display_name: str
    language_codes: tuple[str, ...]
    model: str
    sample_rate_hz: int
    traits: Mapping[str, str]
    raw: speech_pb2.Voice = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisReady:
    """A stream was accepted. format: how its sound is written."""

    model: ServedModel
    format: AudioFormat
    raw: speech_pb2.SynthesisReady = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioChunk:
    """The next piece of a stream's sound, at most half a second. start_s: when it begins, from the start of the sound.

    All pieces together are one stream in the format of SynthesisReady.
    """

    audio: bytes = field(repr=False)
    start_s: float
    raw: speech_pb2.AudioChunk = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechInterrupted:
    """What became of an interruption.

    produced_s: how long the sound is that the stream has sent so far. discarded_start, discarded_end: where the text is
    that is not spoken, in all text since the stream began; equal where all of it was.
    """

    produced_s: float
    discarded_start: int
    discarded_end: int
    raw: speech_pb2.SpeechInterrupted = field(repr=False, compare=False)


SynthesisEvent: TypeAlias = SynthesisReady | AudioChunk | SpeechMark | SpeechInterrupted | GoAway
"""An event of a stream that is spoken."""
