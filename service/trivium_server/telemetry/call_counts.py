"""Counts calls, by method. Plain numbers, so that a call pays next to nothing for it."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from trivium_server.telemetry.metrics import CallRecord, Distribution, Metric, Sample

_DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SIZES = (256, 4096, 65_536, 1_048_576, 16_777_216)


class _Histogram:
    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    @property
    def now(self) -> Distribution:
        return Distribution(self._bounds, tuple(self._counts), self._total)


class _Method:
    __slots__ = ("duration", "finished", "request_size", "response_size", "started", "sums")

    def __init__(self) -> None:
        self.started = 0
        self.finished: Counter[str] = Counter()
        self.duration = _Histogram(_DURATIONS_S)
        self.request_size = _Histogram(_SIZES)
        self.response_size = _Histogram(_SIZES)
        self.sums: Counter[Metric] = Counter()

    def add(self, record: CallRecord) -> None:
        self.finished[record.status] += 1
        self.duration.add(record.duration_s)
        self.request_size.add(record.request_bytes)
        self.response_size.add(record.response_bytes)
        for metric, value in (
            (Metric.RESPONSES, record.responses),
            (Metric.INPUT_TOKENS, record.input_tokens),
            (Metric.OUTPUT_TOKENS, record.output_tokens),
            (Metric.IMAGES, record.num_images),
            (Metric.PIXELS, record.num_pixels),
            (Metric.INPUT_AUDIO, record.input_audio_s),
            (Metric.OUTPUT_AUDIO, record.output_audio_s),
        ):
            if value:
                # Seconds of sound are no whole numbers; a Counter adds them all the same.
                self.sums[metric] += value  # type: ignore[assignment]


class CallCounts:
    """Implements CallMetrics; for the event loop. Methods are those that the boundary knows, so there are few."""

    def __init__(self) -> None:
        self._methods: dict[str, _Method] = {}

    def call_started(self, method: str) -> None:
        counts = self._methods.get(method)
        if counts is None:
            counts = self._methods[method] = _Method()
        counts.started += 1

    def call_finished(self, record: CallRecord) -> None:
        self._methods[record.method].add(record)

    def samples(self) -> Iterator[Sample]:
        """Yields what was counted so far."""
        for name, counts in self._methods.items():
            labels = (name,)
            yield Sample(Metric.CALLS_STARTED, counts.started, labels)
            yield Sample(Metric.CALLS_IN_FLIGHT, counts.started - counts.finished.total(), labels)
            for status, number in counts.finished.items():
                yield Sample(Metric.CALLS_FINISHED, number, (name, status))
            yield Sample(Metric.CALL_DURATION, counts.duration.now, labels)
            yield Sample(Metric.REQUEST_SIZE, counts.request_size.now, labels)
            yield Sample(Metric.RESPONSE_SIZE, counts.response_size.now, labels)
            for metric, value in counts.sums.items():
                yield Sample(metric, value, labels)
