"""How busy the models are, as metrics."""

from collections.abc import Iterable, Iterator

from trivium_server.runtime.workload import Workload
from trivium_server.telemetry import Metric, Sample


def workload_samples(workloads: Iterable[tuple[str, Workload]]) -> Iterator[Sample]:
    """Yields the metrics of each model, by its name."""
    for model, workload in workloads:
        for metric, value in (
            (Metric.MODEL_PLACES, workload.num_places),
            (Metric.MODEL_BUSY, workload.num_busy),
            (Metric.MODEL_WAITING, workload.num_waiting),
            (Metric.MODEL_BUSY_TIME, workload.busy_s),
            (Metric.MODEL_RUNS, workload.num_runs),
            (Metric.MODEL_ITEMS, workload.num_items),
        ):
            yield Sample(metric, value, (model,))
        if workload.padded_tokens:
            yield Sample(Metric.MODEL_USEFUL, workload.useful_tokens, (model,))
            yield Sample(Metric.MODEL_PADDED, workload.padded_tokens, (model,))
