"""Room for a fixed number of what takes much, and a refusal at once for more."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from trivium_server.errors import QueueFull

# Soon enough to be worth a retry, late enough that one may have ended by then.
_RETRY_AFTER_S = 2.0


class Slots:
    """So many for each key. For the event loop. unit: of what, in words."""

    def __init__(self, limit: int, unit: str) -> None:
        self._limit = limit
        self._unit = unit
        self._taken: Counter[str] = Counter()

    @property
    def num_taken(self) -> int:
        """Over all keys."""
        return self._taken.total()

    @contextlib.contextmanager
    def take(self, key: str = "") -> Iterator[None]:
        """Takes one for the time of the block. Raises QueueFull where there is none."""
        if self._taken[key] >= self._limit:
            raise QueueFull(self._limit, _RETRY_AFTER_S, self._unit)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
