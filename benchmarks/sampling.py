"""How long choosing the next tokens takes, between two runs of a real model: eight rows, for several parameters.

In one process and without gRPC, because nothing outside a server can see it. Beside it, the softmax of a whole
vocabulary, which most parameters spare.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import command_line, machine
from benchmarks.prompts import Prompts, model_folder
from benchmarks.report import Report, Table, spread
from trivium_server.architectures.genai_folder import read_genai_folder
from trivium_server.decoding.decoder import Decoder
from trivium_server.decoding.sampling import Logits, Sampler, SamplingParameters, choose
from trivium_server.runtime.session import Session, SessionOptions

_ROWS = 8
_PARAMETERS = {
    "greedy": SamplingParameters(temperature=0.0),
    "temperature 0.2, top-p 0.9": SamplingParameters(temperature=0.2, top_p=0.9),
    "temperature 0.7, top-p 0.9": SamplingParameters(temperature=0.7, top_p=0.9),
    "temperature 0.7, top-k 40": SamplingParameters(temperature=0.7, top_k=40),
    "temperature 1, min-p 0.05": SamplingParameters(temperature=1.0, min_p=0.05),
    "temperature 1": SamplingParameters(temperature=1.0),
}
_SOFTMAX = "softmax in numpy, at temperature 0.7"
_NOTES = f"""\
- Milliseconds for all {_ROWS} rows of a step, right after the model ran, when its caches are as they are in a server.
- Medians of a round's steps, with the range over rounds. The ways take turns, step by step.
"""

Way = Callable[[Logits], Sequence[int]]


def main() -> None:
    given = command_line.parse(__doc__, rounds=5, uses_peers=False)
    steps = 10 if given.quick else 40
    decoder, ways = _decoder(given.threads), _ways()
    samples: dict[str, list[float]] = {name: [] for name in ("model", *ways)}
    for number in range(given.rounds):
        for name, taken in _round(decoder, ways, steps).items():
            samples[name].append(1000 * statistics.median(taken))
        print(f"round {number + 1} of {given.rounds} done", flush=True)
    rows = [[name, spread(values, 2)] for name, values in samples.items()]
    report = Report(
        name="sampling",
        title="Choosing tokens",
        notes=_NOTES,
        facts=machine.describe() | {"threads of the model": str(given.threads)},
        tables=[Table(title="Milliseconds per step", columns=["", "ms"], rows=rows)],
        samples=dict(samples),
    )
    report.write(given.results)


def _decoder(threads: int) -> Decoder:
    folder = read_genai_folder(model_folder(), precision="default")
    options = SessionOptions(
        intra_op_threads=threads, spin_duration_us=200, execution_providers=("CPUExecutionProvider",)
    )
    return Decoder(
        Session(folder.graph, options),
        folder.names,
        num_layers=folder.num_layers,
        vocabulary_size=folder.vocabulary_size,
        slots=_ROWS,
        capacity=4096,
    )


def _ways() -> dict[str, Way]:
    vocabulary = read_genai_folder(model_folder(), precision="default").vocabulary_size

    def sampled(parameters: SamplingParameters) -> Way:
        samplers = [(Sampler(parameters, prompt_ids=[1], vocabulary_size=vocabulary), None) for _ in range(_ROWS)]

        def choose_all(logits: Logits) -> Sequence[int]:
            return [token or 0 for token in choose(samplers, logits)]

        return choose_all

    def softmax(logits: Logits) -> Sequence[int]:
        for row in logits:
            weights = np.exp((row - row.max()) / np.float32(0.7))
            weights /= weights.sum()
        return list(logits.argmax(axis=1))

    return {name: sampled(parameters) for name, parameters in _PARAMETERS.items()} | {_SOFTMAX: softmax}


def _round(decoder: Decoder, ways: dict[str, Way], steps: int) -> dict[str, list[float]]:
    prompts = Prompts()
    for slot in reversed(range(decoder.cache.num_live)):
        decoder.cache.remove(slot)
    tokens = []
    for _ in range(_ROWS):
        ids = prompts.take(64)
        decoder.prefill(np.array(ids, np.int64), 0, want_logits=False)
        decoder.cache.append_staged(len(ids))
        tokens.append(ids[-1])
    taken: dict[str, list[float]] = {name: [] for name in ("model", *ways)}
    for _ in range(steps):
        for name, way in ways.items():
            begun = time.perf_counter()
            logits = decoder.decode(list(tokens))
            ran = time.perf_counter()
            tokens = [int(token) for token in way(logits)]
            taken["model"].append(ran - begun)
            taken[name].append(time.perf_counter() - ran)
    return taken


if __name__ == "__main__":
    main()
