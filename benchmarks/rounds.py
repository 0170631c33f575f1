"""Runs workloads on contenders in rounds: one contender is loaded at a time, and the others are stopped meanwhile."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders import Ask, Bare, Contender
from benchmarks.grpc_client import Sampling
from benchmarks.load import load_generator
from benchmarks.prompts import Prompts
from benchmarks.streams import Arrivals, require_whole

_WARM_UP_TOKENS = 4
_WARM_UP_PROMPT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one burst asks for.

    gap_s: time between the arrivals of two streams; 0 sends them together. turns: for each stream's client the lengths
    of the answers that it asks for, one after the other; empty for one answer of num_tokens each.
    """

    name: str
    num_streams: int
    prompt_len: int
    num_tokens: int
    sampling: Sampling = Sampling.SAMPLED
    gap_s: float = 0.0
    turns: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What one contender did with one workload in one round. CPU times are of the whole burst."""

    contender: str
    workload: str
    round: int
    streams: list[Arrivals]
    server_cpu_s: float
    client_cpu_s: float

    def raw(self) -> dict[str, object]:
        fields = {key: getattr(self, key) for key in ("contender", "workload", "round", "server_cpu_s", "client_cpu_s")}
        return fields | {"streams": [stream.raw() for stream in self.streams]}


@dataclass(slots=True)
class Bursts:
    """All bursts, found again by contender and workload, in the order of rounds."""

    all: list[Burst] = field(default_factory=list)

    def of(self, contender: str, workload: str) -> list[Burst]:
        return [burst for burst in self.all if (burst.contender, burst.workload) == (contender, workload)]

    def values(self, contender: str, workload: str, value: Callable[[Sequence[Arrivals]], float]) -> list[float]:
        """One value for each round."""
        return [value(burst.streams) for burst in self.of(contender, workload)]


AnyContender = Contender | Bare


def measure(
    contenders: Sequence[AnyContender],
    plan: Callable[[AnyContender], Iterable[Workload]],
    rounds: int,
) -> Bursts:
    """Starts every contender and runs each workload on all whose plan has it, one right after the other, in rounds.

    So what is compared lies seconds apart, on a machine whose speed changes with the minutes. The order rotates.
    """
    bursts, prompts = Bursts(), Prompts()
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            contender.start()
            stack.callback(contender.process.stop)
            contender.process.pause()
        plans = {contender.name: list(plan(contender)) for contender in contenders}
        workloads = list(dict.fromkeys(workload for planned in plans.values() for workload in planned))
        for number in range(rounds):
            for workload in workloads:
                takers = [contender for contender in contenders if workload in plans[contender.name]]
                for place in range(len(takers)):
                    contender = takers[(place + number) % len(takers)]
                    with loaded(contender):
                        warm_up(contender, workload.num_streams, workload.sampling, prompts)
                        bursts.all.append(_burst(contender, workload, prompts, number))
            print(f"round {number + 1} of {rounds} done", flush=True)
    return bursts


@contextlib.contextmanager
def loaded(contender: AnyContender) -> Iterator[None]:
    """Lets a stopped contender run for as long as the block does."""
    contender.process.resume()
    try:
        yield
    finally:
        contender.process.require_alive()
        contender.process.pause()


def warm_up(contender: AnyContender, num_streams: int, sampling: Sampling, prompts: Prompts) -> None:
    """Runs a few tokens of as many streams: pages, connections and caches are as in a server that has been busy."""
    short = [prompts.take(_WARM_UP_PROMPT) for _ in range(num_streams)]
    if isinstance(contender, Bare):
        contender.burst(short, _WARM_UP_TOKENS)
    else:
        contender.run([[Ask(ids=ids, num_tokens=_WARM_UP_TOKENS, sampling=sampling)] for ids in short])


def _burst(contender: AnyContender, workload: Workload, prompts: Prompts, number: int) -> Burst:
    lengths = workload.turns or ((workload.num_tokens,),) * workload.num_streams
    clients = [
        [Ask(ids=prompts.take(workload.prompt_len), num_tokens=n, sampling=workload.sampling) for n in turns]
        for turns in lengths
    ]
    client = load_generator().process
    server_s, client_s = contender.process.cpu_s(), client.cpu_s()
    if isinstance(contender, Bare):
        heard = [[row] for row in contender.burst([ask.ids for (ask,) in clients], workload.num_tokens)]
    else:
        heard = contender.run(clients, gap_s=workload.gap_s)
    used = (contender.process.cpu_s() - server_s, client.cpu_s() - client_s)
    for asks, answers in zip(clients, heard, strict=True):
        for ask, answer in zip(asks, answers, strict=True):
            require_whole([answer], ask.num_tokens)
    return Burst(
        contender=contender.name,
        workload=workload.name,
        round=number,
        streams=[answer for answers in heard for answer in answers],
        server_cpu_s=used[0],
        client_cpu_s=used[1],
    )
