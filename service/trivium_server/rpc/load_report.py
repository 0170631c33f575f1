"""Tells load balancers how busy this replica is: an ORCA load report in the trailing metadata of each inference call.

Of xds.data.orca.v3.OrcaLoadReport a balancer that weights replicas reads three fields, all of them doubles. So the
message is packed here, and no code is generated for the rest of it.
Source: xds.data.orca.v3, orca_load_report.proto; gRFC A51 and A58.
"""

import asyncio
import math
import struct
import time
from collections.abc import Callable, Iterable

from trivium_server.runtime.workload import Workload

LOAD_REPORT_KEY = "endpoint-load-metrics-bin"

_INTERVAL_S = 0.1
# The time over which what is told is smoothed: a balancer wants to know of the last second, not of the last batch.
_SMOOTHING_S = 1.0

# Keys of fields 6 (rps_fractional), 7 (eps) and 9 (application_utilization), each a double: number << 3 | 1.
_REPORT = struct.Struct("<BdBdBd")
_RPS, _EPS, _UTILIZATION = 6 << 3 | 1, 7 << 3 | 1, 9 << 3 | 1

_SERVER_FAULTS = frozenset({"INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNKNOWN"})


class LoadMeter:
    """Knows how busy the models were over the last second or so. For the event loop.

    A model's utilization is the share of its places that were at work, and what waits in runs for each place: 1 is
    full, 3 is full with two runs behind each. That of the replica is that of its busiest model.
    """

    def __init__(self, workloads: Callable[[], Iterable[tuple[str, Workload]]]) -> None:
        self._workloads = workloads
        self._by_model: dict[str, _Utilization] = {}
        self._num_ended = 0
        self._num_failed = 0
        self._rps = 0.0
        self._eps = 0.0
        self._noted_s = time.monotonic()
        self.utilization = 0.0
        self.report = b""
        self._write()

    def note(self, status: str) -> None:
        """Counts an inference call that ended."""
        self._num_ended += 1
        if status in _SERVER_FAULTS:
            self._num_failed += 1

    async def run(self) -> None:
        """Keeps `utilization` and `report` up to date until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self._update()

    def _update(self) -> None:
        now_s = time.monotonic()
        passed_s = now_s - self._noted_s
        self._noted_s = now_s
        weight = 1 - math.exp(-passed_s / _SMOOTHING_S)
        before, self._by_model = self._by_model, {}
        for model, workload in self._workloads():
            known = before.get(model)
            # A model that was loaded anew begins again at 0.
            if known is None or workload.busy_s < known.busy_s:
                known = _Utilization(workload.busy_s)
            known.update(workload, passed_s, weight)
            self._by_model[model] = known
        self._rps += weight * (self._num_ended / passed_s - self._rps)
        self._eps += weight * (self._num_failed / passed_s - self._eps)
        self._num_ended = self._num_failed = 0
        self.utilization = max((each.now for each in self._by_model.values()), default=0.0)
        self._write()

    def _write(self) -> None:
        self.report = _REPORT.pack(_RPS, self._rps, _EPS, self._eps, _UTILIZATION, self.utilization)


class _Utilization:
    """That of one model."""

    __slots__ = ("busy_s", "now")

    def __init__(self, busy_s: float) -> None:
        self.busy_s = busy_s
        self.now = 0.0

    def update(self, workload: Workload, passed_s: float, weight: float) -> None:
        share = (workload.busy_s - self.busy_s) / passed_s
        self.busy_s = workload.busy_s
        self.now += weight * ((share + workload.waiting_runs) / workload.num_places - self.now)
