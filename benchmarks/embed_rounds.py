"""Runs each workload on everybody, one right after the other, in rounds: one is awake at a time, the others stopped."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from benchmarks.embed_bare import Burst
from benchmarks.embed_contenders import Bare, Served
from benchmarks.embed_work import Plan, Workload

_BUDGETS = (128, 256, 512, 1024, 2048, 4096, 8192)
_TRIES = 3
TUNING_TEXTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one contender did with one workload in one round. durations_s: of its calls."""

    contender: str
    workload: str
    round: int
    count: int
    elapsed_s: float
    server_cpu_s: float
    client_cpu_s: float
    durations_s: list[float]

    @property
    def rate(self) -> float:
        """Sentences per second."""
        return self.count / self.elapsed_s

    @property
    def core_rate(self) -> float:
        """Sentences per second of the server's processor time."""
        return self.count / self.server_cpu_s


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySample:
    """How long queries took in one round, alone and while bulk work ran, and what became of the bulk work."""

    contender: str
    round: int
    idle_s: list[float]
    loaded_s: list[float]
    bulk_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A setting of the limit, and the best that it gave."""

    budget: int
    workers: int
    burst: Burst


@dataclass(slots=True)
class Samples:
    """All that was measured. differences: the greatest of any component to the bare loop's, by contender."""

    all: list[Sample] = field(default_factory=list)
    queries: list[QuerySample] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)

    def values(self, contender: str, workload: str, value: Callable[[Sample], float]) -> list[float]:
        """One value for each round."""
        found = (sample for sample in self.all if (sample.contender, sample.workload) == (contender, workload))
        return [value(sample) for sample in found]

    def raw(self) -> dict[str, object]:
        return asdict(self)


def measure(ours: Served, others: Sequence[Served], bare: Bare, plan: Plan, rounds: int) -> Samples:
    """Starts everybody, tunes the limit, compares answers, and runs every round; the order rotates."""
    samples = Samples()
    everybody: list[Served | Bare] = [ours, bare, *others]
    with contextlib.ExitStack() as stack:
        for contender in everybody:
            contender.start()
            stack.callback(contender.close)
            contender.process.pause()
            print(f"{contender.name} is ready", flush=True)
        with _awake(bare):
            samples.tried.extend(_tune(bare, plan.bulk))
            reference = np.array(bare.vectors(plan.check))
        for served in (ours, *others):
            with _awake(served):
                samples.differences[served.name] = _difference(served, plan, reference)
        for number in range(rounds):
            shift = number % len(everybody)
            in_turn = [*everybody[shift:], *everybody[:shift]]
            for workload in plan.all:
                for contender in in_turn:
                    with _awake(contender):
                        samples.all.append(_sample(contender, workload, plan, samples, number))
            for contender in in_turn:
                if not isinstance(contender, Bare):
                    with _awake(contender):
                        samples.queries.append(_queries(contender, plan, number))
            print(f"round {number + 1} of {rounds} done", flush=True)
    return samples


@contextlib.contextmanager
def _awake(contender: Served | Bare) -> Iterator[None]:
    contender.process.resume()
    try:
        yield
    finally:
        contender.process.require_alive()
        contender.process.pause()


def _tune(bare: Bare, bulk: Workload) -> list[Tried]:
    texts = bulk.texts[:TUNING_TEXTS]
    settings = [(workers, budget) for workers in dict.fromkeys((1, bare.threads)) for budget in _BUDGETS]
    # One after the other, so that a disturbance does not meet all tries of one setting.
    bursts = [
        {setting: bare.burst(texts, workers=setting[0], budget=setting[1]) for setting in settings}
        for _ in range(_TRIES)
    ]
    return [
        Tried(workers=workers, budget=budget, burst=min((tries[workers, budget] for tries in bursts), key=_elapsed))
        for workers, budget in settings
    ]


def _elapsed(burst: Burst) -> float:
    return burst["elapsed_s"]


def best(tried: Sequence[Tried]) -> Tried:
    """The setting of the limit that is fastest by the clock."""
    return min(tried, key=lambda one: one.burst["elapsed_s"])


def _difference(served: Served, plan: Plan, reference: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    with contextlib.closing(served.client()) as client:
        vectors = np.array(client.do({"texts": plan.check, "vectors": True})["vectors"])
    return float(np.abs(vectors - reference).max())


def _sample(contender: Served | Bare, workload: Workload, plan: Plan, samples: Samples, number: int) -> Sample:
    if isinstance(contender, Bare):
        return _limit(contender, workload, best(samples.tried), number, is_alone=workload is plan.alone)
    return _served(contender, workload, number)


def _served(served: Served, workload: Workload, number: int) -> Sample:
    with contextlib.closing(served.client()) as client:
        client.prepare(workload.work(streams=served.streams))
        server = served.process.cpu_s()
        client.go()
        done = client.result()
        used = served.process.cpu_s() - server
    if done["count"] != len(workload.texts):
        raise RuntimeError(f"{served.name} gave {done['count']} vectors for {len(workload.texts)} texts")
    return Sample(
        contender=served.name,
        workload=workload.name,
        round=number,
        count=done["count"],
        elapsed_s=done["elapsed_s"],
        server_cpu_s=used,
        client_cpu_s=done["cpu_s"],
        durations_s=[round(duration, 6) for duration in done.get("durations_s", ())],
    )


def _limit(bare: Bare, workload: Workload, tuned: Tried, number: int, *, is_alone: bool) -> Sample:
    # Nothing can be put beside the text of a single caller.
    budget, workers = (1, 1) if is_alone else (tuned.budget, tuned.workers)
    burst = bare.burst(workload.texts, budget=budget, workers=workers)
    return Sample(
        contender=bare.name,
        workload=workload.name,
        round=number,
        count=len(workload.texts),
        elapsed_s=burst["elapsed_s"],
        server_cpu_s=burst["cpu_s"],
        client_cpu_s=0.0,
        durations_s=[],
    )


def _queries(served: Served, plan: Plan, number: int) -> QuerySample:
    with contextlib.closing(served.client()) as asking, contextlib.closing(served.client()) as bulk:
        idle = asking.do(plan.query())["durations_s"]
        asking.prepare(plan.query())
        bulk.prepare(plan.background(streams=served.streams))
        bulk.go()
        time.sleep(plan.margin_s)
        asking.go()
        loaded = asking.result()["durations_s"]
        background = bulk.result()
    return QuerySample(
        contender=served.name,
        round=number,
        idle_s=[round(duration, 6) for duration in idle],
        loaded_s=[round(duration, 6) for duration in loaded],
        bulk_rate=background["count"] / background["elapsed_s"],
    )
