"""What speech is measured on: recordings that packages ship, with what is said in them, and sound without speech.

Readings: Dickens, Beckett and Austen read aloud, 16 and 48 kHz (MIT, BSD; see tests/recordings.py). Prompts: a
telephone exchange's, one woman in a studio, 8 kHz, with the texts that she was given (CC BY-SA 3.0, Debian). Music:
five pieces for callers who wait, 8 kHz (CC BY-SA 3.0, Debian). Fetched, never kept here.
"""

import gzip
import io
import itertools
import re
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.debian_files import DebianPackage, unpacked
from tests.recordings import SPOKEN, recording

Floats = NDArray[np.float32]

RATE_HZ = 16_000

_PROMPTS = DebianPackage(
    name="asterisk-core-sounds-en-wav",
    version="1.6.1-1",
    sha256="2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
)
_PROMPT_TEXTS = DebianPackage(
    name="asterisk-core-sounds-en",
    version="1.6.1-1",
    sha256="973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
)
_MUSIC = DebianPackage(
    name="asterisk-moh-opsound-wav",
    version="2.03-1.1",
    sha256="8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
)
# Of one word, many are letters and digits, which are written in several ways.
_FEWEST_WORDS = 2
# Notes to the reader, not words.
_NOTE = re.compile(r"[\[\](){}@$=+]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A recording, and what is said in it."""

    name: str
    file: Path
    text: str

    def samples(self, rate_hz: int = RATE_HZ) -> Floats:
        return load(self.file, rate_hz)


def readings() -> list[Clip]:
    """Returns those read aloud, about 80 seconds. Raises a ModelError when they cannot be fetched."""
    return [Clip(name=name, file=recording(name), text=text) for name, text in SPOKEN.items()]


def prompts() -> list[Clip]:
    """Returns the prompts of two words or more, about 20 minutes."""
    folder = unpacked(_PROMPTS) / "usr" / "share" / "asterisk" / "sounds" / "en_US_f_Allison"
    clips = []
    for name, text in _prompt_texts():
        file = folder / f"{name}.wav"
        if len(re.findall(r"[A-Za-z0-9']+", text)) >= _FEWEST_WORDS and not _NOTE.search(text) and file.exists():
            clips.append(Clip(name=name, file=file, text=text))
    return clips


def music() -> list[Path]:
    """Returns pieces in which nobody speaks or sings, about 18 minutes."""
    return sorted((unpacked(_MUSIC) / "usr" / "share" / "asterisk" / "moh").glob("*.wav"))


def load(file: Path, rate_hz: int = RATE_HZ) -> Floats:
    """Reads a file, mixed down to one channel, at a rate."""
    samples, own_hz = soundfile.read(file, dtype="float32", always_2d=True)
    return resampled(samples.mean(axis=1), own_hz, rate_hz)


def resampled(samples: Floats, from_hz: int, to_hz: int) -> Floats:
    return np.asarray(soxr.resample(samples, from_hz, to_hz) if from_hz != to_hz else samples, np.float32)


def wav(samples: Floats, rate_hz: int = RATE_HZ) -> bytes:
    """Makes a WAV file of 16 bits."""
    stream = io.BytesIO()
    soundfile.write(stream, np.clip(samples, -1.0, 1.0), rate_hz, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def wav_of(sound: bytes, rate_hz: int) -> bytes:
    """Puts a header before 16-bit samples of one channel."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(sound)
    return stream.getvalue()


def pcm(samples: Floats) -> bytes:
    """Makes 16-bit samples without a header."""
    return (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def joined(clips: Sequence[Floats], *, seed: int, pauses_s: tuple[float, float], rate_hz: int = RATE_HZ) -> Floats:
    """Puts sounds one after the other, with pauses of drawn lengths before, between and after them."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(*pauses_s, size=len(clips) + 1) * rate_hz
    pauses = (np.zeros(int(length), np.float32) for length in lengths)
    parts = [part for pair in zip(pauses, clips, strict=False) for part in pair]
    return np.concatenate([*parts, np.zeros(int(lengths[-1]), np.float32)])


def pieces(clips: Sequence[Clip], most_s: float) -> Iterator[list[Clip]]:
    """Deals clips out in their order, to groups of about most_s seconds."""
    ends = itertools.accumulate(soundfile.info(clip.file).duration for clip in clips)
    placed = ((int(end // most_s), clip) for end, clip in zip(ends, clips, strict=True))
    for _, group in itertools.groupby(placed, key=lambda pair: pair[0]):
        yield [clip for _, clip in group]


def _prompt_texts() -> Iterator[tuple[str, str]]:
    file = unpacked(_PROMPT_TEXTS) / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    for line in gzip.decompress(file.read_bytes()).decode(errors="replace").splitlines():
        name, is_entry, text = line.partition(":")
        if is_entry and not line.startswith(";"):
            # Keys of a telephone, as she says them.
            yield name.strip(), text.replace("*", " star ").replace("#", " pound ").strip()
