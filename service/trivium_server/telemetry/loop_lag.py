"""Measures how late the event loop runs what is due: the first sign that something blocks it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator

from trivium_server.telemetry.logs import log
from trivium_server.telemetry.metrics import Metric, Sample

_logger = logging.getLogger("trivium.loop")
_SUSTAINED_SHARE = 0.1


class LoopLagProbe:
    """Wakes every `interval_s` and notes by how much it was late, over the last `window` wake-ups.

    Logs a warning, at most once per window, when it was later than `alarm_s` more than every tenth time. By default
    ten times a second over a minute, which costs next to nothing. Runs until cancelled.
    """

    def __init__(self, *, interval_s: float = 0.1, window: int = 600, alarm_s: float = 0.02) -> None:
        self._interval_s = interval_s
        self._alarm_s = alarm_s
        self._lags: deque[float] = deque(maxlen=window)

    def p99_s(self) -> float:
        """The 99th percentile over the window, in seconds; 0 before the first wake-up."""
        lags = sorted(self._lags)
        return lags[min(len(lags) - 1, int(0.99 * len(lags)))] if lags else 0.0

    def max_s(self) -> float:
        """The worst of the window, in seconds."""
        return max(self._lags, default=0.0)

    def samples(self) -> Iterator[Sample]:
        """Yields percentiles of the window."""
        lags = sorted(self._lags)
        for quantile in (0.5, 0.99, 1.0):
            value = lags[min(len(lags) - 1, int(quantile * len(lags)))] if lags else 0.0
            yield Sample(Metric.LOOP_LAG, value, (f"{quantile:g}",))

    def reset(self) -> None:
        """Forgets the window."""
        self._lags.clear()

    async def run(self) -> None:
        """Probes until cancelled."""
        since_report = 0
        while True:
            due = time.monotonic() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self._lags.append(max(0.0, time.monotonic() - due))
            since_report += 1
            if since_report >= (self._lags.maxlen or 1):
                since_report = 0
                num_late = sum(lag > self._alarm_s for lag in self._lags)
                if num_late > _SUSTAINED_SHARE * len(self._lags):
                    log(
                        _logger,
                        logging.WARNING,
                        "the event loop is late",
                        late_percent=round(100 * num_late / len(self._lags)),
                        p99_ms=round(1000 * self.p99_s(), 1),
                        max_ms=round(1000 * self.max_s(), 1),
                        alarm_ms=round(1000 * self._alarm_s, 1),
                    )
