"""How busy a model's threads are, in one form for all kinds of them."""

import time
from dataclasses import dataclass


class BusyClock:
    """Adds up the time for which places were at work. Guard it with the lock of what it watches."""

    __slots__ = ("_num_busy", "_since_s")

    def __init__(self) -> None:
        self._num_busy = 0
        self._since_s = 0.0

    @property
    def num_busy(self) -> int:
        """Places at work now."""
        return self._num_busy

    @property
    def seconds(self) -> float:
        """Places times the seconds for which they were at work, those at work now included."""
        return self._num_busy * time.monotonic() - self._since_s

    def begin(self, num: int = 1) -> None:
        """So many more places are at work."""
        self._num_busy += num
        self._since_s += num * time.monotonic()

    def end(self, num: int = 1) -> None:
        """So many places are free again."""
        self.begin(-num)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a model's threads do now, and have done since it was loaded.

    num_places: how much can be at work at a time: runs, or sequences that decode together. num_busy: how much is.
    busy_s: places times seconds. num_waiting: items, or sequences, that wait. waiting_runs: the same in what fills a
    place; what one caller sends ahead of its turn counts as one. num_items: those of all num_runs runs. useful_tokens
    and padded_tokens: of the items alone, and with the padding of their batches; 0 where nothing is padded.
    """

    num_places: int
    num_busy: int
    busy_s: float
    num_waiting: int
    waiting_runs: float
    num_runs: int
    num_items: int
    useful_tokens: int = 0
    padded_tokens: int = 0
