"""Changes the rate of sound, as it comes, and makes one channel of many. By libsoxr."""

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class Resampler:
    """Changes the rate of one sound that comes in pieces. For one thread at a time.

    Whatever the pieces, their results, joined, are the same samples bit for bit. They are round(n · to_hz / from_hz)
    samples, in time with those that came: the delay of the filter is taken out. Until `finish`, some come late: 120 ms
    from 8 to 16 kHz, 40 ms from 22.05 kHz and more, none where the rate stays.
    """

    def __init__(self, from_hz: int, to_hz: int, num_channels: int = 1) -> None:
        self._num_channels = num_channels
        self._stream = None
        if from_hz != to_hz:
            self._stream = soxr.ResampleStream(from_hz, to_hz, num_channels, dtype="float32", quality="HQ")

    def push(self, block: Samples) -> Samples:
        """Takes the next samples, shape (n,) or (n, channels), and returns those that are ready, shaped alike."""
        return self._process(block, is_last=False)

    def finish(self) -> Samples:
        """Returns the rest, shape (n,), or (n, channels) where there are more than one. To be called once."""
        shape = (0,) if self._num_channels == 1 else (0, self._num_channels)
        return self._process(np.zeros(shape, np.float32), is_last=True)

    def _process(self, block: Samples, *, is_last: bool) -> Samples:
        if self._stream is None:
            return block
        return np.asarray(self._stream.resample_chunk(np.ascontiguousarray(block), last=is_last), np.float32)


def resampled(sound: Samples, from_hz: int, to_hz: int) -> Samples:
    """Changes the rate of a whole sound, shape (n,) or (n, channels), as a Resampler does."""
    resampler = Resampler(from_hz, to_hz, sound.shape[1] if sound.ndim == 2 else 1)
    return np.concatenate((resampler.push(sound), resampler.finish().reshape(-1, *sound.shape[1:])))


def mix(block: Samples) -> Samples:
    """Makes one channel of shape (n, channels): their mean, shape (n,)."""
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
