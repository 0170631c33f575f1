"""Compares libraries that decode files of sound: CPU for an hour of sound, in memory, by one thread.

The files are tones with noise, written by libsndfile. Each library decodes the bytes of a file to float32 samples; the
last column also mixes them down and changes their rate to 16 kHz. Needs miniaudio and av beside the server's own
packages; a library that is not installed is left out.
"""

import importlib
import importlib.util
import io
import time
from collections.abc import Callable

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.machine import describe
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat
from trivium_server.speech.resampling import Resampler, mix

_SECONDS = 120
_ROUNDS = 4
_FILES = (
    ("WAV", "PCM_16", 16_000, 1),
    ("FLAC", "PCM_16", 16_000, 1),
    ("FLAC", "PCM_16", 44_100, 2),
    ("OGG", "OPUS", 16_000, 1),
    ("OGG", "OPUS", 48_000, 1),
    ("MP3", "MPEG_LAYER_III", 16_000, 1),
    ("MP3", "MPEG_LAYER_III", 44_100, 2),
)


def _tone(rate: int, num_channels: int) -> NDArray[np.float32]:
    at = np.arange(rate * _SECONDS) / rate
    noise = np.random.default_rng(7).standard_normal((len(at), num_channels)) * 0.02
    return np.asarray(0.4 * np.sin(2 * np.pi * 220 * at)[:, None] + noise, np.float32)


def _file(name: str, kind: str, rate: int, num_channels: int) -> bytes:
    file = io.BytesIO()
    samples = _tone(rate, num_channels)
    with soundfile.SoundFile(file, "w", rate, num_channels, kind, format=name) as writer:
        for at in range(0, len(samples), 4096):
            writer.write(samples[at : at + 4096])
    return file.getvalue()


def _with_trivium(content: bytes) -> None:
    with open_audio(content, AudioFormat(encoding=AudioEncoding.AUTO), max_s=3600, field="audio") as reader:
        for _ in reader.blocks():
            pass


def _for_a_recogniser(content: bytes) -> None:
    with open_audio(content, AudioFormat(encoding=AudioEncoding.AUTO), max_s=3600, field="audio") as reader:
        resampler = Resampler(reader.sample_rate_hz, 16_000)
        for block in reader.blocks():
            resampler.push(mix(block))
        resampler.finish()


def _with_soundfile(content: bytes) -> None:
    soundfile.read(io.BytesIO(content), dtype="float32")


def _with_miniaudio(content: bytes) -> None:
    miniaudio = importlib.import_module("miniaudio")
    # Left to itself, it changes the rate to 44.1 kHz, and the channels to two.
    known = soundfile.info(io.BytesIO(content))
    miniaudio.decode(content, miniaudio.SampleFormat.FLOAT32, known.channels, known.samplerate)


def _with_pyav(content: bytes) -> None:
    with importlib.import_module("av").open(io.BytesIO(content)) as container:
        for frame in container.decode(audio=0):
            frame.to_ndarray()


_LIBRARIES: dict[str, tuple[str, Callable[[bytes], None]]] = {
    "here": ("soundfile", _with_trivium),
    "soundfile": ("soundfile", _with_soundfile),
    "miniaudio": ("miniaudio", _with_miniaudio),
    "pyav": ("av", _with_pyav),
    "here, 16 kHz mono": ("soxr", _for_a_recogniser),
}


def _cpu_s_an_hour(decode: Callable[[bytes], None], content: bytes) -> float:
    """Returns the least of some rounds: what others on the machine add is none of the library's."""
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        decode(content)
        best = min(best, time.process_time() - started)
    return best / _SECONDS * 3600


def main() -> None:
    there = {name: decode for name, (module, decode) in _LIBRARIES.items() if importlib.util.find_spec(module)}
    print(describe())
    print("CPU in s for an hour of sound")
    print("| file | " + " | ".join(there) + " |\n" + "|---" * (1 + len(there)) + "|")
    for name, kind, rate, num_channels in _FILES:
        content = _file(name, kind, rate, num_channels)
        row = []
        for library, decode in there.items():
            # miniaudio has no Opus.
            is_read = not (library == "miniaudio" and kind == "OPUS")
            row.append(f"{_cpu_s_an_hour(decode, content):.1f}" if is_read else "-")
        print(f"| {name} {rate} Hz, {num_channels} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
