"""Memory that several threads share by saying beforehand how much they need."""

import threading
from collections import deque
from collections.abc import Callable


class GaveUpError(Exception):
    """Who waited wants it no more."""


class MemoryBudget:
    """Bytes to take and to give back. For any thread. Who asks first gets first, so that large wishes are met too."""

    def __init__(self, num_bytes: int) -> None:
        self._free = num_bytes
        # What was given back since anybody looked. A finalizer gives too, in the midst of whatever a thread does, so
        # giving only appends, and the lock may be taken twice.
        self._given: deque[int] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._line: deque[object] = deque()

    @property
    def free_bytes(self) -> int:
        """What nobody has taken."""
        with self._changed:
            self._collect()
            return self._free

    def take(self, num_bytes: int, *, has_left: Callable[[], bool]) -> None:
        """Waits until there is as much, which may be no more than there is in all. Pair it with give.

        Raises GaveUpError when has_left turns true, which is asked whenever wake was called.
        """
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                while True:
                    if has_left():
                        raise GaveUpError
                    self._collect()
                    if self._line[0] is ticket and self._free >= num_bytes:
                        self._free -= num_bytes
                        return
                    self._changed.wait()
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()

    def give(self, num_bytes: int) -> None:
        """Gives back some of what was taken."""
        self._given.append(num_bytes)
        self.wake()

    def wake(self) -> None:
        """Lets those who wait ask again."""
        with self._changed:
            self._changed.notify_all()

    def _collect(self) -> None:
        while self._given:
            self._free += self._given.popleft()
