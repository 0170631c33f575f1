"""Items as a model of texts would see them."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Text:
    """An item: so many tokens, and a name to tell it from others."""

    length: int
    name: int = 0


def ragged(num: int, seed: int = 0) -> Iterator[Text]:
    """Lengths as of short texts: log-normal, half of them up to 18 tokens, 95 % up to 62, none over 256."""
    rng = random.Random(seed)
    sigma = math.log(62 / 18) / 1.645
    for name in range(num):
        yield Text(min(256, max(1, round(rng.lognormvariate(math.log(18), sigma)))), name)
