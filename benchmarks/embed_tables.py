"""Tables of the measurement of embeddings."""

import statistics
from collections.abc import Callable, Iterator, Sequence

from benchmarks.embed_rounds import TUNING_TEXTS, Sample, Samples, best
from benchmarks.embed_work import Plan, Workload
from benchmarks.report import Table, paired, percentile, spread

_LIMIT = "bare loop"
_PEERS = ("LitServe", "BentoML", "infinity")
Measure = Callable[[Sample], float]
_MEASURES: dict[str, Measure] = {"by core-second": lambda s: s.core_rate, "by the clock": lambda s: s.rate}


class Results:
    """Tables over the samples. names: everybody, ours first."""

    def __init__(self, samples: Samples, names: Sequence[str], plan: Plan) -> None:
        self._samples, self._names, self._plan = samples, names, plan
        self._ours = names[0]

    def tables(self) -> Iterator[Table]:
        yield self._rates("Sentences per second", "by the clock")
        yield self._rates("Sentences per core-second of the server", "by core-second")
        for measure in _MEASURES:
            yield self._ratios(measure)
        yield self._latency()
        yield self._queries()
        yield self._verdicts()
        yield self._client_cpu()
        yield self._tuning()
        yield self._differences()

    def _rates(self, title: str, measure: str) -> Table:
        rows = [[name, *(spread(self._values(name, w, measure)) for w in self._plan.all)] for name in self._names]
        return Table(title=title, columns=["", *(w.name for w in self._plan.all)], rows=rows)

    def _ratios(self, measure: str) -> Table:
        rows = []
        for family in (_LIMIT, *_PEERS):
            cells = [self._ratio(family, workload, measure) for workload in self._plan.all]
            rows.append([f"{self._ours} / {family}", *cells])
        return Table(title=f"Ratios, {measure}", columns=["", *(w.name for w in self._plan.all)], rows=rows)

    def _ratio(self, family: str, workload: Workload, measure: str) -> str:
        other = self._best(family, workload, measure)
        if other is None:
            return "-"
        return paired(self._values(self._ours, workload, measure), self._values(other, workload, measure))

    def _latency(self) -> Table:
        rows = []
        workloads = (self._plan.alone, self._plan.singles)
        for name in self._names:
            if name == _LIMIT:
                continue
            cells = [name]
            for workload in workloads:
                rounds = self._samples.values(name, workload.name, lambda s: percentile(s.durations_s, 0.5))
                worst = self._samples.values(name, workload.name, lambda s: percentile(s.durations_s, 0.99))
                cells += [_ms(rounds), _ms(worst)]
            rows.append(cells)
        columns = ["", *(f"{w.name}, {share}" for w in workloads for share in ("p50", "p99"))]
        return Table(title="Milliseconds of a call with one text", columns=columns, rows=rows)

    def _queries(self) -> Table:
        rows = []
        for name in self._names:
            found = [query for query in self._samples.queries if query.contender == name]
            if not found:
                continue
            cells = [name]
            for share in (0.5, 0.99):
                idle = [percentile(query.idle_s, share) for query in found]
                loaded = [percentile(query.loaded_s, share) for query in found]
                cells += [_ms(idle), _ms(loaded), paired(loaded, idle)]
            rows.append([*cells, spread([query.bulk_rate for query in found])])
        columns = ["", *(f"{p} {what}" for p in ("p50", "p99") for what in ("alone", "in bulk", "ratio")), "bulk then"]
        return Table(title="A query while bulk work runs: ms, and sentences/s of the bulk", columns=columns, rows=rows)

    def _verdicts(self) -> Table:
        bars = [(self._plan.bulk, _LIMIT, 0.9), (self._plan.singles, _LIMIT, 0.75)]
        bars += [(workload, family, 3.0) for family in _PEERS for workload in (self._plan.bulk, self._plan.singles)]
        rows = []
        for workload, family, at_least in bars:
            other = self._best(family, workload, "by core-second")
            if other is None:
                continue
            reached = self._median_ratio(other, workload, "by core-second")
            clock = self._best(family, workload, "by the clock")
            by_clock = self._median_ratio(clock or other, workload, "by the clock")
            verdict = "yes" if reached >= at_least else "NO"
            rows.append([workload.name, other, f">= {at_least:g}", f"{reached:.2f}", verdict, f"{by_clock:.2f}"])
        rows.append(self._query_verdict())
        columns = ["workload", "against", "bar", "by core-second", "reached", "by the clock"]
        return Table(title=f"Bars for {self._ours}", columns=columns, rows=rows)

    def _query_verdict(self) -> list[str]:
        found = [query for query in self._samples.queries if query.contender == self._ours]
        ratio = statistics.median(percentile(q.loaded_s, 0.99) / percentile(q.idle_s, 0.99) for q in found)
        verdict = "yes" if ratio < 3 else "NO"
        return ["query p99 while bulk work runs", "itself, alone", "< 3", "", verdict, f"{ratio:.2f}"]

    def _client_cpu(self) -> Table:
        rows = []
        for name in self._names:
            if name != _LIMIT:
                costs = [
                    self._samples.values(name, w.name, lambda s: 1e6 * s.client_cpu_s / s.count) for w in self._plan.all
                ]
                rows.append([name, *(spread(cost, 0) for cost in costs)])
        columns = ["", *(w.name for w in self._plan.all)]
        return Table(title="The clients' CPU, microseconds per sentence", columns=columns, rows=rows)

    def _tuning(self) -> Table:
        chosen = best(self._samples.tried)
        rows = []
        for tried in self._samples.tried:
            count = min(TUNING_TEXTS, len(self._plan.bulk.texts))
            burst = tried.burst
            rates = [f"{count / burst[key]:.1f}" for key in ("elapsed_s", "cpu_s")]
            mark = "chosen" if tried is chosen else ""
            rows.append([str(tried.workers), str(tried.budget), f"{100 * burst['padding']:.1f} %", *rates, mark])
        columns = ["runs at once", "token budget", "padding", "sentences/s", "per core-second", ""]
        return Table(title="The limit, tuned", columns=columns, rows=rows)

    def _differences(self) -> Table:
        rows = [[name, f"{value:.1e}"] for name, value in self._samples.differences.items()]
        columns = ["", "greatest difference"]
        return Table(title="The same answers: components against the bare loop's, 16 texts", columns=columns, rows=rows)

    def _values(self, name: str, workload: Workload, measure: str) -> list[float]:
        return self._samples.values(name, workload.name, _MEASURES[measure])

    def _best(self, family: str, workload: Workload, measure: str) -> str | None:
        names = [name for name in self._names if name.startswith(family)]
        return max(names, key=lambda name: statistics.median(self._values(name, workload, measure)), default=None)

    def _median_ratio(self, other: str, workload: Workload, measure: str) -> float:
        pairs = zip(self._values(self._ours, workload, measure), self._values(other, workload, measure), strict=True)
        return statistics.median(a / b for a, b in pairs)


def _ms(seconds: Sequence[float]) -> str:
    return spread([1000 * value for value in seconds])
