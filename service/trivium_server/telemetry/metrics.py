"""What the server counts. Names, units and labels stand in one list, so that an exporter needs no other place.

Labels take few values: a method that the server does not have is `_OTHER`.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

OTHER_METHOD = "_OTHER"


class Metric(Enum):
    """Name of each metric, in base units."""

    CALLS_STARTED = "trivium_calls_started_total"
    CALLS_FINISHED = "trivium_calls_finished_total"
    CALLS_IN_FLIGHT = "trivium_calls_in_flight"
    CALL_DURATION = "trivium_call_duration_seconds"
    REQUEST_SIZE = "trivium_request_size_bytes"
    RESPONSE_SIZE = "trivium_response_size_bytes"
    INPUT_TOKENS = "trivium_input_tokens_total"
    OUTPUT_TOKENS = "trivium_output_tokens_total"
    IMAGES = "trivium_images_total"
    PIXELS = "trivium_image_pixels_total"
    INPUT_AUDIO = "trivium_input_audio_seconds_total"
    OUTPUT_AUDIO = "trivium_output_audio_seconds_total"
    LOOP_LAG = "trivium_event_loop_lag_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """How a call went. Sizes in bytes on the wire, durations in seconds; reason is empty for OK."""

    method: str
    status: str
    reason: str
    duration_s: float
    request_bytes: int
    response_bytes: int
    responses: int
    input_tokens: int
    output_tokens: int
    num_images: int
    num_pixels: int
    input_audio_s: float
    output_audio_s: float


class CallMetrics(Protocol):
    """Takes note of calls. Called on the event loop: must not block, must not raise."""

    def call_started(self, method: str) -> None: ...

    def call_finished(self, record: CallRecord) -> None: ...


class NoMetrics:
    """Forgets everything."""

    def call_started(self, method: str) -> None:
        pass

    def call_finished(self, record: CallRecord) -> None:
        pass


@dataclass(slots=True)
class MemoryMetrics:
    """Keeps counters in this process, and the last records for tests and benchmarks."""

    started: Counter[str] = field(default_factory=Counter)
    finished: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    records: list[CallRecord] = field(default_factory=list)
    max_records: int = 1000

    def call_started(self, method: str) -> None:
        self.started[method] += 1
        self.in_flight[method] += 1

    def call_finished(self, record: CallRecord) -> None:
        self.finished[record.method, record.status] += 1
        self.in_flight[record.method] -= 1
        self.records.append(record)
        if len(self.records) > self.max_records:
            del self.records[: self.max_records // 2]
