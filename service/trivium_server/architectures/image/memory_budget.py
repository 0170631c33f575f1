"""Memory that images share by saying beforehand how much they need."""

from collections import deque
from collections.abc import Callable

_SMALL_PART = 32
_SHARE_PART = 16


class MemoryBudget:
    """Bytes to take, on one thread, and to give back, on any.

    A share of them is for small wishes alone, so that large ones, whose memory is held for long, leave room for them.
    """

    def __init__(self, num_bytes: int, on_given: Callable[[], None]) -> None:
        """on_given: called on whatever thread gave, maybe in the midst of what it does."""
        self._on_given = on_given
        self._small_bytes = num_bytes // _SMALL_PART
        self._share = num_bytes // _SHARE_PART
        self._free = num_bytes
        self._small_taken = 0
        # What was given back since anybody looked, and whether it was for a small wish. A finalizer gives too.
        self._given: deque[tuple[int, bool]] = deque()

    @property
    def free_bytes(self) -> int:
        """What nobody has taken."""
        self._collect()
        return self._free

    def is_small(self, num_bytes: int) -> bool:
        return num_bytes <= self._small_bytes

    def has(self, num_bytes: int, *, within_share: bool = False) -> bool:
        """Says whether a wish can be met now. within_share: from the share of the small ones alone, if it is one."""
        self._collect()
        share_left = self._share - self._small_taken
        if self.is_small(num_bytes):
            return num_bytes <= min(self._free, share_left if within_share else self._free)
        return num_bytes <= self._free - max(share_left, 0)

    def take(self, num_bytes: int) -> None:
        """Takes what there is by `has`. Pair it with give."""
        self._free -= num_bytes
        self._small_taken += num_bytes if self.is_small(num_bytes) else 0

    def give(self, num_bytes: int, *, was_small: bool) -> None:
        """Gives back all or some of what was taken for a wish, which was small or was not."""
        self._given.append((num_bytes, was_small))
        self._on_given()

    def _collect(self) -> None:
        while self._given:
            num_bytes, was_small = self._given.popleft()
            self._free += num_bytes
            self._small_taken -= num_bytes if was_small else 0
