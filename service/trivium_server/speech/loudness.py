"""Louder and quieter sound. Pure, sample by sample: cutting the sound into pieces changes nothing."""

import numpy as np
from numpy.typing import NDArray

# Below this, of full scale, a louder sound is only louder; above, it is bent so that it never reaches full scale.
_KNEE = 0.8


def amplified(samples: NDArray[np.float32], gain_db: float) -> NDArray[np.float32]:
    """Returns sound in [-1, 1] that is gain_db decibels louder; what would pass full scale is limited.

    The limiter bends the peaks smoothly (value and slope are continuous) and keeps their order, in place of cutting
    them off. A gain of 0 or less needs none.
    """
    if not gain_db:
        return samples
    louder = samples * np.float32(10 ** (gain_db / 20))
    if gain_db < 0:
        return louder
    size = np.abs(louder)
    room = np.float32(1 - _KNEE)
    bent = np.float32(_KNEE) + room * np.tanh((size - np.float32(_KNEE)) / room)
    limited: NDArray[np.float32] = np.where(size > _KNEE, np.copysign(bent, louder), louder)
    return limited
