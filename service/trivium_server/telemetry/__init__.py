"""Logs, metrics, and the event-loop lag probe."""

from trivium_server.telemetry.call_counts import CallCounts
from trivium_server.telemetry.http_listener import Answer, HttpListener
from trivium_server.telemetry.logs import ACCESS, ROOT, configure_logging, log, printable
from trivium_server.telemetry.loop_lag import LoopLagProbe
from trivium_server.telemetry.metrics import (
    OTHER_METHOD,
    AllMetrics,
    CallMetrics,
    CallRecord,
    MemoryMetrics,
    Metric,
    Sample,
    Source,
)

__all__ = [
    "ACCESS",
    "OTHER_METHOD",
    "ROOT",
    "AllMetrics",
    "Answer",
    "CallCounts",
    "CallMetrics",
    "CallRecord",
    "HttpListener",
    "LoopLagProbe",
    "MemoryMetrics",
    "Metric",
    "Sample",
    "Source",
    "configure_logging",
    "log",
    "printable",
]
