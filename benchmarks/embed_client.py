"""The clients, in a process of their own. Runs work on one server and says how long it took.

Reads pieces of work from standard input, one JSON line each. Connects, warms up, answers with the line `ready`, starts
when the next line comes, and answers with one JSON line:

- {"texts", "stream": true, "for_s"}: one StreamEmbed with all texts; with `for_s` over and over for that long. Answers
  {"count", "elapsed_s", "cpu_s"}; cpu_s is this process's own.
- {"texts", "size", "callers", "for_s", "pause_s"}: so many callers, each with a connection of its own, share the texts
  and call with `size` at a time, pausing between two calls. Answers with "durations_s" of the calls too.
- {"texts", "vectors": true}: answers {"vectors"}.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypedDict

from benchmarks.embed_callers import Caller, TriviumCaller, caller


class Work(TypedDict, total=False):
    """As above."""

    texts: list[str]
    stream: bool
    vectors: bool
    size: int
    callers: int
    for_s: float
    pause_s: float


class Done(TypedDict, total=False):
    """As above."""

    count: int
    elapsed_s: float
    cpu_s: float
    durations_s: list[float]
    vectors: list[list[float]]


def _source(work: Work) -> Iterator[str]:
    if "for_s" not in work:
        yield from work["texts"]
        return
    end = time.monotonic() + work["for_s"]
    for text in itertools.cycle(work["texts"]):
        if time.monotonic() >= end:
            return
        yield text


async def _stream(work: Work, one: Caller) -> Done:
    assert isinstance(one, TriviumCaller), "the others have no stream"
    return Done(count=await one.stream(_source(work)))


async def _calls(work: Work, callers: Sequence[Caller]) -> Done:
    source, size, pause_s = _source(work), work["size"], work.get("pause_s", 0.0)
    durations: list[float] = []
    count = 0

    async def drive(one: Caller) -> None:
        nonlocal count
        while texts := list(itertools.islice(source, size)):
            sent = time.monotonic()
            await one.embed(texts)
            durations.append(time.monotonic() - sent)
            count += len(texts)
            if pause_s:
                await asyncio.sleep(pause_s)

    await asyncio.gather(*map(drive, callers))
    return Done(count=count, durations_s=durations)


async def _do(work: Work, protocol: str, address: str, model: str) -> Done:
    callers = [caller(protocol, address, model) for _ in range(work.get("callers", 1))]
    await asyncio.gather(*(one.open() for one in callers))
    try:
        await asyncio.gather(*(one.embed(work["texts"][:1]) for one in callers))
        print("ready", flush=True)
        sys.stdin.readline()
        cpu, started = time.process_time(), time.monotonic()
        if work.get("vectors"):
            done = Done(vectors=(await callers[0].embed(work["texts"])).tolist())
        elif work.get("stream"):
            done = await _stream(work, callers[0])
        else:
            done = await _calls(work, callers)
        done["elapsed_s"], done["cpu_s"] = time.monotonic() - started, time.process_time() - cpu
        return done
    finally:
        await asyncio.gather(*(one.close() for one in callers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=("trivium", "litserve", "bentoml", "infinity"))
    parser.add_argument("address", help="host:port")
    parser.add_argument("model", help="what the server calls the model")
    given = parser.parse_args()
    while line := sys.stdin.readline():
        done = asyncio.run(_do(json.loads(line), given.protocol, given.address, given.model))
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
