"""Metrics as Prometheus reads them: version 0.0.4 of its text format, by its own library."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from trivium_server.telemetry.metrics import Distribution, Kind, Metric, Sample, Source

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(sources: Sequence[Source]) -> bytes:
    """Returns what the sources know now, as text. For the event loop: some milliseconds."""
    registry = CollectorRegistry()
    registry.register(_Samples([sample for source in sources for sample in source()]))
    return generate_latest(registry)


class _Samples(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_metric: dict[Metric, list[Sample]] = {}
        for sample in samples:
            self._by_metric.setdefault(sample.metric, []).append(sample)

    def describe(self) -> Iterator[Family]:
        # Said at once, or the registry would collect everything twice.
        return iter(())

    def collect(self) -> Iterator[Family]:
        for metric, samples in self._by_metric.items():
            yield _family(metric, samples)


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    name, kind, labels, about = metric.value
    if kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, about, labels=labels)
        for sample in samples:
            assert isinstance(sample.value, Distribution)
            histogram.add_metric(sample.labels, _buckets(sample.value), sample.value.total)
        return histogram
    simple = (CounterMetricFamily if kind is Kind.COUNTER else GaugeMetricFamily)(name, about, labels=labels)
    for sample in samples:
        assert not isinstance(sample.value, Distribution)
        simple.add_metric(sample.labels, sample.value)
    return simple


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:g}" for bound in distribution.bounds), "+Inf"]
    return list(zip(bounds, accumulate(distribution.counts), strict=True))
