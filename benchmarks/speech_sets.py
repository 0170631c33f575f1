"""Recordings to be transcribed for their words: real speech, with noise, of another synthesiser, and none at all."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.speech_sounds import RATE_HZ, Clip, Floats, joined, load, music, pieces, prompts, readings, wav
from benchmarks.speech_texts import plain_sentences
from tests.recordings import recording

SNR_DB = (20, 10, 5)
READINGS, PROMPTS, OTHER_VOICE = "readings", "prompts", "espeak-ng"
FIRST_PROMPTS = "prompts, first part"
SILENCE, HISS, MUSIC, CHIMES = "digital silence", "pink noise", "music", "chimes"

_PROMPTS_HZ = 8_000
_PART_S = 240.0
_PAUSES_S = (0.6, 1.5)
_NUM_SENTENCES = 60
_SILENCE_S = 60
# Loudness of the noise without speech, below full scale: of a quiet room, of a bad line, and of a fan beside the
# microphone.
_HISS_DB = (-60, -40, -25)
_VOICE = "en-us"
# Speech is where a frame is at most so much weaker than the loudest.
_QUIET_DB = 35.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One file, and what is said in it: nothing, where nobody speaks. audio_s: how long it is."""

    of: str
    name: str
    content: bytes
    text: str
    audio_s: float


class Sets:
    """All of the measurement. quick: little of each."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick

    def speech(self) -> Iterator[Recording]:
        """Yields what has words. The first part of the prompts comes in noise too."""
        yield from map(_as_it_is, readings()[1:2] if self._quick else readings())
        for number, (sound, text) in enumerate(self._prompts):
            yield _recording(FIRST_PROMPTS if number == 0 else PROMPTS, f"part {number + 1}", sound, text, _PROMPTS_HZ)
        sound, text = self._prompts[0]
        for snr_db in SNR_DB:
            noisy = sound + _noise_at(sound, snr_db)
            yield _recording(in_noise(snr_db), "part 1", noisy, text, _PROMPTS_HZ)
        yield self._other_voice()

    def without_speech(self) -> Iterator[Recording]:
        """Yields what has none."""
        for file in music()[:1] if self._quick else music():
            yield _recording(MUSIC, file.stem, load(file, _PROMPTS_HZ), "", _PROMPTS_HZ)
        for name in ("success.wav", "error.wav"):
            yield _recording(CHIMES, name, load(recording(name)), "", RATE_HZ)
        yield _recording(SILENCE, "", np.zeros(_SILENCE_S * RATE_HZ, np.float32), "", RATE_HZ)
        for level_db in _HISS_DB:
            hiss = _pink(_SILENCE_S * RATE_HZ, seed=level_db % 97) * np.float32(10 ** (level_db / 20))
            yield _recording(HISS, f"{level_db} dB", hiss, "", RATE_HZ)

    @cached_property
    def _prompts(self) -> list[tuple[Floats, str]]:
        clips = prompts()[40:52] if self._quick else prompts()
        return [
            (_joined(part, number), " ".join(clip.text for clip in part))
            for number, part in enumerate(pieces(clips, _PART_S))
        ]

    def _other_voice(self) -> Recording:
        texts = plain_sentences(3 if self._quick else _NUM_SENTENCES, seed=11)
        sounds = [spoken_by_espeak(text) for text in texts]
        sound = joined(sounds, seed=11, pauses_s=_PAUSES_S)
        return _recording(OTHER_VOICE, _VOICE, sound, " ".join(texts), RATE_HZ)


def in_noise(snr_db: int) -> str:
    """The name of the set with so much noise."""
    return f"{FIRST_PROMPTS}, noise at {snr_db} dB"


def require_espeak() -> str:
    """Returns the version of espeak-ng; ends the program with what to do when it is not there."""
    if shutil.which("espeak-ng") is None:
        raise SystemExit("benchmarks: espeak-ng is needed; install it, for example with `apt-get install espeak-ng`")
    done = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.partition("  ")[0].strip()


def spoken_by_espeak(text: str) -> Floats:
    """Speaks a text with espeak-ng, at RATE_HZ."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spoken.wav"
        subprocess.run(["espeak-ng", "-v", _VOICE, "-w", str(file), text], check=True)
        return load(file)


def _as_it_is(clip: Clip) -> Recording:
    return Recording(
        of=READINGS,
        name=clip.name,
        content=clip.file.read_bytes(),
        text=clip.text,
        audio_s=soundfile.info(clip.file).duration,
    )


def _recording(of: str, name: str, sound: Floats, text: str, rate_hz: int) -> Recording:
    return Recording(of=of, name=name, content=wav(sound, rate_hz), text=text, audio_s=len(sound) / rate_hz)


def _joined(clips: Sequence[Clip], seed: int) -> Floats:
    return joined([clip.samples(_PROMPTS_HZ) for clip in clips], seed=seed, pauses_s=_PAUSES_S, rate_hz=_PROMPTS_HZ)


def _noise_at(sound: Floats, snr_db: float) -> Floats:
    """Returns pink noise whose power is so much below that of the speech, pauses left out."""
    frame = _PROMPTS_HZ // 100
    powers = np.square(sound[: len(sound) // frame * frame].reshape(-1, frame)).mean(axis=1)
    spoken = powers[powers > powers.max() * 10 ** (-_QUIET_DB / 10)].mean()
    return _pink(len(sound), seed=round(snr_db)) * np.float32(np.sqrt(spoken * 10 ** (-snr_db / 10)))


def _pink(length: int, *, seed: int) -> Floats:
    """Returns noise with the same power in every octave; its power is 1."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / np.sqrt(np.square(noise).mean()), np.float32)
