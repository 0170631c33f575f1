"""Time to the first token and between tokens, at 1 and 8 streams, and while a long prompt arrives among others.

Contenders, loads and rounds as in decode. The time between tokens is that between two messages that carry tokens.
"""

import contextlib
from collections.abc import Sequence

from benchmarks import command_line, machine
from benchmarks.contenders import Ask, Contender, Genai, LlamaCpp, Trivium
from benchmarks.grpc_client import Sampling
from benchmarks.prompts import Prompts
from benchmarks.report import Report, Table, percentile
from benchmarks.rounds import AnyContender, Bursts, Workload, loaded, measure, warm_up
from benchmarks.streams import Arrivals
from benchmarks.weights import gguf_file

_NOTES = """\
- Milliseconds, seen by a small Go program on the same processors, over the streams of all rounds. All streams of a row
  are sent at once, so at 8 the time to the first token includes the prompts of the streams before.
- Long prompt: seven streams run; then a prompt arrives. `gap` is the time between tokens of the seven from its arrival
  to its first token, `before` the same streams' time between tokens before it arrived.
"""
_RUNNING = 7
_MESSAGES_BEFORE = 16


class Intrusion:
    """Seven running streams, and one long prompt that arrives among them."""

    def __init__(self, *, prompt_len: int, running_tokens: int, running_prompt: int) -> None:
        self.prompt_len = prompt_len
        self._running_tokens = running_tokens
        self._running_prompt = running_prompt

    def run(self, contender: Contender, prompts: Prompts) -> tuple[list[Arrivals], Arrivals]:
        """Returns the seven and the newcomer, which is sent once each of the seven has had some tokens."""
        ids = prompts.take(self.prompt_len)
        asks = [
            Ask(ids=prompts.take(self._running_prompt), num_tokens=self._running_tokens, sampling=Sampling.SAMPLED)
            for _ in range(_RUNNING)
        ]
        asks.append(Ask(ids=ids, num_tokens=2, sampling=Sampling.SAMPLED))
        *seven, newcomer = contender.run([[ask] for ask in asks], last_after=_MESSAGES_BEFORE)
        return [answer for (answer,) in seven], newcomer[0]


def measure_intrusions(
    contenders: Sequence[Contender], intrusion: Intrusion, rounds: int
) -> dict[str, list[tuple[list[Arrivals], Arrivals]]]:
    """Runs the intrusion on each contender in each round."""
    prompts = Prompts()
    found: dict[str, list[tuple[list[Arrivals], Arrivals]]] = {contender.name: [] for contender in contenders}
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            contender.start()
            stack.callback(contender.process.stop)
            contender.process.pause()
        for _ in range(rounds):
            for contender in contenders:
                with loaded(contender):
                    warm_up(contender, 8, Sampling.SAMPLED, prompts)
                    found[contender.name].append(intrusion.run(contender, prompts))
    return found


def _workloads(*, quick: bool) -> list[Workload]:
    prompt, tokens = (32, 16) if quick else (64, 128)
    return [
        Workload(name=f"{n} stream{'s' * (n > 1)}", num_streams=n, prompt_len=prompt, num_tokens=tokens) for n in (1, 8)
    ]


def _table(bursts: Bursts, names: Sequence[str], workloads: Sequence[Workload]) -> Table:
    rows = []
    for workload in workloads:
        for name in names:
            streams = [stream for burst in bursts.of(name, workload.name) for stream in burst.streams]
            gaps = [gap for stream in streams for gap in stream.gaps_s()]
            rows.append([workload.name, name, *_percentiles([s.ttft_s for s in streams]), *_percentiles(gaps)])
    columns = ["", "", "first p50", "first p99", "between p50", "between p99"]
    return Table(title="First token, and between tokens, ms", columns=columns, rows=rows)


def _intrusion_table(found: dict[str, list[tuple[list[Arrivals], Arrivals]]], prompt_len: int) -> Table:
    rows = []
    for name, runs in found.items():
        before, during, first = [], [], []
        for seven, newcomer in runs:
            started = max(stream.first_s for stream in seven)
            first.append(newcomer.ttft_s)
            for stream in seven:
                before += stream.gaps_s(started, newcomer.sent_s)
                during += stream.gaps_s(newcomer.sent_s, newcomer.first_s)
        rows.append(
            [name, *_percentiles(before), *_percentiles(during), _ms(max(during, default=0)), *_percentiles(first)[:1]]
        )
    columns = ["", "before p50", "before p99", "gap p50", "gap p99", "gap max", "first token of the newcomer p50"]
    return Table(title=f"A prompt of {prompt_len} tokens arrives among seven streams, ms", columns=columns, rows=rows)


def _percentiles(values_s: Sequence[float]) -> list[str]:
    return [_ms(percentile(values_s, share)) for share in (0.5, 0.99)]


def _ms(value_s: float) -> str:
    return f"{1000 * value_s:.1f}"


def _servers(threads: int, *, peers: bool) -> list[Contender]:
    servers: list[Contender] = [Trivium(threads=threads)]
    if peers:
        servers += [LlamaCpp(gguf_file(), threads=threads, flash_attention=flash) for flash in (False, True)]
        servers.append(Genai(threads=threads, mode="engine"))
    return servers


def main() -> None:
    given = command_line.parse(__doc__, rounds=5)
    report = Report(
        name="latency",
        title="Latency of streams",
        notes=_NOTES,
        facts=machine.describe(command_line.peers_python(given)) | {"threads": str(given.threads)},
    )
    workloads = _workloads(quick=given.quick)
    servers = _servers(given.threads, peers=given.peers)
    everybody: list[AnyContender] = list(servers)
    bursts = measure(everybody, lambda _: workloads, given.rounds)
    intrusion = Intrusion(
        prompt_len=256 if given.quick else 1000,
        running_tokens=64 if given.quick else 256,
        running_prompt=workloads[0].prompt_len,
    )
    # onnxruntime-genai's engine does not run seven streams together.
    joining = [server for server in _servers(given.threads, peers=given.peers) if not isinstance(server, Genai)]
    found = measure_intrusions(joining, intrusion, given.rounds)
    report.tables.append(_table(bursts, [server.name for server in servers], workloads))
    report.tables.append(_intrusion_table(found, intrusion.prompt_len))
    report.samples["bursts"] = [burst.raw() for burst in bursts.all]
    report.samples["intrusions"] = {
        name: [{"seven": [s.raw() for s in seven], "newcomer": new.raw()} for seven, new in runs]
        for name, runs in found.items()
    }
    report.write(given.results)


if __name__ == "__main__":
    main()
