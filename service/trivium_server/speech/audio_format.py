"""How sound is written as bytes: names, rates and channels."""

from dataclasses import dataclass
from enum import Enum

# What is read and written.
MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 48_000
MAX_CHANNELS = 8


class AudioEncoding(Enum):
    """Names as in trivium.v1.AudioEncoding, without the prefix."""

    AUTO = "AUTO"
    PCM_S16LE = "PCM_S16LE"
    PCM_F32LE = "PCM_F32LE"
    WAV = "WAV"
    FLAC = "FLAC"
    OGG_OPUS = "OGG_OPUS"
    MP3 = "MP3"
    MULAW = "MULAW"
    ALAW = "ALAW"


SAMPLE_BYTES = {
    AudioEncoding.PCM_S16LE: 2,
    AudioEncoding.PCM_F32LE: 4,
    AudioEncoding.MULAW: 1,
    AudioEncoding.ALAW: 1,
}
"""The encodings without a header, and how many bytes a sample of one channel takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """An encoding, samples per second, and channels; 0 where a file's header is to say."""

    encoding: AudioEncoding
    sample_rate_hz: int = 0
    num_channels: int = 0
