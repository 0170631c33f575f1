"""Runs workloads on contenders in rounds: one contender is loaded at a time, and the others are stopped meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.contenders import Bare, Contender, run_together
from benchmarks.grpc_client import Sampling
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


async def measure(
    contenders: Sequence[AnyContender],
    plan: Callable[[AnyContender], Iterable[Workload]],
    rounds: int,
) -> Bursts:
    """Starts every contender and runs each workload on all whose plan has it, one right after the other, in rounds.

    So what is compared lies seconds apart, on a machine whose speed changes with the minutes. The order rotates.
    """
    bursts, prompts = Bursts(), Prompts()
    async with contextlib.AsyncExitStack() as stack:
        for contender in contenders:
            contender.start()
            stack.push_async_callback(contender.close)
            if not isinstance(contender, Bare):
                await contender.open()
            contender.process.pause()
        plans = {contender.name: list(plan(contender)) for contender in contenders}
        workloads = list(dict.fromkeys(workload for planned in plans.values() for workload in planned))
        for number in range(rounds):
            for workload in workloads:
                takers = [contender for contender in contenders if workload in plans[contender.name]]
                for place in range(len(takers)):
                    contender = takers[(place + number) % len(takers)]
                    with loaded(contender):
                        await warm_up(contender, workload.num_streams, workload.sampling, prompts)
                        bursts.all.append(await _burst(contender, workload, prompts, number))
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


async def warm_up(contender: AnyContender, num_streams: int, sampling: Sampling, prompts: Prompts) -> None:
    """Runs a few tokens of as many streams: pages, connections and caches are as in a server that has been busy."""
    short = [prompts.take(_WARM_UP_PROMPT) for _ in range(num_streams)]
    if isinstance(contender, Bare):
        contender.burst(short, _WARM_UP_TOKENS)
    else:
        await run_together(contender, short, _WARM_UP_TOKENS, sampling)


async def _burst(contender: AnyContender, workload: Workload, prompts: Prompts, number: int) -> Burst:
    server, client = contender.process.cpu_s(), time.process_time()
    if workload.turns and not isinstance(contender, Bare):
        streams = await _turns(contender, workload, prompts)
    else:
        asked = [prompts.take(workload.prompt_len) for _ in range(workload.num_streams)]
        if isinstance(contender, Bare):
            streams = await asyncio.to_thread(contender.burst, asked, workload.num_tokens)
        else:
            streams = await run_together(contender, asked, workload.num_tokens, workload.sampling, workload.gap_s)
        require_whole(streams, workload.num_tokens)
    return Burst(
        contender=contender.name,
        workload=workload.name,
        round=number,
        streams=streams,
        server_cpu_s=contender.process.cpu_s() - server,
        client_cpu_s=time.process_time() - client,
    )


async def _turns(contender: Contender, workload: Workload, prompts: Prompts) -> list[Arrivals]:
    """Runs a client for each stream; each asks anew as soon as its last answer is there."""

    async def client(lengths: Sequence[int]) -> list[Arrivals]:
        heard = []
        for length in lengths:
            stream = await contender.stream(prompts.take(workload.prompt_len), length, workload.sampling, [])
            require_whole([stream], length)
            heard.append(stream)
        return heard

    return [stream for heard in await asyncio.gather(*map(client, workload.turns)) for stream in heard]
