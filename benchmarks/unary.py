"""What a unary call costs in our server beside a bare grpc.aio handler, and how late its event loop is under load.

CountTokens of a short chat, closed loop, 1 and 32 in flight, against a handler that answers the same message with a
response of the same kind and does no work; each in a process of its own, in rounds, the other one stopped. Then eight
streams decode and the server's own probe tells how late its event loop wakes; from outside, a paced health call tells
what a caller feels.
"""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import cast

from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks import command_line, grpc_client, machine
from benchmarks.contenders import Ask, Trivium, wait_ready_line
from benchmarks.grpc_client import Sampling
from benchmarks.processes import ServerProcess, free_port
from benchmarks.prompts import MODEL, Prompts
from benchmarks.report import Report, Table, paired, percentile, spread
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

_IN_FLIGHT = (1, 32)
_PACE_S = 0.001
_NOTES = """\
- Latency and rate are seen by one asyncio client, which shares the processors with the server.
- Loop lag: by how much the server's event loop woke later than it asked to, by the probe inside the server, every
  20 ms. Health: a paced call from outside, client's own delay included.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Calls of one round: durations in seconds, and calls per second."""

    durations_s: list[float]
    rate: float
    server_cpu_s: float


class EmptyHandler:
    """The bare server."""

    name = "empty handler"

    def __init__(self) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        self.process = ServerProcess([sys.executable, "-m", "benchmarks.empty_handler", "--port", str(self._port)])
        wait_ready_line(self.process)


def _message() -> pb.CountTokensRequest:
    text = "Explain in two sentences why the sky is blue, so that a child of eight understands it."
    message = pb.ChatMessage(role=pb.CHAT_ROLE_USER, parts=[pb.ContentPart(text=text)])
    return pb.CountTokensRequest(
        input=pb.GenerationInput(model=MODEL, conversation=pb.Conversation(messages=[message]))
    )


async def _closed_loop(server: EmptyHandler | Trivium, in_flight: int, duration_s: float) -> Calls:
    """Keeps in_flight calls going for duration_s seconds, after a tenth of that to warm up."""
    durations: list[float] = []
    async with grpc_client.open_channel(server.address) as channel:
        # grpc-stubs types a stub by its own blocking channel.
        call = grpc_client.unary(TextGenerationServiceStub(channel).CountTokens)
        message = _message()

        async def worker(end_s: float, into: list[float]) -> None:
            while (sent := time.monotonic()) < end_s:
                await call(message)
                into.append(time.monotonic() - sent)

        async def drive(for_s: float, into: list[float]) -> None:
            end = time.monotonic() + for_s
            await asyncio.gather(*(worker(end, into) for _ in range(in_flight)))

        await drive(duration_s / 10, [])
        cpu, started = server.process.cpu_s(), time.monotonic()
        await drive(duration_s, durations)
        elapsed = time.monotonic() - started
    used = server.process.cpu_s() - cpu
    return Calls(durations_s=durations, rate=len(durations) / elapsed, server_cpu_s=used)


def measure_calls(ours: Trivium, rounds: int, duration_s: float) -> dict[tuple[str, int], list[Calls]]:
    """Rounds of both servers at each number in flight. Ours must run; it is stopped while the other is measured."""
    found: dict[tuple[str, int], list[Calls]] = {}
    bare = EmptyHandler()
    bare.start()
    try:
        bare.process.pause()
        ours.process.pause()
        for number in range(rounds):
            pair: list[EmptyHandler | Trivium] = [ours, bare]
            for server in pair if number % 2 == 0 else reversed(pair):
                server.process.resume()
                for in_flight in _IN_FLIGHT:
                    calls = asyncio.run(_closed_loop(server, in_flight, duration_s))
                    found.setdefault((server.name, in_flight), []).append(calls)
                server.process.pause()
    finally:
        ours.process.resume()
        bare.process.stop()
    return found


