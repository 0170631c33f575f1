"""R2: streams whose replica is killed go on at another one, and callers read what an unbroken stream would say."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import trivium
from trials.fleet import Fleet, await_that
from trials.results import keep
from trivium_models.store import Store

MODEL = "smollm2-135m-instruct"
SERVICE = "trivium.v1.TextGenerationService"
NUM_STREAMS = 6
NUM_TOKENS = 120
NUM_KILLS = 5
# Three models on a few cores: one thread each.
SETTINGS = {"TRIVIUM_RUNTIME_INTRA_OP_THREADS": "1"}


@dataclass(slots=True)
class Reading:
    """What one caller has read so far, and how its stream failed."""

    text: str = ""
    failure: trivium.TriviumError | None = None


async def read(client: trivium.AsyncClient, seed: int, reading: Reading) -> Reading:
    try:
        async for delta in client.text.stream(
            f"Tell me story number {seed}.",
            model=MODEL,
            seed=seed,
            max_output_tokens=NUM_TOKENS,
            min_output_tokens=NUM_TOKENS,
        ):
            reading.text += delta.text
    except trivium.TriviumError as error:
        reading.failure = error
    return reading


async def unbroken(target: str, seeds: range) -> list[str]:
    async with trivium.AsyncClient(target) as client:
        readings = await asyncio.gather(*(read(client, seed, Reading()) for seed in seeds))
    assert not any(reading.failure for reading in readings)
    return [reading.text for reading in readings]


async def broken(fleet: Fleet, seeds: range, victim: int, max_attempts: int) -> tuple[int, list[Reading]]:
    """Reads all streams, and kills a replica once all have begun; returns how many of its streams that broke."""
    envoy = fleet.envoys[0]
    replica = fleet.replicas[victim]
    readings = [Reading() for _ in seeds]
    async with trivium.AsyncClient(envoy.target, retry=trivium.RetryPolicy(max_attempts=max_attempts)) as client:
        tasks = [
            asyncio.create_task(read(client, seed, reading)) for seed, reading in zip(seeds, readings, strict=True)
        ]
        end_s = time.monotonic() + 60
        while not all(len(reading.text) > 40 for reading in readings):
            assert time.monotonic() < end_s, "the streams do not begin"
            await asyncio.sleep(0.02)
        under_way = await asyncio.to_thread(envoy.calls_under_way)
        replica.kill()
        await asyncio.gather(*tasks)
    return under_way[replica.port], readings


@pytest.mark.timeout(1800)
def test_streams_of_a_killed_replica_go_on_elsewhere(tmp_path: Path) -> None:
    store = Store().pull(MODEL).folder.parent
    num_broken = num_same = num_streams = 0
    with Fleet(tmp_path, store, MODEL, settings=SETTINGS) as fleet:
        fleet.await_healthy(SERVICE)
        for number in range(NUM_KILLS):
            seeds = range(number * NUM_STREAMS, (number + 1) * NUM_STREAMS)
            wanted = asyncio.run(unbroken(fleet.envoys[0].target, seeds))
            victim = number % len(fleet.replicas)
            exposed, readings = asyncio.run(broken(fleet, seeds, victim, max_attempts=4))
            num_broken += exposed
            num_streams += len(readings)
            print(*(reading.failure for reading in readings if reading.failure))
            num_same += sum(reading.text == text for reading, text in zip(readings, wanted, strict=True))
            fleet.replicas[victim].start()
            fleet.await_ready(fleet.replicas[victim])
            fleet.await_healthy(SERVICE)
    keep(
        "R2",
        passed=num_same == num_streams and num_broken >= NUM_KILLS,
        load=f"{NUM_STREAMS} streams of {NUM_TOKENS} tokens at once, with seeds, 3 replicas",
        faults=f"{NUM_KILLS} SIGKILLs, {num_broken} streams on the victims",
        outcome=f"{num_same} of {num_streams} texts are those of unbroken streams, to the byte",
    )
    assert num_broken >= NUM_KILLS
    assert num_same == num_streams


@pytest.mark.timeout(600)
def test_control_without_further_attempts_only_those_streams_break(tmp_path: Path) -> None:
    """The control: with one attempt, the streams of the victim fail as lost, and only those."""
    store = Store().pull(MODEL).folder.parent
    with Fleet(tmp_path, store, MODEL, settings=SETTINGS) as fleet:
        fleet.await_healthy(SERVICE)
        exposed, readings = asyncio.run(broken(fleet, range(NUM_STREAMS), 0, max_attempts=1))
        await_that(lambda: len(fleet.envoys[0].healthy(SERVICE)) == 2, "the dead replica gets no calls")
    lost = [reading.failure for reading in readings if reading.failure]
    assert exposed >= 1
    assert len(lost) == exposed
    assert all(isinstance(failure, trivium.errors.ConnectionLost) for failure in lost)
