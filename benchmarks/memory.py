"""Start-up time and memory: from exec to ready, resident memory then, and after 200 mixed requests.

Every round starts each contender anew, with the files in the page cache. The requests go to our server only.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import command_line, grpc_client, machine
from benchmarks.contenders import Contender, Genai, LlamaCpp, Trivium
from benchmarks.mixed_requests import Mix
from benchmarks.report import Report, Table, spread
from benchmarks.weights import gguf_file
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

_NOTES = """\
- Ready: our server's health says that it can generate, after its warm-up; the peers say so themselves.
- Resident: VmRSS, which counts mapped model files too; own: RssAnon, without them. In MB of 10^6 bytes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A reading, in MB."""

    resident: float
    own: float
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of a contender."""

    ready_s: float
    memory: Memory


def _read(contender: Contender) -> Memory:
    process = contender.process
    return Memory(
        resident=process.memory_mb("VmRSS"), own=process.memory_mb("RssAnon"), peak=process.memory_mb("VmHWM")
    )


def start(contender: Contender) -> Start:
    """Starts it and reads the clock and the memory as soon as it is ready."""
    contender.start()
    return Start(ready_s=time.monotonic() - contender.process.started_s, memory=_read(contender))


async def load(server: Trivium, num_requests: int, batches: int) -> tuple[list[Memory], Counter[str]]:
    """Sends the requests, batches times over, and reads the memory after each batch."""
    ends: Counter[str] = Counter()
    readings = []
    async with grpc_client.open_channel(server.address) as channel:
        for batch in range(batches):
            ends += await Mix(TextGenerationServiceStub(channel), seed=batch).run(num_requests)
            await asyncio.sleep(1.0)
            readings.append(_read(server))
    return readings, ends


def _start_table(found: dict[str, list[Start]]) -> Table:
    rows = [
        [
            name,
            spread([start.ready_s for start in starts], 2),
            spread([start.memory.resident for start in starts], 0),
            spread([start.memory.own for start in starts], 0),
        ]
        for name, starts in found.items()
    ]
    return Table(title="Start", columns=["", "ready after s", "resident MB", "own MB"], rows=rows)


def _load_table(before: Memory, after: Sequence[Memory], num_requests: int) -> Table:
    readings = [("ready", before)]
    readings += [(f"after {(i + 1) * num_requests} mixed requests", memory) for i, memory in enumerate(after)]
    rows = [[when, f"{m.resident:.0f}", f"{m.own:.0f}", f"{m.peak:.0f}"] for when, m in readings]
    return Table(title="Trivium under load, MB", columns=["", "resident", "own", "peak resident"], rows=rows)


def main() -> None:
    given = command_line.parse(__doc__, rounds=5)
    threads, num_requests = given.threads, 20 if given.quick else 200
    report = Report(
        name="memory",
        title="Memory and start-up",
        notes=_NOTES,
        facts=machine.describe(command_line.peers_python(given)) | {"threads": str(threads)},
    )
    starts: dict[str, list[Start]] = {}
    for number in range(given.rounds):
        everybody: list[Contender] = [Trivium(threads=threads)]
        if given.peers:
            everybody.append(LlamaCpp(gguf_file(), threads=threads, flash_attention=False))
            everybody += [Genai(threads=threads, mode=mode) for mode in ("lockstep", "engine")]
        for contender in everybody:
            starts.setdefault(contender.name, []).append(start(contender))
            contender.process.stop()
        print(f"round {number + 1} of {given.rounds} done", flush=True)
    server = Trivium(threads=threads)
    before = start(server).memory
    try:
        after, ends = asyncio.run(load(server, num_requests, 1 if given.quick else 3))
        server.process.require_alive()
    finally:
        server.process.stop()
    kinds = [[kind, str(count)] for kind, count in sorted(ends.items())]
    report.tables += [
        _start_table(starts),
        _load_table(before, after, num_requests),
        Table(title="The requests", columns=["kind: how it ended", "number"], rows=kinds),
    ]
    report.samples["ready_s"] = {name: [start.ready_s for start in group] for name, group in starts.items()}
    report.samples["resident_mb"] = [before.resident, *(memory.resident for memory in after)]
    report.write(given.results)


if __name__ == "__main__":
    main()
