"""Generated and prompt tokens per second of our server, beside its limit and its peers.

The limit is a bare onnxruntime loop on the graph that the server runs. The peers are llama.cpp's HTTP server on the
GGUF file that the graph was exported from, and onnxruntime-genai behind our own RPC on the exported folder. All get the
same token ids, as many threads, and are asked for answers of one exact length. One is loaded at a time, in rounds; the
others are stopped. Ratios are taken within a round.
"""

import random
import statistics
from collections.abc import Iterable, Iterator, Sequence

from benchmarks import command_line, machine
from benchmarks.contenders import Bare, Genai, LlamaCpp, Trivium
from benchmarks.grpc_client import Sampling
from benchmarks.report import Report, Table, paired, spread
from benchmarks.rounds import AnyContender, Bursts, Workload, measure
from benchmarks.streams import Arrivals, span_rate, steady_rate, whole_rate
from benchmarks.weights import gguf_file

_NOTES = """\
- Steady: tokens of all streams after each had its first and until the first had its last, per second. All streams have
  the same length, so no prompt is read in that window. `*`: they never ran all together; from the first to the last
  token instead, later prompts included.
- Whole: tokens per second from the first request to the last token, prompts and waiting included.
- Uneven answers: 8 clients, each with 4 requests one after the other, of 8 to 128 tokens (log-uniform, seed 8), so
  that requests join and leave all the time, as in service.
- Prompt: prompt tokens divided by the time to the first token, one client.
- Ours samples with temperature 0.2 and top-p 0.9 unless the row says otherwise; llama.cpp the same, with its own top-k
  of 40; onnxruntime-genai and the bare loop take the likeliest token, which is cheaper.
- The requests come from a small Go program (load_generator) on the same processors, to all that are served.
- Medians, with the range over rounds. Ratios are within rounds, against the better variant of each peer.
"""


# The server's default of runtime.spin_duration_us; the limit is the better of it and onnxruntime's own default.
_OUR_SPIN_US = 200


class Plan:
    """The workloads, and who runs which."""

    def __init__(self, *, quick: bool) -> None:
        tokens, prompt = (16, 32) if quick else (128, 64)
        self.one = Workload(name="1 stream", num_streams=1, prompt_len=prompt, num_tokens=tokens)
        self.eight = Workload(name="8 streams", num_streams=8, prompt_len=prompt, num_tokens=tokens)
        gap_s = 0.1 if quick else 0.25
        self.staggered = Workload(
            name=f"8 streams, {gap_s} s apart", num_streams=8, prompt_len=prompt, num_tokens=tokens, gap_s=gap_s
        )
        rng = random.Random(8)
        turns = tuple(tuple(round(8 * 16 ** rng.random()) for _ in range(1 if quick else 4)) for _ in range(8))
        self.uneven = Workload(
            name="8 clients, uneven answers", num_streams=8, prompt_len=prompt, num_tokens=tokens, turns=turns
        )
        lengths = (128, 256) if quick else (512, 1000)
        self.prompts = [
            Workload(name=f"prompt of {n} tokens", num_streams=1, prompt_len=n, num_tokens=2) for n in lengths
        ]
        self.own = [
            _variant(self.one, "greedy", Sampling.GREEDY),
            _variant(self.one, "seeded", Sampling.SEEDED),
            _variant(self.eight, "greedy", Sampling.GREEDY),
            _variant(self.eight, "seeded", Sampling.SEEDED),
        ]

    def of(self, contender: AnyContender) -> Iterable[Workload]:
        yield self.one
        yield self.eight
        if not isinstance(contender, Bare):
            yield self.staggered
            yield self.uneven
        yield from self.prompts
        if isinstance(contender, Trivium):
            yield from self.own


def _variant(base: Workload, word: str, sampling: Sampling) -> Workload:
    return Workload(
        name=f"{base.name}, {word}",
        num_streams=base.num_streams,
        prompt_len=base.prompt_len,
        num_tokens=base.num_tokens,
        sampling=sampling,
    )


def _steady(streams: Sequence[Arrivals]) -> float:
    return steady_rate(streams) or span_rate(streams)


RATES = {"steady": _steady, "whole": whole_rate}


