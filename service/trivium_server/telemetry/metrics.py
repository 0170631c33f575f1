"""What the server counts. Names, units, labels and meanings stand in one list; `exposition` makes text of it.

Labels take few values: a method that the server does not have is `_OTHER`, and models are those of the store.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

OTHER_METHOD = "_OTHER"


class Kind(Enum):
    """As Prometheus has them. The name of a counter ends with `_total`."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class _About(NamedTuple):
    name: str
    kind: Kind
    labels: tuple[str, ...]
    about: str


_BY_METHOD = ("method",)
_BY_MODEL = ("model",)


class Metric(Enum):
    """Each metric, in base units."""

    CALLS_STARTED = _About("trivium_calls_started_total", Kind.COUNTER, _BY_METHOD, "Calls that came in.")
    CALLS_FINISHED = _About(
        "trivium_calls_finished_total", Kind.COUNTER, ("method", "status"), "Calls that ended, by gRPC status."
    )
    CALLS_IN_FLIGHT = _About("trivium_calls_in_flight", Kind.GAUGE, _BY_METHOD, "Calls that have not ended.")
    CALL_DURATION = _About(
        "trivium_call_duration_seconds", Kind.HISTOGRAM, _BY_METHOD, "From a call's beginning to its end."
    )
    REQUEST_SIZE = _About("trivium_request_size_bytes", Kind.HISTOGRAM, _BY_METHOD, "All requests of a call together.")
    RESPONSE_SIZE = _About(
        "trivium_response_size_bytes", Kind.HISTOGRAM, _BY_METHOD, "All responses of a call together."
    )
    RESPONSES = _About("trivium_responses_total", Kind.COUNTER, _BY_METHOD, "Messages that were sent.")
    INPUT_TOKENS = _About("trivium_input_tokens_total", Kind.COUNTER, _BY_METHOD, "Tokens that models read.")
    OUTPUT_TOKENS = _About("trivium_output_tokens_total", Kind.COUNTER, _BY_METHOD, "Tokens that models made.")
    IMAGES = _About("trivium_images_total", Kind.COUNTER, _BY_METHOD, "Images that were looked at.")
    PIXELS = _About("trivium_image_pixels_total", Kind.COUNTER, _BY_METHOD, "Pixels of these images.")
    INPUT_AUDIO = _About("trivium_input_audio_seconds_total", Kind.COUNTER, _BY_METHOD, "Sound that was listened to.")
    OUTPUT_AUDIO = _About("trivium_output_audio_seconds_total", Kind.COUNTER, _BY_METHOD, "Sound that was made.")
    LOOP_LAG = _About(
        "trivium_event_loop_lag_seconds",
        Kind.GAUGE,
        ("quantile",),
        "How late the event loop is, over the last minute; the quantile 1 is the worst.",
    )
    UTILIZATION = _About(
        "trivium_utilization_ratio",
        Kind.GAUGE,
        (),
        "How busy this replica is, as it tells load balancers: over 1 where work waits.",
    )
    MODEL_PLACES = _About(
        "trivium_model_places",
        Kind.GAUGE,
        _BY_MODEL,
        "How much a model can do at a time: runs, or sequences that decode together.",
    )
    MODEL_BUSY = _About("trivium_model_busy_places", Kind.GAUGE, _BY_MODEL, "How many of its places are at work.")
    MODEL_WAITING = _About(
        "trivium_model_waiting_items", Kind.GAUGE, _BY_MODEL, "Texts, images, pieces of sound or sequences that wait."
    )
    MODEL_BUSY_TIME = _About(
        "trivium_model_busy_seconds_total", Kind.COUNTER, _BY_MODEL, "Time for which its places were at work, added up."
    )
    MODEL_RUNS = _About("trivium_model_runs_total", Kind.COUNTER, _BY_MODEL, "Batches that ran, or decoding steps.")
    MODEL_ITEMS = _About("trivium_model_items_total", Kind.COUNTER, _BY_MODEL, "Items of all these runs together.")
    MODEL_USEFUL = _About(
        "trivium_model_useful_tokens_total", Kind.COUNTER, _BY_MODEL, "What batches cost, without their padding."
    )
    MODEL_PADDED = _About(
        "trivium_model_padded_tokens_total", Kind.COUNTER, _BY_MODEL, "What batches cost, padding included."
    )
    IMAGES_DECODING = _About(
        "trivium_images_decoding", Kind.GAUGE, (), "Images that are being decoded, or wait for it."
    )


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: counts[i] values were at most bounds[i], and above bounds[i - 1]; the last count is of the rest."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class Sample(NamedTuple):
    """One value of a metric; labels has those of the metric, in its order."""

    metric: Metric
    value: float | Distribution
    labels: tuple[str, ...] = ()


Source = Callable[[], Iterable[Sample]]
"""Yields samples as they are now. Called on the event loop: must be quick."""


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


class AllMetrics:
    """Tells several."""

    def __init__(self, *told: CallMetrics) -> None:
        self._told = told

    def call_started(self, method: str) -> None:
        for each in self._told:
            each.call_started(method)

    def call_finished(self, record: CallRecord) -> None:
        for each in self._told:
            each.call_finished(record)


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
