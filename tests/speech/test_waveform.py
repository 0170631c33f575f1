"""Sound from what the network says, against the package that the network is published with."""

import numpy as np
import pytest
from hibari import dsp
from numpy.typing import NDArray

from trivium_server.speech.waveform import SPECTRAL_PARTS, Vocoder, hastened

Floats = NDArray[np.float32]

RATE_HZ, HOP = 24_000, 300
VOCODER = Vocoder(RATE_HZ, HOP)


class Silence:
    """Noise of the reference, where there shall be none."""

    def standard_normal(self, shape: tuple[int, int], dtype: type) -> Floats:
        return np.zeros(shape, dtype)


def outputs(frames: int, seed: int = 0) -> dict[str, Floats]:
    """What a network might say, with a pitch that comes and goes."""
    random = np.random.default_rng(seed)
    parts = {name: random.normal(-3, 1, (1, 601, frames)).astype(np.float32) for name in SPECTRAL_PARTS}
    pitch = (180 + 60 * np.sin(np.arange(frames) / 9)) * (np.arange(frames) % 50 < 35)
    return {**parts, "f0": pitch.astype(np.float32)[None]}


def copied(given: dict[str, Floats]) -> dict[str, Floats]:
    return {name: array.copy() for name, array in given.items()}


@pytest.mark.parametrize("frames", [3, 63, 64, 65, 200])
def test_it_is_the_sound_of_the_reference(frames: int) -> None:
    given = outputs(frames)
    given["ln"][:] = -np.inf
    sound = VOCODER(copied(given))
    reference = dsp.synth(*(given[name][0] for name in (*SPECTRAL_PARTS, "f0")), Silence())
    assert sound.shape == (frames * HOP,)
    assert sound.dtype == np.float32
    np.testing.assert_allclose(sound, reference, atol=1e-3 * float(np.abs(reference).max()))


def test_the_noise_is_white_and_always_the_same() -> None:
    given = outputs(400)
    given["f0"][:] = 0.0
    given["ln"][:] = 0.0
    given["lr"][:] = -np.inf
    first, second = VOCODER(copied(given)), Vocoder(RATE_HZ, HOP)(copied(given))
    np.testing.assert_array_equal(first, second)
    bands = np.square(np.abs(np.fft.rfft(first))).reshape(-1)[1:].reshape(20, -1).mean(axis=1)
    assert bands.max() / bands.min() < 1.3


@pytest.mark.parametrize("ratio", [1.0001, 1.3, 2.0])
def test_hastened_sound_is_shorter_and_of_the_same_pitch(ratio: float) -> None:
    given = outputs(200)
    given["f0"][:] = 200.0
    given["lh"][:] = given["lh"][..., :1]
    given["theta"][:] = 0.0
    given["ln"][:] = given["lr"][:] = -np.inf
    usual = VOCODER(copied(given))
    fast = VOCODER(hastened(copied(given), ratio))
    assert len(fast) == round(200 / ratio) * HOP
    assert np.sqrt(np.mean(np.square(fast))) == pytest.approx(np.sqrt(np.mean(np.square(usual))), rel=0.05)
    spectrum = np.abs(np.fft.rfft(fast))
    hertz = np.fft.rfftfreq(len(fast), 1 / RATE_HZ)
    harmonics = np.abs(hertz / 200 - np.rint(hertz / 200)) < 0.1
    assert np.square(spectrum[harmonics]).sum() > 0.9 * np.square(spectrum).sum()


def test_one_frame_can_be_hastened() -> None:
    given = outputs(1)
    assert hastened(given, 2.0)["f0"].shape == (1, 1)


def test_a_short_sound_is_the_beginning_of_a_long_one() -> None:
    given = outputs(200)
    whole = VOCODER(copied(given))
    start = VOCODER({name: array[..., :100].copy() for name, array in given.items()})
    np.testing.assert_allclose(start[: 97 * HOP], whole[: 97 * HOP], atol=1e-4)
