"""What Envoy costs, what replicas gain, and what a simulation makes of a thousand of them.

    python -m benchmarks.replicas [--quick]

Replicas run a model that sleeps instead of computing, since a machine of two cores has none for three replicas. The
simulation is first held against what was measured.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trivium
from benchmarks import command_line, machine
from benchmarks.fleet.balancers import LeastRequest, OrcaWeights
from benchmarks.fleet.simulation import Balancer
from benchmarks.fleet.study import MEAN_S, SEED, SLOTS, UTILIZATION, run, simulated
from benchmarks.report import Report, Table, percentile, spread
from deploy.envoy.options import Balancer as Policy
from trials import fleet as real
from trials.load import Load, steady_load
from trials.sleeping_server import MODEL, SPEED, Sleep, make_store
from trivium_models.store import Store

_SERVICE = "trivium.v1.TextAnalysisService"
_UTILIZATIONS = (0.5, 0.7, 0.9)
_NUM_REPLICAS = (1, 2, 3)
_NUM_CALLERS = (1, 8)
_NUM_STREAMS = (1, 4)
_NUM_TOKENS = 64
_GENERATOR = "smollm2-135m-instruct"
_NOTES = f"""\
- A replica serves {SLOTS} calls at once, of {1000 * MEAN_S:g} ms each at the mean, exponentially distributed; others
  wait there. Calls come at random times (Poisson), each sent once. Latencies are those of the caller.
- Direct: the same calls to one server without Envoy, in turns with those through it. Calls with one answer need no
  model (GetModel). Streams are answers of {_NUM_TOKENS} tokens of {_GENERATOR}, a server of its own; a gap is the time
  between two tokens, over all rounds.
