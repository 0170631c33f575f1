"""How sound is written as bytes, and what both kinds of speech calls share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from google.protobuf.duration_pb2 import Duration

from trivium._text_input import checked_choice
from trivium.v1 import common_pb2, speech_pb2


class AudioEncoding(StrEnum):
    """How sound is written as bytes. One that this version does not know is UNSPECIFIED.

    AUTO: what the first bytes of a file say: WAV, FLAC, Ogg Opus or MP3. PCM_S16LE, PCM_F32LE, MULAW and ALAW have no
    header; each sample is a signed integer of 16 bits, a float of 32 bits with full scale at -1 and 1, or a byte by
    G.711, and channels are interleaved.
    """

    UNSPECIFIED = "UNSPECIFIED"
    AUTO = "AUTO"
    PCM_S16LE = "PCM_S16LE"
    PCM_F32LE = "PCM_F32LE"
    WAV = "WAV"
    FLAC = "FLAC"
    OGG_OPUS = "OGG_OPUS"
    MP3 = "MP3"
    MULAW = "MULAW"
    ALAW = "ALAW"


SAMPLE_BYTES: Mapping[AudioEncoding, int] = {
    AudioEncoding.PCM_S16LE: 2,
    AudioEncoding.PCM_F32LE: 4,
    AudioEncoding.MULAW: 1,
    AudioEncoding.ALAW: 1,
}
"""The encodings without a header, and how many bytes a sample of each has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How sound is written as bytes. sample_rate_hz and channel_count are 0 where a file states them."""

    encoding: AudioEncoding
    sample_rate_hz: int = 0
    channel_count: int = 0
    raw: speech_pb2.AudioFormat | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAway:
    """The server will end the stream in time_left_s seconds: end it, and open another."""

    time_left_s: float
    raw: common_pb2.GoAway = field(repr=False, compare=False)


def parse_format(raw: speech_pb2.AudioFormat) -> AudioFormat:
    """Wraps the message."""
    known = speech_pb2.AudioEncoding.DESCRIPTOR.values_by_number.get(raw.encoding)
    name = known.name.removeprefix("AUDIO_ENCODING_") if known else "UNSPECIFIED"
    encoding = AudioEncoding(name) if name in AudioEncoding.__members__ else AudioEncoding.UNSPECIFIED
    return AudioFormat(
        encoding=encoding, sample_rate_hz=raw.sample_rate_hertz, channel_count=raw.channel_count, raw=raw
    )


def parse_go_away(raw: common_pb2.GoAway) -> GoAway:
    """Wraps the message."""
    return GoAway(time_left_s=in_seconds(raw.time_left), raw=raw)


def format_message(encoding: AudioEncoding, sample_rate_hz: int | None, channel_count: int) -> speech_pb2.AudioFormat:
    """Returns the message. ValueError or TypeError for numbers that it cannot have."""
    return speech_pb2.AudioFormat(
        encoding=speech_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}"),
        sample_rate_hertz=sample_rate_hz or 0,
        channel_count=channel_count,
    )


def checked_encoding(given: object) -> AudioEncoding:
    """Returns the encoding of that name, in any case. TypeError or ValueError for another one."""
    return checked_choice(AudioEncoding, given, "encoding")


def in_seconds(duration: Duration) -> float:
    """Returns a Duration in seconds."""
    return duration.seconds + duration.nanos / 1e9