def _calls_table(found: dict[tuple[str, int], list[Calls]]) -> Table:
    rows = []
    for (name, in_flight), rounds in sorted(found.items(), key=lambda item: item[0][1]):
        durations = [duration for calls in rounds for duration in calls.durations_s]
        rates = [calls.rate for calls in rounds]
        cpu = [1e6 * calls.server_cpu_s / len(calls.durations_s) for calls in rounds]
        bare = [calls.rate for calls in found[EmptyHandler.name, in_flight]]
        p50, p99 = (f"{1000 * percentile(durations, share):.2f}" for share in (0.5, 0.99))
        rows.append([str(in_flight), name, p50, p99, spread(rates, 0), spread(cpu, 0), paired(rates, bare)])
    columns = ["in flight", "", "p50 ms", "p99 ms", "calls/s", "server CPU us/call", "rate, of the empty handler"]
    return Table(title="CountTokens", columns=columns, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How late the loop was, and how long health calls took, in seconds."""

    p99_s: float
    max_s: float
    health_s: list[float]


async def _lag_during(server: Trivium, streams: int, num_tokens: int, idle_s: float) -> Lag:
    """Measures while `streams` streams decode; with 0 streams, for idle_s seconds of nothing."""
    _read_lag(server.process)
    health: list[float] = []
    pacing = asyncio.create_task(_paced_health(server.address, health))
    if streams:
        prompts = Prompts()
        asks = [Ask(ids=prompts.take(64), num_tokens=num_tokens, sampling=Sampling.SAMPLED) for _ in range(streams)]
        await asyncio.to_thread(server.run, [[ask] for ask in asks])
    else:
        await asyncio.sleep(idle_s)
    pacing.cancel()
    await asyncio.gather(pacing, return_exceptions=True)
    lag = _read_lag(server.process)
    return Lag(p99_s=lag["p99_s"], max_s=lag["max_s"], health_s=health)


async def _paced_health(address: str, into: list[float]) -> None:
    async with grpc_client.open_channel(address) as channel:
        call = grpc_client.unary(health_pb2_grpc.HealthStub(channel).Check)
        while True:
            sent = time.monotonic()
            await call(health_pb2.HealthCheckRequest())
            into.append(time.monotonic() - sent)
            await asyncio.sleep(_PACE_S)


def _read_lag(process: ServerProcess) -> dict[str, float]:
    before = process.log_file.read_text().count('"p99_s"')
    process.send(signal.SIGUSR1)
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        lines = [line for line in process.log_file.read_text().splitlines() if line.startswith('{"p99_s"')]
        if len(lines) > before:
            return cast("dict[str, float]", json.loads(lines[-1]))  # as probed_server writes it
        time.sleep(0.01)
    raise RuntimeError(f"the probed server did not answer:\n{process.log_tail()}")


def _lag_table(found: dict[str, list[Lag]]) -> Table:
    rows = []
    for load, lags in found.items():
        health = [duration for lag in lags for duration in lag.health_s]
        lateness = [
            spread([1000 * value for value in values], 2)
            for values in ([g.p99_s for g in lags], [g.max_s for g in lags])
        ]
        rows.append([load, *lateness, *(f"{1000 * percentile(health, share):.2f}" for share in (0.5, 0.99))])
    return Table(title="Event loop, ms", columns=["load", "lag p99", "lag max", "health p50", "health p99"], rows=rows)


def main() -> None:
    given = command_line.parse(__doc__, rounds=5, uses_peers=False)
    report = Report(
        name="unary",
        title="Unary calls and the event loop",
        notes=_NOTES,
        facts=machine.describe() | {"threads": str(given.threads)},
    )
    ours = Trivium(threads=given.threads, module="benchmarks.probed_server")
    ours.start()
    try:
        calls = measure_calls(ours, given.rounds, duration_s=1.0 if given.quick else 5.0)
        tokens = 32 if given.quick else 256
        lags: dict[str, list[Lag]] = {"none": [], "8 streams": []}
        for _ in range(given.rounds):
            for load, streams in (("none", 0), ("8 streams", 8)):
                lags[load].append(asyncio.run(_lag_during(ours, streams, tokens, idle_s=2.0)))
    finally:
        ours.process.stop()
    report.tables += [_calls_table(calls), _lag_table(lags)]
    report.samples["calls_s"] = {
        f"{name}, {in_flight} in flight": [[round(d, 6) for d in c.durations_s] for c in rounds]
        for (name, in_flight), rounds in calls.items()
    }
    report.samples["lag"] = {
        load: [
            {"p99_s": lag.p99_s, "max_s": lag.max_s, "health_s": [round(d, 6) for d in lag.health_s]} for lag in group
        ]
        for load, group in lags.items()
    }
    report.write(given.results)


if __name__ == "__main__":
    main()
