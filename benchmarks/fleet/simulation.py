"""A fleet of replicas behind one balancer, simulated event by event. Pure: the same seed gives the same run.

A replica serves so many requests at once, first come first served, and the others wait there: a request that was sent
to a replica stays with it, as a call through Envoy does.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Arrival", "Balancer", "Fleet", "Outcome", "Replica", "simulate", "waiting_probability"]

ServiceTime = Callable[[random.Random], float]


@dataclass(slots=True)
class Replica:
    """speed: how much faster than the service time says. cached: the latest keys, whose requests are cheaper."""

    slots: int
    speed: float
    cache_len: int = 0
    running: int = 0
    finished: int = 0
    busy_s: float = 0.0
    queue: deque["Arrival"] = field(default_factory=deque)
    cached: dict[int, None] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Running and waiting."""
        return self.running + len(self.queue)

    def remember(self, key: int) -> bool:
        """Makes the key the latest one, and tells whether it was still there."""
        was_there = key in self.cached
        self.cached.pop(key, None)
        self.cached[key] = None
        if len(self.cached) > self.cache_len:
            del self.cached[next(iter(self.cached))]
        return was_there


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request. key: whose it is, or what its prompt begins with."""

    number: int
    at_s: float
    key: int


class Balancer(Protocol):
    """Chooses replicas."""

    def choose(self, replicas: Sequence[Replica], arrival: Arrival, rng: random.Random, /) -> int:
        """Returns the index of the replica that gets the request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is simulated. Times in seconds.

    rate: requests a second. service: the time of a request on a replica of speed 1. speeds: one for each replica.
    keys: chooses whose a request is. cached_share: what of the service time is left where the replica has the key.
    """

    speeds: Sequence[float]
    slots: int
    rate: float
    service: ServiceTime
    keys: Callable[[random.Random], int] = lambda _rng: 0
    cache_len: int = 0
    cached_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """latencies_s: from arrival to answer, in order of arrival. utilization: the share of slots that were busy."""

    latencies_s: Sequence[float]
    throughput: float
    utilization: float
    cache_hits: float


def simulate(fleet: Fleet, balancer: Balancer, *, num_requests: int, seed: int) -> Outcome:
    """Sends so many requests at random times (Poisson) and leaves out the first tenth, while the fleet fills."""
    return _Run(fleet, balancer, random.Random(seed)).outcome(num_requests)


class _Run:
    def __init__(self, fleet: Fleet, balancer: Balancer, rng: random.Random) -> None:
        self._fleet = fleet
        self._balancer = balancer
        self._rng = rng
        self._replicas = [Replica(fleet.slots, speed, fleet.cache_len) for speed in fleet.speeds]
        self._endings: list[tuple[float, int, int, Arrival]] = []  # when, which request, on which replica, the request
        self._latencies: dict[int, float] = {}
        self._hits = 0

    def outcome(self, num_requests: int) -> Outcome:
        now_s = 0.0
        for number in range(num_requests):
            now_s += self._rng.expovariate(self._fleet.rate)
            while self._endings and self._endings[0][0] <= now_s:
                self._end_one()
            self._arrive(Arrival(number, now_s, self._fleet.keys(self._rng)))
        while self._endings:
            now_s = self._end_one()
        slots_s = now_s * self._fleet.slots * len(self._replicas)
        return Outcome(
            latencies_s=[self._latencies[number] for number in range(num_requests // 10, num_requests)],
            throughput=num_requests / now_s,
            utilization=sum(replica.busy_s for replica in self._replicas) / slots_s,
            cache_hits=self._hits / num_requests,
        )

    def _arrive(self, arrival: Arrival) -> None:
        index = self._balancer.choose(self._replicas, arrival, self._rng)
        replica = self._replicas[index]
        if replica.running < replica.slots:
            self._begin(index, arrival, arrival.at_s)
        else:
            replica.queue.append(arrival)

    def _begin(self, index: int, arrival: Arrival, now_s: float) -> None:
        replica = self._replicas[index]
        replica.running += 1
        took_s = self._fleet.service(self._rng) / replica.speed
        if replica.cache_len and replica.remember(arrival.key):
            self._hits += 1
            took_s *= self._fleet.cached_share
        replica.busy_s += took_s
        heapq.heappush(self._endings, (now_s + took_s, arrival.number, index, arrival))

    def _end_one(self) -> float:
        now_s, number, index, arrival = heapq.heappop(self._endings)
        replica = self._replicas[index]
        replica.running -= 1
        replica.finished += 1
        self._latencies[number] = now_s - arrival.at_s
        if replica.queue:
            self._begin(index, replica.queue.popleft(), now_s)
        return now_s


def waiting_probability(slots: int, load: float) -> float:
    """Erlang's C: the share of requests that wait, of a queue with so many servers. load: arrival over service rate."""
    terms = [load**k / math.factorial(k) for k in range(slots)]
    last = load**slots / math.factorial(slots) * slots / (slots - load)
    return last / (sum(terms) + last)
