"""What Whisper hears of a sound."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trivium_server.speech.log_mel import LogMel, MelConfig, mel_filters

Floats = NDArray[np.float32]

FULL = 3000
# Some cells: band, frame and value.
REFERENCE = (
    (0, 0, 1.16831),
    (5, 0, 1.28968),
    (10, 10, 1.47283),
    (20, 25, 0.3472),
    (30, 50, 1.03454),
    (39, 99, 0.22486),
    (50, 80, -0.48234),
    (60, 99, -0.17282),
    (3, 101, -0.0202),
    (79, 2999, -0.48234),
)


def chirp(num_samples: int) -> Floats:
    time_s = np.arange(num_samples) / 16000
    tone = np.sin(2 * np.pi * (200 * time_s + 900 * time_s * time_s)) * (1 + 0.5 * np.sin(2 * np.pi * 3 * time_s))
    return (0.5 * tone).astype(np.float32)


def test_features_are_those_of_faster_whisper() -> None:
    """Against faster-whisper 1.2.1's FeatureExtractor on a second of chirp and 29 of silence, to 1e-4."""
    features = LogMel(MelConfig())(chirp(16000), FULL)
    assert features.shape == (80, FULL)
    assert features.dtype == np.float32
    for mel, frame, wanted in REFERENCE:
        assert features[mel, frame] == pytest.approx(wanted, abs=1e-4), (mel, frame)


def test_filters_are_triangles_of_one_area() -> None:
    filters = mel_filters(MelConfig())
    assert filters.shape == (80, 201)
    assert (filters >= 0).all()
    # In hertz; the narrow ones are cut coarsely by the 40 Hz between two frequencies.
    np.testing.assert_allclose(filters[30:].sum(axis=1) * 40, 1.0, rtol=0.1)
    peaks = filters.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()


@pytest.mark.parametrize("num_samples", [0, 1, 159, 160, 400, 15999, 16000, 47999, 48000])
def test_fewer_frames_are_the_first_of_more(num_samples: int) -> None:
    log_mel = LogMel(MelConfig())
    samples = chirp(num_samples)
    features, more = log_mel(samples, 400), log_mel(samples, FULL)
    assert features.shape == (80, 400)
    np.testing.assert_allclose(features, more[:, :400], atol=1e-6)


def test_sound_behind_the_last_frame_is_not_heard() -> None:
    log_mel = LogMel(MelConfig())
    samples = chirp(16000)
    np.testing.assert_array_equal(log_mel(samples, 50), log_mel(samples[:8000], 50))


def test_silence_is_flat() -> None:
    features = LogMel(MelConfig())(np.zeros(8000, np.float32), 100)
    # The last bit of a logarithm is the processor's own.
    np.testing.assert_allclose(features, np.full((80, 100), -1.5, np.float32), rtol=1e-6)
