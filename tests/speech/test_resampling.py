"""Changing the rate of sound that comes in pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium_server.speech.resampling import Resampler, Samples, mix, resampled

RATES = (8_000, 11_025, 22_050, 24_000, 44_100, 48_000)


def tone(rate: int, hertz: float, seconds: float = 1.0) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def in_pieces(sound: Samples, from_hz: int, sizes: list[int]) -> Samples:
    resampler = Resampler(from_hz, 16_000, sound.shape[1] if sound.ndim == 2 else 1)
    parts, at = [], 0
    while at < len(sound):
        for size in sizes:
            parts.append(resampler.push(sound[at : at + size]))
            at += size
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", RATES)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_any_pieces_give_the_same_samples(rate: int, sizes: list[int]) -> None:
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, rate // 3 + 17).astype(np.float32)
    assert np.array_equal(in_pieces(sound, rate, sizes), resampled(sound, rate, 16_000))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("num_samples", [0, 1, 2, 159, 4801])
def test_length_is_that_of_the_sound(rate: int, num_samples: int) -> None:
    result = resampled(np.zeros(num_samples, np.float32), rate, 16_000)
    assert abs(len(result) - num_samples * 16_000 / rate) <= 0.51


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_stays_what_and_where_it_is(rate: int) -> None:
    result, expected = resampled(tone(rate, 440), rate, 16_000), tone(16_000, 440)
    middle = slice(2_000, 14_000)
    # -80 dB, against the same tone made at the new rate: no delay is left in.
    assert np.abs(result[middle] - expected[middle]).max() < 1e-4


def test_what_the_new_rate_cannot_have_goes_away() -> None:
    result = resampled(tone(48_000, 12_000), 48_000, 16_000)
    assert np.abs(result[2_000:14_000]).max() < 1e-3


def test_channels_stay_apart() -> None:
    left, right = tone(48_000, 300, 0.2), tone(48_000, 700, 0.2)
    both = in_pieces(np.stack([left, right], axis=1), 48_000, [1_000, 7])
    assert np.array_equal(both[:, 0], resampled(left, 48_000, 16_000))
    assert np.array_equal(both[:, 1], resampled(right, 48_000, 16_000))


def test_the_same_rate_changes_nothing() -> None:
    sound = np.random.default_rng(2).uniform(-1, 1, 1000).astype(np.float32)
    assert np.array_equal(in_pieces(sound, 16_000, [7, 300]), sound)
    pair = sound.reshape(-1, 2)
    assert np.array_equal(in_pieces(pair, 16_000, [7]), pair)


@pytest.mark.parametrize(("rate", "delay_s"), [(8_000, 0.12), (22_050, 0.041), (48_000, 0.041)])
def test_samples_are_late_by_no_more_than_is_said(rate: int, delay_s: float) -> None:
    resampler, made = Resampler(rate, 16_000), 0
    for at in range(0, rate, rate // 100):
        made += len(resampler.push(np.zeros(rate // 100, np.float32)))
        assert made / 16_000 >= (at + rate // 100) / rate - delay_s


def test_mixing_is_the_mean_of_the_channels() -> None:
    block = np.array([[1, -1, 0.5], [0.25, 0.25, 0.25]], np.float32)
    assert mix(block).tolist() == pytest.approx([1 / 6, 0.25])
    assert mix(block[:, :1]).tolist() == [1, 0.25]
