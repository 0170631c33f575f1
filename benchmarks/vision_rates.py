"""Images per core-second of each feature, beside the limit."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.report import Table, paired, percentile, spread
from benchmarks.vision_client import answers, closed_loop, request
from benchmarks.vision_contenders import Bare, Served, awake
from benchmarks.vision_images import MODELS, Pictures

MANY_CALLERS = 8
# A burst has so many images for each caller at least.
_LEAST_EACH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One burst. callers: 0 for the limit. cpu_s: of the server, or of the limit. durations_s: of each image."""

    feature: str
    callers: int
    round: int
    count: int
    elapsed_s: float
    cpu_s: float
    durations_s: list[float]

    @property
    def core_rate(self) -> float:
        """Images per second of processor time."""
        return self.count / self.cpu_s

    @property
    def rate(self) -> float:
        """Images per second by the clock."""
        return self.count / self.elapsed_s


class Rates:
    """Measures round by round: all bursts of a feature one after the other, in an order that rotates."""

    def __init__(self, ours: Served, bare: Bare, pictures: Pictures, *, burst_s: float) -> None:
        """burst_s: about how long a burst is to take."""
        self._ours, self._bare, self._pictures = ours, bare, pictures
        self._burst_s = burst_s
        self._callers = tuple(dict.fromkeys((bare.threads, MANY_CALLERS)))
        self._counts: dict[str, int] = {}
        self.samples: list[Sample] = []

    def prepare(self) -> None:
        """Warms both up, and chooses how many images make a burst. Raises RuntimeError if they see different things."""
        for feature in MODELS:
            files = self._pictures.of(feature)
            with awake(self._ours):
                asked = [request(file.read_bytes(), feature) for file in files]
                answered = asyncio.run(answers(self._ours.address, asked))
            with awake(self._bare):
                seen = self._bare.burst(feature, files, count=len(files))["seen"]
                took_s = self._bare.burst(feature, files, count=len(files))["elapsed_s"]
            if answered != seen:
                raise RuntimeError(f"{feature}: the server sees {answered}, the bare pipeline {seen}")
            least = -(-_LEAST_EACH * max(self._callers) // len(files))
            self._counts[feature] = len(files) * max(least, round(self._burst_s / took_s))

    def run(self, number: int) -> None:
        """Runs a round."""
        bursts = (0, *self._callers)
        for place, feature in enumerate(MODELS):
            start = (number + place) % len(bursts)
            for callers in bursts[start:] + bursts[:start]:
                burst = self._served(feature, callers, number) if callers else self._limit(feature, number)
                self.samples.append(burst)

    def _limit(self, feature: str, number: int) -> Sample:
        count = self._counts[feature]
        with awake(self._bare):
            burst = self._bare.burst(feature, self._pictures.of(feature), count=count)
        return Sample(
            feature=feature,
            callers=0,
            round=number,
            count=count,
            elapsed_s=burst["elapsed_s"],
            cpu_s=burst["cpu_s"],
            durations_s=burst["durations_s"],
        )

    def _served(self, feature: str, callers: int, number: int) -> Sample:
        images = [[request(file.read_bytes(), feature)] for file in self._pictures.of(feature)]
        count = self._counts[feature]
        with awake(self._ours):
            done = asyncio.run(closed_loop(self._ours, images, count=count, callers=callers))
        return Sample(
            feature=feature,
            callers=callers,
            round=number,
            count=count,
            elapsed_s=done.elapsed_s,
            cpu_s=done.cpu_s,
            durations_s=done.durations_s,
        )

    def tables(self) -> Iterator[Table]:
        yield self._table("Images per core-second", lambda sample: sample.core_rate)
        yield self._table("Images per second", lambda sample: sample.rate)
        yield self._latency()

    def raw(self) -> list[dict[str, object]]:
        return [asdict(sample) for sample in self.samples]

    def _table(self, title: str, value: Callable[[Sample], float]) -> Table:
        rows = []
        for feature in MODELS:
            limit, *own = ([value(one) for one in self._of(feature, callers)] for callers in (0, *self._callers))
            rows.append([feature, spread(limit), *(spread(each) for each in own), *(paired(one, limit) for one in own)])
        names = [f"{callers} callers" for callers in self._callers]
        columns = ["feature", "bare pipeline", *names, *(f"ratio, {name}" for name in names)]
        return Table(title=title, columns=columns, rows=rows)

    def _latency(self) -> Table:
        rows = []
        for feature in MODELS:
            cells = [feature]
            for callers in (0, *self._callers):
                durations = [duration for sample in self._of(feature, callers) for duration in sample.durations_s]
                cells += [f"{1000 * percentile(durations, share):.1f}" for share in (0.5, 0.99)]
            rows.append(cells)
        names = ["bare pipeline", *(f"{callers} callers" for callers in self._callers)]
        columns = ["feature", *(f"{name}, {share}" for name in names for share in ("p50", "p99"))]
        return Table(title="Milliseconds until an image is answered", columns=columns, rows=rows)

    def _of(self, feature: str, callers: int) -> Sequence[Sample]:
        return [sample for sample in self.samples if (sample.feature, sample.callers) == (feature, callers)]
