"""Simulated fleets of up to a thousand replicas, with each way to balance."""

import random
import statistics
from collections.abc import Callable, Sequence

from benchmarks.fleet.balancers import Affinity, LeastRequest, OrcaWeights, RandomChoice
from benchmarks.fleet.simulation import Balancer, Fleet, Outcome, simulate
from benchmarks.report import Report, Table, percentile

__all__ = ["MEAN_S", "SEED", "SLOTS", "UTILIZATION", "run", "simulated"]

MEAN_S = 0.1
SLOTS = 4
SEED = 11
UTILIZATION = 0.8


def run(
    speeds: Sequence[float],
    utilization: float,
    balancer: Balancer,
    num_requests: int,
    num_keys: int = 0,
) -> Outcome:
    """Simulates a fleet with a replica for each speed. num_keys: how many keys calls have; 0 for none."""
    fleet = Fleet(
        speeds=speeds,
        slots=SLOTS,
        rate=utilization * sum(speeds) * SLOTS / MEAN_S,
        service=_exponential,
        keys=_zipf(num_keys) if num_keys else lambda _rng: 0,
        cache_len=40 if num_keys else 0,
        cached_share=0.5,
    )
    return simulate(fleet, balancer, num_requests=num_requests, seed=SEED)


def _exponential(rng: random.Random) -> float:
    return rng.expovariate(1 / MEAN_S)


def _zipf(num_keys: int) -> Callable[[random.Random], int]:
    """Chooses key n about as often as 1 / (n + 1)."""

    def choose(rng: random.Random) -> int:
        return int((num_keys + 1) ** rng.random()) - 1

    return choose


def simulated(num_requests: int, report: Report) -> list[Table]:
    """Fleets of up to a thousand replicas at UTILIZATION, with each way to balance: a table for each kind of fleet."""
    tables = []
    kinds: dict[str, Callable[[int], tuple[list[float], int]]] = {
        "replicas alike": lambda num: ([1.0] * num, 0),
        "a fifth of them slow": lambda num: ([1.0 if index % 5 else 0.5 for index in range(num)], 0),
        "calls with keys": lambda num: ([1.0] * num, 20 * num),
    }
    samples: dict[str, object] = {}
    for kind, make in kinds.items():
        rows = []
        for num in (3, 10, 100, 1000):
            speeds, num_keys = make(num)
            balancers: dict[str, Balancer] = {
                "random": RandomChoice(),
                "least request": LeastRequest(),
                "ORCA weights": OrcaWeights(),
                "affinity": Affinity(num),
            }
            cells = [str(num)]
            for name, balancer in balancers.items():
                outcome = run(speeds, UTILIZATION, balancer, num_requests * (1 + (num == 1000)), num_keys)
                p50, p99 = (1000 * percentile(outcome.latencies_s, share) for share in (0.5, 0.99))
                hits = f", {outcome.cache_hits:.0%} remembered" if num_keys else ""
                cells.append(f"{p50:.0f} / {p99:.0f}{hits}")
                samples[f"{kind}, {num}, {name}"] = {
                    "mean_s": statistics.fmean(outcome.latencies_s),
                    "utilization": outcome.utilization,
                }
            rows.append(cells)
        columns = ["replicas", *(f"{name}: p50 / p99, ms" for name in balancers)]
        tables.append(Table(title=f"Simulated at {UTILIZATION:.0%}: {kind}", columns=columns, rows=rows))
    report.samples["simulated"] = samples
    return tables
