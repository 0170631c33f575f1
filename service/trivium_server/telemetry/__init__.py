"""Logs, metrics and the event-loop lag probe."""

from trivium_server.telemetry.logs import ACCESS, ROOT, configure_logging, log, printable
from trivium_server.telemetry.loop_lag import LoopLagProbe
from trivium_server.telemetry.metrics import OTHER_METHOD, CallMetrics, CallRecord, MemoryMetrics, Metric, NoMetrics

__all__ = [
    "ACCESS",
    "OTHER_METHOD",
    "ROOT",
    "CallMetrics",
    "CallRecord",
    "LoopLagProbe",
    "MemoryMetrics",
    "Metric",
    "NoMetrics",
    "configure_logging",
    "log",
    "printable",
]