- Simulated: the same arrivals, service and balancer (least request of two), without the time that a call is on its way.
- Slow: a fifth of the replicas work at half speed. Keys: each call belongs to one of 20 times as many keys as there are
  replicas, by Zipf's law; a replica remembers 40 of them, and a call whose key it remembers takes half as long.
  Utilization is of what the fleet could do without that. Where calls have no keys, all of them count as one key to
  affinity: a key that everybody shares spoils it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done: seconds of load for each point, rounds of the comparison, calls and streams of each round,
    simulated requests."""

    load_s: float
    rounds: int
    calls: int
    streams: int
    requests: int


def main() -> None:
    given = command_line.parse(__doc__, rounds=5, uses_peers=False)
    plan = (
        Plan(load_s=3, rounds=1, calls=100, streams=4, requests=2_000)
        if given.quick
        else Plan(load_s=40, rounds=given.rounds, calls=600, streams=12, requests=200_000)
    )
    facts = machine.describe()
    report = Report(name="replicas", title="Replicas behind Envoy", notes=_NOTES, facts=facts)
    with tempfile.TemporaryDirectory() as folder:
        report.tables.append(_envoy_cost(Path(folder) / "cost", plan, report))
        report.tables.append(_stream_cost(Path(folder) / "streams", plan, report))
        report.tables.append(_growth(Path(folder) / "growth", plan, report))
        report.tables.append(_balancers(Path(folder) / "balancers", plan, report))
    report.tables.extend(simulated(plan.requests, report))
    report.write(given.results)


def _fleet(folder: Path, speeds: Sequence[float], balancer: Policy = Policy.LEAST_REQUEST) -> real.Fleet:
    folder.mkdir(parents=True)
    store = make_store(folder / "store", Sleep(mean_s=MEAN_S, slots=SLOTS, queue_size=100_000, is_random=True))
    settings = {"TRIVIUM_LIMITS_MAX_CONCURRENT_CALLS": "4000"}
    return real.Fleet(
        folder,
        store,
        MODEL,
        num_replicas=len(speeds),
        module="trials.sleeping_server",
        balancer=balancer,
        settings=settings,
        settings_of={number: {SPEED: str(speed)} for number, speed in enumerate(speeds)},
    )


def _envoy_cost(folder: Path, plan: Plan, report: Report) -> Table:
    """Calls that need no model, to a server and through Envoy, in turns."""
    ways: dict[str, dict[int, list[tuple[float, float, float]]]] = {}
    with _fleet(folder, [1.0]) as running:
        running.await_healthy(_SERVICE)
        targets = {"direct": running.replicas[0].target, "through Envoy": running.envoys[0].target}
        for _ in range(plan.rounds):
            for way, target in targets.items():
                for callers in _NUM_CALLERS:
                    rate_and_times = asyncio.run(_closed_loop(target, callers, plan.calls))
                    ways.setdefault(way, {}).setdefault(callers, []).append(rate_and_times)
    report.samples["envoy_cost"] = {
        way: {str(callers): list(map(list, rounds)) for callers, rounds in each.items()} for way, each in ways.items()
    }
    rows = []
    for way, each in ways.items():
        cells = [way]
        for callers in _NUM_CALLERS:
            rates, p50s, p99s = zip(*each[callers], strict=True)
            cells += [spread([1000 * value for value in p50s], 2), spread([1000 * value for value in p99s], 2)]
            cells.append(spread(rates, 0))
        rows.append(cells)
    columns = [""]
    for callers in _NUM_CALLERS:
        name = f"{callers} caller{'s' * (callers > 1)}"
        columns += [f"{name}: p50, ms", "p99, ms", "calls/s"]
    return Table(title="A call that needs no model", columns=columns, rows=rows)


async def _closed_loop(target: str, callers: int, count: int) -> tuple[float, float, float]:
    """Makes calls one after the other from so many callers; returns calls a second, and p50 and p99 in seconds."""
    times: list[float] = []
    async with trivium.AsyncClient(target) as client:

        async def caller() -> None:
            for _ in range(count // callers):
                begun = time.monotonic()
                await client.models.get(MODEL)
                times.append(time.monotonic() - begun)

        await client.models.get(MODEL)
        begun = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took_s = time.monotonic() - begun
    return len(times) / took_s, percentile(times, 0.5), percentile(times, 0.99)


@dataclass(slots=True)
class _Read:
    """What readers of streams saw: seconds to each first token and between two, and tokens a second of each round."""

    firsts_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def _stream_cost(folder: Path, plan: Plan, report: Report) -> Table:
    """Streams of a real model, from a server and through Envoy, in turns."""
    folder.mkdir()
    store = Store().pull(_GENERATOR).folder.parent
    ways: dict[str, dict[int, _Read]] = {}
    with real.Fleet(folder, store, _GENERATOR, num_replicas=1) as running:
        running.await_healthy("trivium.v1.TextGenerationService")
        targets = {"direct": running.replicas[0].target, "through Envoy": running.envoys[0].target}
        for _ in range(plan.rounds):
            for way, target in targets.items():
                for readers in _NUM_STREAMS:
                    seen = ways.setdefault(way, {}).setdefault(readers, _Read())
                    asyncio.run(_read_streams(target, readers, plan.streams, seen))
    rows = []
    for way, each in ways.items():
        cells = [way]
        for readers in _NUM_STREAMS:
            seen = each[readers]
            cells.append(f"{1000 * statistics.median(seen.firsts_s):.1f}")
            cells += [f"{1000 * percentile(seen.gaps_s, share):.2f}" for share in (0.5, 0.99)]
            cells.append(spread(seen.rates, 0))
        rows.append(cells)
    report.samples["stream_cost"] = {
        way: {str(readers): {"first_s": seen.firsts_s, "tokens_per_s": seen.rates} for readers, seen in each.items()}
        for way, each in ways.items()
    }
    columns = [""]
    for readers in _NUM_STREAMS:
        name = f"{readers} stream{'s' * (readers > 1)}"
        columns += [f"{name}: first token, ms", "gap p50, ms", "gap p99, ms", "tokens/s"]
    return Table(title="Streams of text", columns=columns, rows=rows)


async def _read_streams(target: str, readers: int, count: int, seen: _Read) -> None:
    """Reads streams one after the other with so many readers."""
    async with trivium.AsyncClient(target) as client:

        async def reader(number: int) -> None:
            for turn in range(count // readers):
                last_s = begun_s = time.monotonic()
                prompt = f"Tell me story {turn} of {number}."
                async for _ in client.text.stream(
                    prompt, model=_GENERATOR, max_output_tokens=_NUM_TOKENS, min_output_tokens=_NUM_TOKENS
                ):
                    now_s = time.monotonic()
                    if last_s == begun_s:
                        seen.firsts_s.append(now_s - begun_s)
                    else:
                        seen.gaps_s.append(now_s - last_s)
                    last_s = now_s

        await client.models.get(_GENERATOR)
        begun_s = time.monotonic()
        await asyncio.gather(*(reader(number) for number in range(readers)))
        seen.rates.append(count // readers * readers * _NUM_TOKENS / (time.monotonic() - begun_s))


async def _detect(client: trivium.AsyncClient, _number: int) -> object:
    return await client.detect_language(["text"])


def _growth(folder: Path, plan: Plan, report: Report) -> Table:
    """One, two and three replicas at the same utilization, measured and simulated."""
    rows = []
    samples: dict[str, object] = {}
    for num in _NUM_REPLICAS:
        with ExitStack() as stack:
            running = stack.enter_context(_fleet(folder / str(num), [1.0] * num))
            running.await_healthy(_SERVICE)
            for utilization in _UTILIZATIONS:
                rate = utilization * num * SLOTS / MEAN_S
                load = _measure(running.envoys[0].target, rate, plan.load_s)
                times = [call.took_s for call in load.calls[len(load.calls) // 10 :]]
                simulated = run([1.0] * num, utilization, LeastRequest(), plan.requests).latencies_s
                samples[f"{num} replicas at {utilization}"] = times
                rows.append(
                    [
                        str(num),
                        f"{utilization:.0%}",
                        f"{rate:.0f}",
                        str(len(load.failures)),
                        *(
                            f"{1000 * percentile(values, share):.0f}"
                            for share in (0.5, 0.99)
                            for values in (times, simulated)
                        ),
                    ]
                )
    report.samples["growth"] = samples
    columns = ["replicas", "utilization", "calls/s", "failed", "p50, ms", "simulated", "p99, ms", "simulated"]
    return Table(title="Replicas that sleep, measured through Envoy", columns=columns, rows=rows)


def _balancers(folder: Path, plan: Plan, report: Report) -> Table:
    """Three replicas, alike or with a slow one, with each way of Envoy's to balance, in turns; and simulated."""
    ways: dict[Policy, Callable[[], Balancer]] = {Policy.LEAST_REQUEST: LeastRequest, Policy.ORCA: OrcaWeights}
    rows = []
    for kind, speeds in {"alike": [1.0, 1.0, 1.0], "one at half speed": [1.0, 1.0, 0.5]}.items():
        rate = UTILIZATION * sum(speeds) * SLOTS / MEAN_S
        times: dict[Policy, list[list[float]]] = {way: [] for way in ways}
        num_failed = dict.fromkeys(ways, 0)
        for turn in range(max(1, plan.rounds // 2 + 1)):
            for way in ways:
                with _fleet(folder / f"{kind}-{way}-{turn}", speeds, way) as running:
                    running.await_healthy(_SERVICE)
                    load = _measure(running.envoys[0].target, rate, plan.load_s)
                    times[way].append([call.took_s for call in load.calls[len(load.calls) // 10 :]])
                    num_failed[way] += len(load.failures)
        for way, balancer in ways.items():
            simulated = run(speeds, UTILIZATION, balancer(), plan.requests).latencies_s
            cells = [kind, str(way), str(num_failed[way])]
            for share in (0.5, 0.99):
                cells.append(spread([1000 * percentile(each, share) for each in times[way]], 0))
                cells.append(f"{1000 * percentile(simulated, share):.0f}")
            rows.append(cells)
        report.samples[f"balancers, {kind}"] = {str(way): each for way, each in times.items()}
    columns = ["three replicas", "balancer", "failed", "p50, ms", "simulated", "p99, ms", "simulated"]
    return Table(title=f"Balancers at {UTILIZATION:.0%}, measured through Envoy", columns=columns, rows=rows)


def _measure(target: str, rate: float, seconds: float) -> Load:
    with steady_load(target, _detect, rate=rate, rng=random.Random(SEED)) as load:
        time.sleep(seconds)
    return load


if __name__ == "__main__":
    main()
