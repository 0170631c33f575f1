"""Limits how long a blocking read may take, which grpc's blocking streams cannot do themselves."""

import threading
import time
from collections.abc import Callable

__all__ = ["IdleWatch", "Wait"]


class Wait:
    """A stream's reads. `since` is set while one is under way; its limit is in seconds."""

    __slots__ = ("_cancel", "has_expired", "limit_s", "since")

    def __init__(self, limit_s: float, cancel: Callable[[], object]) -> None:
        self.limit_s = limit_s
        self.since: float | None = None
        self.has_expired = False
        self._cancel = cancel

    def begin(self) -> None:
        """Marks that a read begins."""
        self.since = time.monotonic()

    def end(self) -> None:
        """Marks that the read is over."""
        self.since = None

    def seconds_left(self, now: float) -> float:
        """Returns how long the read may still take; the whole limit where none is under way."""
        since = self.since  # read once: the reading thread changes it
        return self.limit_s if since is None else since + self.limit_s - now

    def expire(self) -> None:
        """Cancels the read."""
        self.has_expired = True
        self._cancel()


class IdleWatch:
    """One thread for all streams of a client, there only while a stream is.

    It looks at a wait at least every limit_s, so a wait that began after a look is still caught on time. begin() and
    end() of a Wait cost no lock.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waits: set[Wait] = set()
        self._thread: threading.Thread | None = None

    def add(self, wait: Wait) -> None:
        """Watches a stream until it is removed."""
        with self._condition:
            self._waits.add(wait)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trivium-idle-watch", daemon=True)
                self._thread.start()
            self._condition.notify()

    def remove(self, wait: Wait) -> None:
        """Stops watching a stream. It need not be watched."""
        with self._condition:
            self._waits.discard(wait)
            self._condition.notify()

    def _run(self) -> None:
        with self._condition:
            while self._waits:
                now = time.monotonic()
                expired = [wait for wait in self._waits if wait.seconds_left(now) <= 0]
                for wait in expired:
                    self._waits.discard(wait)
                    wait.expire()
                if self._waits:
                    self._condition.wait(min(wait.seconds_left(now) for wait in self._waits))
            self._thread = None
