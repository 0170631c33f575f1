"""The simulation of a fleet agrees with what is known about queues."""

import random
import statistics

import pytest

from benchmarks.fleet.balancers import Affinity, LeastRequest, OrcaWeights, RandomChoice
from benchmarks.fleet.simulation import Balancer, Fleet, Outcome, simulate, waiting_probability
from benchmarks.report import percentile

SERVICE_S = 0.1


def exponential(rng: random.Random) -> float:
    return rng.expovariate(1 / SERVICE_S)


def run(fleet: Fleet, balancer: Balancer, num_requests: int = 60_000) -> Outcome:
    return simulate(fleet, balancer, num_requests=num_requests, seed=7)


@pytest.mark.parametrize(("slots", "utilization"), [(1, 0.5), (1, 0.8), (4, 0.8), (8, 0.9)])
def test_one_replica_is_the_queue_of_erlang(slots: int, utilization: float) -> None:
    load = slots * utilization
    fleet = Fleet(speeds=[1.0], slots=slots, rate=load / SERVICE_S, service=exponential)
    outcome = run(fleet, RandomChoice(), 200_000)
    expected = SERVICE_S + waiting_probability(slots, load) * SERVICE_S / (slots - load)
    assert statistics.fmean(outcome.latencies_s) == pytest.approx(expected, rel=0.1)
    assert outcome.utilization == pytest.approx(utilization, rel=0.03)


def test_a_request_that_waits_for_nothing_takes_its_service_time() -> None:
    fleet = Fleet(speeds=[2.0], slots=4, rate=0.1, service=lambda _rng: SERVICE_S)
    outcome = run(fleet, RandomChoice(), 1000)
    assert outcome.latencies_s == pytest.approx([SERVICE_S / 2] * len(outcome.latencies_s))


def test_two_choices_shorten_the_tail() -> None:
    fleet = Fleet(speeds=[1.0] * 50, slots=1, rate=0.8 * 50 / SERVICE_S, service=exponential)
    tails = [percentile(run(fleet, balancer).latencies_s, 0.99) for balancer in (RandomChoice(), LeastRequest())]
    assert tails[1] < 0.5 * tails[0]


def test_weights_send_less_to_slow_replicas() -> None:
    speeds = [1.0] * 8 + [0.5] * 2
    fleet = Fleet(speeds=speeds, slots=4, rate=0.8 * 9 * 4 / SERVICE_S, service=exponential)
    tails = [percentile(run(fleet, balancer).latencies_s, 0.99) for balancer in (RandomChoice(), OrcaWeights())]
    assert tails[1] < 0.5 * tails[0]


def test_affinity_keeps_a_key_where_its_prefix_is_cached() -> None:
    fleet = Fleet(
        speeds=[1.0] * 10,
        slots=4,
        rate=0.5 * 40 / SERVICE_S,
        service=exponential,
        keys=lambda rng: rng.randrange(200),
        cache_len=25,
        cached_share=0.5,
    )
    hits = [run(fleet, balancer).cache_hits for balancer in (LeastRequest(), Affinity(10))]
    assert hits[0] < 0.2
    assert hits[1] > 0.8


def test_the_same_seed_is_the_same_run() -> None:
    fleet = Fleet(speeds=[1.0] * 3, slots=2, rate=40, service=exponential)
    assert run(fleet, LeastRequest(), 5000) == run(fleet, LeastRequest(), 5000)
