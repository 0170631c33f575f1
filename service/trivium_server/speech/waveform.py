"""Makes sound of what hibari's network says of each frame: a spectrum of harmonics, of noise and of the rest.

    S = exp(lh) e^(i pi tanh(theta)) STFT(pulses of f0)  +  exp(ln) noise  +  exp(lr) e^(i phi)

and the sound is the inverse STFT of S, with a Hann window of four hops. Source: the interface that the hibari-tts
package documents for ports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SPECTRAL_PARTS = ("lh", "theta", "ln", "lr", "phi")
"""Outputs of the network, each of shape (1, n_fft / 2 + 1, frames)."""
PITCH = "f0"
"""The output that is the pitch in Hz, shape (1, frames), 0 where there is no voice."""

_MAX_EXPONENT = 7.0
_LOWEST_PITCH_HZ = 40.0
_HIGHEST_HARMONIC_HZ = 11_000.0
# Near the top of a pulse its closed form is 0 / 0; so near, it equals its limit.
_NEAR_TOP = 2e-3
_HOPS = 4
# So many frames are worked on at a time: what that takes stays in a core's cache.
_BLOCK = 64
_NOISE_FRAMES = 800
_NOISE_SEED = 24_000


# Between two frames these are no mean of them: angles, and a pitch that may be none.
_NOT_BLENDED = frozenset({"theta", "phi", PITCH})


def hastened(outputs: Mapping[str, Floats], ratio: float) -> dict[str, Floats]:
    """Returns the outputs of the network for sound that is so many times as fast, at the same pitch. ratio: above 1."""
    frames = outputs[PITCH].shape[-1]
    places = (np.arange(max(1, round(frames / ratio))) + 0.5) * ratio - 0.5
    nearest = np.clip(np.rint(places).astype(np.int64), 0, frames - 1)
    before = np.clip(np.floor(places).astype(np.int64), 0, frames - 1)
    after = np.minimum(before + 1, frames - 1)
    share = np.clip(places - before, 0.0, 1.0).astype(np.float32)
    return {
        name: np.ascontiguousarray(track[..., nearest])
        if name in _NOT_BLENDED
        else track[..., before] * (1 - share) + track[..., after] * share
        for name, track in outputs.items()
    }


@dataclass(frozen=True)
class Vocoder:
    """Turns a network's outputs into sound. n_fft is four hops. May be called concurrently.

    The noise is always the same, so that a text always has the same sound.
    """

    sample_rate_hz: int
    hop: int

    def __call__(self, outputs: Mapping[str, Floats]) -> Floats:
        """Returns the sound, shape (frames * hop,), float32, about [-1, 1]."""
        pitch = outputs[PITCH][0]
        frames = len(pitch)
        pulses = np.pad(self._pulses(pitch), 2 * self.hop, mode="reflect")
        sources = np.lib.stride_tricks.sliding_window_view(pulses, _HOPS * self.hop)[:: self.hop]
        sound = np.zeros((frames + _HOPS - 1, self.hop), np.float32)
        by_frame = [np.ascontiguousarray(outputs[name][0].T) for name in SPECTRAL_PARTS]
        for start in range(0, frames, _BLOCK):
            end = min(start + _BLOCK, frames)
            parts = [part[start:end] for part in by_frame]
            spectrum = self._spectrum(sources[start:end], parts, self._noise[np.arange(start, end) % _NOISE_FRAMES])
            pieces = np.fft.irfft(spectrum, n=_HOPS * self.hop, axis=1) * self._window
            for number, piece in enumerate(np.split(pieces, _HOPS, axis=1)):
                sound[start + number : end + number] += piece
        sound /= self._window_sums(frames)
        half = 2 * self.hop
        return sound.reshape(-1)[half : half + frames * self.hop]

    @cached_property
    def _window(self) -> Floats:
        size = _HOPS * self.hop
        return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)

    @cached_property
    def _noise(self) -> NDArray[np.complex64]:
        random = np.random.default_rng(_NOISE_SEED)
        bins = _HOPS * self.hop // 2 + 1
        return random.standard_normal((_NOISE_FRAMES, 2 * bins), dtype=np.float32).view(np.complex64)

    def _window_sums(self, frames: int) -> Floats:
        """What the squared windows add up to, shape (frames + 3, hop)."""
        squares = np.square(self._window).reshape(_HOPS, self.hop)
        sums = np.zeros((frames + _HOPS - 1, self.hop), np.float32)
        for number, square in enumerate(squares):
            sums[number : number + frames] += square
        floor: Floats = np.maximum(sums, np.float32(1e-11))
        return floor

    def _spectrum(self, source: Floats, parts: list[Floats], noise: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Returns the spectrum of some frames, shape (frames, bins)."""
        harmonics, turn, noisiness, rest, phase = parts
        # A unit cosine has a peak of a quarter of the window in its spectrum.
        spectrum = np.fft.rfft(source * (self._window / self.hop), axis=1).astype(np.complex64, copy=False)
        np.tanh(turn, out=turn)
        turn *= np.float32(np.pi)
        spectrum *= _polar(harmonics, turn)
        spectrum += noise * _exp(noisiness)
        spectrum += _polar(rest, phase)
        return spectrum

    def _pulses(self, pitch: Floats) -> Floats:
        """Returns a train of pulses with all harmonics below 11 kHz alike; nothing where there is no voice."""
        frames = len(pitch)
        places = (np.arange(frames * self.hop, dtype=np.float32) + 0.5) / self.hop - 0.5
        pitch_hz = np.interp(places, np.arange(frames), pitch).astype(np.float32)
        is_voiced = pitch_hz > _LOWEST_PITCH_HZ
        np.maximum(pitch_hz, _LOWEST_PITCH_HZ, out=pitch_hz)
        turns = np.cumsum(pitch_hz, dtype=np.float64)
        turns /= self.sample_rate_hz
        turns -= np.floor(turns)
        turns *= np.pi
        half_angle = turns.astype(np.float32)
        # sum of cos(h t) for h of 1 to H = sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2
        order = 2 * np.floor(_HIGHEST_HARMONIC_HZ / pitch_hz) + 1
        below = 2 * np.sin(half_angle)
        is_top = np.abs(below) <= _NEAR_TOP
        below[is_top] = 1.0
        pulses: Floats = np.sin(order * half_angle) / below
        pulses[is_top] = order[is_top] / 2
        pulses -= 0.5
        pulses[~is_voiced] = 0.0
        return pulses


def _exp(logarithm: Floats) -> Floats:
    np.minimum(logarithm, np.float32(_MAX_EXPONENT), out=logarithm)
    return np.exp(logarithm, out=logarithm)


def _polar(logarithm: Floats, angle: Floats) -> NDArray[np.complex64]:
    size = _exp(logarithm)
    polar = np.empty(angle.shape, np.complex64)
    np.multiply(np.cos(angle), size, out=polar.real)
    np.multiply(np.sin(angle), size, out=polar.imag)
    return polar
