"""What Whisper hears: how loud it is over time in each of some bands of frequencies, on the mel scale.

Source: Radford et al. 2022 (Whisper), whisper/audio.py: frames of 25 ms every 10 ms, centred, under a Hann window;
bands as Slaney's Auditory Toolbox has them (linear below 1 kHz, logarithmic above, each of the same area); powers to
base 10, none lower than 80 dB below the loudest, scaled to about [-1, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_LINEAR_HZ = 200 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27
_SILENCE = 1e-10
# Tens of decibels below the loudest that are heard.
_RANGE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MelConfig:
    """Lengths are in samples. frame_len: of the window, of which frames begin every hop_len."""

    sample_rate_hz: int = 16_000
    frame_len: int = 400
    hop_len: int = 160
    num_mels: int = 80


class LogMel:
    """Computes features. Calls may be concurrent."""

    def __init__(self, config: MelConfig) -> None:
        self._config = config
        self._filters = mel_filters(config)
        self._window = np.hanning(config.frame_len + 1)[:-1].astype(np.float32)

    def __call__(self, samples: Floats, num_frames: int) -> Floats:
        """Returns features, shape (num_mels, num_frames), of samples in [-1, 1], shape (n,), followed by silence.

        Samples beyond num_frames * hop_len are not heard.
        """
        hop_len, frame_len = self._config.hop_len, self._config.frame_len
        samples = samples[: num_frames * hop_len]
        # Behind so many frames there is nothing but silence.
        num_heard = min(num_frames, -(-(len(samples) + frame_len // 2) // hop_len))
        padded = np.zeros(num_heard * hop_len + frame_len, np.float32)
        front = frame_len // 2
        padded[front : front + len(samples)] = samples
        # The first frame is centred on the first sample: what would be before it is its mirror image.
        padded[:front] = padded[front + 1 : 2 * front + 1][::-1]
        frames = np.lib.stride_tricks.sliding_window_view(padded, frame_len)[: num_heard * hop_len : hop_len]
        powers = np.square(np.abs(np.fft.rfft(frames * self._window, axis=-1))).astype(np.float32)
        logs = np.full((self._config.num_mels, num_frames), np.log10(_SILENCE), np.float32)
        logs[:, :num_heard] = np.log10(np.maximum(self._filters @ powers.T, _SILENCE))
        features: Floats = (np.maximum(logs, logs.max(initial=-np.inf) - _RANGE) + 4.0) / 4.0
        return features


def mel_filters(config: MelConfig) -> Floats:
    """Returns how much each frequency of a frame counts in each band, shape (num_mels, frame_len // 2 + 1)."""
    frequencies = np.fft.rfftfreq(config.frame_len, 1 / config.sample_rate_hz)
    highest = _LOG_FROM_MEL + np.log(config.sample_rate_hz / 2 / _LOG_FROM_HZ) / _LOG_STEP
    mels = np.linspace(0.0, highest, config.num_mels + 2)
    edges = np.where(mels < _LOG_FROM_MEL, mels * _LINEAR_HZ, _LOG_FROM_HZ * np.exp(_LOG_STEP * (mels - _LOG_FROM_MEL)))
    widths = np.diff(edges)
    distances = edges[:, np.newaxis] - frequencies
    rising, falling = -distances[:-2] / widths[:-1, np.newaxis], distances[2:] / widths[1:, np.newaxis]
    triangles = np.maximum(0, np.minimum(rising, falling))
    filters: Floats = (triangles * (2 / (edges[2:] - edges[:-2]))[:, np.newaxis]).astype(np.float32)
    return filters
