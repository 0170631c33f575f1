"""How a balancer chooses, as Envoy's policies of these names do: random, least request, ORCA weights, affinity."""

import heapq
import random
from bisect import bisect_left
from collections.abc import Sequence

from benchmarks.fleet.simulation import Arrival, Replica

__all__ = ["Affinity", "LeastRequest", "OrcaWeights", "RandomChoice"]


class RandomChoice:
    """Any replica."""

    def choose(self, replicas: Sequence[Replica], _arrival: Arrival, rng: random.Random) -> int:
        return rng.randrange(len(replicas))


class LeastRequest:
    """Of so many random replicas the one with the fewest requests in flight."""

    def __init__(self, choices: int = 2) -> None:
        self._choices = choices

    def choose(self, replicas: Sequence[Replica], _arrival: Arrival, rng: random.Random) -> int:
        sample = [rng.randrange(len(replicas)) for _ in range(self._choices)]
        return min(sample, key=lambda index: replicas[index].in_flight)


class OrcaWeights:
    """Round robin by weights: requests served for the utilization that a replica reports, taken anew every second.

    The reported utilization is the share of busy slots over that second.
    """

    def __init__(self, update_s: float = 1.0) -> None:
        self._update_s = update_s
        self._next_s = update_s
        self._seen: list[tuple[int, float]] = []
        self._weights: list[float] = []
        self._turns: list[tuple[float, int]] = []

    def choose(self, replicas: Sequence[Replica], arrival: Arrival, rng: random.Random) -> int:
        if not self._weights:
            self._weights = [1.0] * len(replicas)
            self._seen = [(0, 0.0)] * len(replicas)
            self._schedule(rng)
        if arrival.at_s >= self._next_s:
            self._update(replicas)
            self._schedule(rng)
            self._next_s = arrival.at_s + self._update_s
        due, index = self._turns[0]
        heapq.heapreplace(self._turns, (due + 1 / self._weights[index], index))
        return index

    def _update(self, replicas: Sequence[Replica]) -> None:
        told: list[float | None] = []
        for index, replica in enumerate(replicas):
            finished, busy_s = self._seen[index]
            served, used_s = replica.finished - finished, replica.busy_s - busy_s
            self._seen[index] = (replica.finished, replica.busy_s)
            told.append(served / used_s if served and used_s > 0 else None)
        known = [weight for weight in told if weight is not None]
        usual = sum(known) / len(known) if known else 1.0
        self._weights = [usual if weight is None else weight for weight in told]

    def _schedule(self, rng: random.Random) -> None:
        self._turns = [(rng.random() / weight, index) for index, weight in enumerate(self._weights)]
        heapq.heapify(self._turns)


class Affinity:
    """A ring of hashes: a key has one replica, and the next ones of the ring where that is too full.

    max_load: how many times the mean of requests in flight a replica may have.
    """

    def __init__(self, num_replicas: int, *, max_load: float = 1.5, points: int = 100, seed: int = 1) -> None:
        rng = random.Random(seed)
        placed = sorted((rng.random(), index) for index in range(num_replicas) for _ in range(points))
        self._places = [place for place, _ in placed]
        self._owners = [index for _, index in placed]
        self._max_load = max_load
        self._in_flight_mean = 0.0

    def choose(self, replicas: Sequence[Replica], arrival: Arrival, rng: random.Random) -> int:
        # A moving mean: counting all replicas for each request would take longer than the rest.
        sampled = replicas[rng.randrange(len(replicas))].in_flight
        self._in_flight_mean += (sampled - self._in_flight_mean) / 256
        limit = self._max_load * (self._in_flight_mean + 1)
        start = bisect_left(self._places, random.Random(arrival.key).random())
        for step in range(len(self._owners)):
            index = self._owners[(start + step) % len(self._owners)]
            if replicas[index].in_flight < limit:
                return index
        return self._owners[start % len(self._owners)]