class Results:
    """Tables over the bursts. ours: the first of our own servers, as it comes; families by their first word."""

    def __init__(self, bursts: Bursts, names: Sequence[str], plan: Plan) -> None:
        self._bursts, self._names, self._plan = bursts, names, plan

    def tables(self) -> Iterator[Table]:
        plan = self._plan
        yield self._rates("Steady decode, tokens/s", "steady", [plan.one, plan.eight])
        yield self._rates("Whole, tokens/s", "whole", [plan.one, plan.eight, plan.staggered, plan.uneven])
        yield self._prompt_rates()
        yield self._own()
        yield self._cpu()
        yield self._ratios()
        yield self._verdicts()

    def values(self, name: str, workload: Workload, rate: str) -> list[float]:
        if rate == "prompt":
            return [workload.prompt_len / burst.streams[0].ttft_s for burst in self._bursts.of(name, workload.name)]
        return self._bursts.values(name, workload.name, RATES[rate])

    def _rates(self, title: str, rate: str, workloads: Sequence[Workload]) -> Table:
        rows = [[name, *(self._cell(name, w, rate) for w in workloads)] for name in self._names]
        return Table(title=title, columns=["", *(w.name for w in workloads)], rows=rows)

    def _cell(self, name: str, workload: Workload, rate: str) -> str:
        bursts = self._bursts.of(name, workload.name)
        apart = rate == "steady" and any(steady_rate(burst.streams) is None for burst in bursts)
        return spread(self.values(name, workload, rate)) + ("*" if apart else "")

    def _prompt_rates(self) -> Table:
        rows = [[name, *(spread(self.values(name, w, "prompt")) for w in self._plan.prompts)] for name in self._names]
        return Table(title="Prompt, tokens/s", columns=["", *(w.name for w in self._plan.prompts)], rows=rows)

    def _own(self) -> Table:
        rows = []
        for name in (name for name in self._names if name.startswith("trivium")):
            for own in self._plan.own:
                base = self._plan.one if own.num_streams == 1 else self._plan.eight
                values, sampled = self.values(name, own, "steady"), self.values(name, base, "steady")
                rows.append([name, own.name, spread(values), paired(values, sampled)])
        columns = ["", "", "steady tokens/s", "of the sampled, unseeded"]
        return Table(title="The price of sampling and of repeatability", columns=columns, rows=rows)

    def _cpu(self) -> Table:
        rows = []
        for name in self._names:
            cells = [name]
            for workload in (self._plan.one, self._plan.eight):
                tokens = workload.num_streams * workload.num_tokens
                bursts = self._bursts.of(name, workload.name)
                cells += [
                    spread([1000 * burst.server_cpu_s / tokens for burst in bursts], 2),
                    spread([1000 * burst.client_cpu_s / tokens for burst in bursts], 2),
                ]
            rows.append(cells)
        columns = ["", "server, 1 stream", "client, 1 stream", "server, 8 streams", "client, 8 streams"]
        return Table(title="CPU milliseconds per token, prompts included", columns=columns, rows=rows)

    def _ratios(self) -> Table:
        plan = self._plan
        wanted = [(plan.one, "steady"), (plan.eight, "steady"), (plan.eight, "whole"), (plan.staggered, "whole")]
        wanted += [(plan.uneven, "whole")]
        wanted += [(workload, "prompt") for workload in plan.prompts]
        rows = []
        for ours in (name for name in self._names if name.startswith("trivium")):
            for family in ("bare loop", "llama.cpp", "genai"):
                cells = [self._ratio_cell(ours, family, workload, rate) for workload, rate in wanted]
                rows.append([f"{ours} / {family}", *cells])
        return Table(title="Ratios", columns=["", *(f"{w.name} ({rate})" for w, rate in wanted)], rows=rows)

    def _ratio_cell(self, ours: str, family: str, workload: Workload, rate: str) -> str:
        best = self._best(family, workload, rate)
        if best is None:
            return "-"
        return paired(self.values(ours, workload, rate), self.values(best, workload, rate))

    def _best(self, family: str, workload: Workload, rate: str) -> str | None:
        names = [n for n in self._names if n.startswith(family) and self.values(n, workload, rate)]
        return max(names, key=lambda name: statistics.median(self.values(name, workload, rate)), default=None)

    def _verdicts(self) -> Table:
        plan = self._plan
        bars = [
            (plan.one, "steady", "bare loop", 0.9),
            (plan.eight, "steady", "bare loop", 0.9),
            (plan.eight, "steady", "llama.cpp", 1.4),
            (plan.eight, "steady", "genai, engine", 2.0),
            (plan.uneven, "whole", "llama.cpp", 1.4),
            (plan.staggered, "whole", "genai", 2.0),
            (plan.uneven, "whole", "genai", 2.0),
            *((workload, "prompt", "llama.cpp", 1.5) for workload in plan.prompts),
        ]
        ours = self._names[0]
        rows = []
        for workload, rate, family, at_least in bars:
            best = self._best(family, workload, rate)
            if best is None:
                continue
            pairs = zip(self.values(ours, workload, rate), self.values(best, workload, rate), strict=True)
            reached = statistics.median(a / b for a, b in pairs)
            verdict = "yes" if reached >= at_least else "NO"
            rows.append([f"{workload.name} ({rate})", best, f"{at_least:g}", f"{reached:.2f}", verdict])
        return Table(title=f"Bars for {ours}", columns=["workload", "against", "at least", "is", "reached"], rows=rows)


def main() -> None:
    given = command_line.parse(__doc__, rounds=5)
    threads = given.threads
    contenders: list[AnyContender] = [
        Trivium(threads=threads),
        Bare(threads=threads),
        Bare(threads=threads, spin_us=_OUR_SPIN_US),
    ]
    if given.peers:
        gguf = gguf_file()
        contenders += [LlamaCpp(gguf, threads=threads, flash_attention=flash) for flash in (False, True)]
        contenders += [Genai(threads=threads, mode=mode) for mode in ("lockstep", "engine")]
    plan = Plan(quick=given.quick)
    report = Report(
        name="decode",
        title="Tokens per second",
        notes=_NOTES,
        facts=machine.describe(command_line.peers_python(given)) | {"threads": str(threads)},
    )
    bursts = measure(contenders, plan.of, given.rounds)
    report.tables.extend(Results(bursts, [contender.name for contender in contenders], plan).tables())
    report.samples["bursts"] = [burst.raw() for burst in bursts.all]
    report.write(given.results)


if __name__ == "__main__":
    main()
