"""Fields that requests to hear and to speak share: formats of sound, and languages."""

import re
from collections.abc import Sequence

from trivium.v1 import speech_pb2 as pb
from trivium_server.rpc.violations import RANGES, Violations
from trivium_server.speech.audio_format import SAMPLE_BYTES, AudioEncoding, AudioFormat
from trivium_server.speech.audio_writer import RATES

ENCODINGS: dict[int, AudioEncoding] = {
    pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding.value}"): encoding for encoding in AudioEncoding
}
"""What the values of the contract mean, but for AUDIO_ENCODING_UNSPECIFIED."""

_MAX_CODE_LEN = 35
# BCP-47: a language, and subtags for script, region and variants.
_LANGUAGE_CODE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def heard_format(message: pb.AudioFormat, path: str, found: Violations) -> AudioFormat:
    """Returns how sound that is heard is written; paths are those inside `path`."""
    choices = ENCODINGS | {pb.AUDIO_ENCODING_UNSPECIFIED: AudioEncoding.AUTO}
    encoding = found.choice(f"{path}.encoding", message.encoding, choices, "AudioEncoding") or AudioEncoding.AUTO
    rate, channels = message.sample_rate_hertz, message.channel_count
    if rate or encoding in SAMPLE_BYTES:
        _check_rate(rate, path, found)
    if channels:
        found.number("speech.channel_count", channels, f"{path}.channel_count")
    if encoding in SAMPLE_BYTES:
        channels = channels or 1
    return AudioFormat(encoding=encoding, sample_rate_hz=rate, num_channels=channels)


def spoken_format(
    message: pb.AudioFormat, path: str, found: Violations, *, default: AudioEncoding, native_rate_hz: int
) -> AudioFormat:
    """Returns how sound that is spoken is to be written. native_rate_hz: that of the voice, 0 where none is known."""
    choices = ENCODINGS | {pb.AUDIO_ENCODING_UNSPECIFIED: default}
    encoding = found.choice(f"{path}.encoding", message.encoding, choices, "AudioEncoding") or default
    if encoding is AudioEncoding.AUTO:
        found.add(f"{path}.encoding", "is AUDIO_ENCODING_AUTO, which is for sound that is heard")
    rate = message.sample_rate_hertz
    if rate:
        _check_rate(rate, path, found)
    allowed = RATES.get(encoding)
    if (
        allowed
        and (rate or native_rate_hz) not in (*allowed, 0)
        and RANGES["speech.sample_rate_hertz"].admits(rate or native_rate_hz)
    ):
        name = pb.AudioEncoding.Name(_VALUES[encoding])
        rates = ", ".join(map(str, allowed))
        found.add(f"{path}.sample_rate_hertz", f"is {rate or native_rate_hz}; {name} takes only {rates}")
    if message.channel_count not in (0, 1):
        found.add(f"{path}.channel_count", f"is {message.channel_count}; it must be 0 or 1")
    return AudioFormat(encoding=encoding, sample_rate_hz=rate or native_rate_hz, num_channels=1)


def format_message(audio_format: AudioFormat) -> pb.AudioFormat:
    """Returns a format as the contract writes it."""
    return pb.AudioFormat(
        encoding=_VALUES[audio_format.encoding],
        sample_rate_hertz=audio_format.sample_rate_hz,
        channel_count=audio_format.num_channels,
    )


def check_language_code(code: str, path: str, found: Violations) -> bool:
    """Checks that a text has the shape of a BCP-47 code."""
    if len(code) <= _MAX_CODE_LEN and _LANGUAGE_CODE.fullmatch(code):
        return True
    found.add(path, "is no BCP-47 code, as en or pt-BR are")
    return False


def language_of(code: str) -> str:
    """Returns the language of a BCP-47 code, without its region."""
    return code.partition("-")[0].lower()


def speaks(codes: Sequence[str], wanted: str) -> bool:
    """Whether one of these BCP-47 codes is the wanted one, or one of its regions where it names none."""
    folded = wanted.lower()
    return any(code.lower() == folded or code.lower().startswith(f"{folded}-") for code in codes)


def _check_rate(rate: int, path: str, found: Violations) -> None:
    found.number("speech.sample_rate_hertz", rate, f"{path}.sample_rate_hertz")


_VALUES: dict[AudioEncoding, pb.AudioEncoding.ValueType] = {
    encoding: pb.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding.value}") for encoding in AudioEncoding
}
