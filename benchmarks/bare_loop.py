"""The limit: a loop over onnxruntime and nothing else, on the graph that the server runs.

Runs as a process of its own and shares no code with the server. Reads one JSON line for each burst from standard
input, {"prompts": [[ids]], "num_tokens": n}, and answers with one, [{"sent_s", "events"}] for each row. Rows are
decoded together, and the next token is the argmax: no requests that join, no sampling, no text, no transport.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

_LAYERS_KEY = "past_key_values.%d.%s"


class BareLoop:
    """A session with its cache for `rows` sequences of up to `capacity` tokens."""

    def __init__(self, graph: Path, *, threads: int, spin_us: int | None, rows: int, capacity: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if spin_us is not None:
            options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin_us > 0)))
            options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
        self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        inputs = {value.name: value for value in self._session.get_inputs()}
        self._num_layers = sum(name.endswith(".key") for name in inputs)
        _, heads, _, size = inputs[_LAYERS_KEY % (0, "key")].shape
        self._vocabulary = self._session.get_outputs()[0].shape[-1]
        self._cache = [np.zeros((rows, heads, capacity, size), np.float32) for _ in range(2 * self._num_layers)]
        self._steps: dict[int, _Step] = {}

    def burst(self, prompts: list[list[int]], num_tokens: int) -> list[list[float]]:
        """Continues every prompt by num_tokens tokens; returns for each row when its tokens were there."""
        rows = len(prompts)
        times: list[list[float]] = []
        tokens = np.zeros(rows, np.int64)
        for row, ids in enumerate(prompts):
            tokens[row] = self._prefill(row, ids)
            times.append([time.monotonic()])
        lengths = np.array([len(ids) for ids in prompts], np.int32)
        step = self._steps.setdefault(rows, self._bind(0, rows, 1))
        for _ in range(num_tokens - 1):
            tokens = step.run(tokens[:, None], lengths).argmax(axis=1)
            lengths += 1
            now = time.monotonic()
            for moments in times:
                moments.append(now)
        return times

    def _prefill(self, row: int, ids: list[int]) -> int:
        step = self._bind(row, row + 1, len(ids))
        logits = step.run(np.array([ids], np.int64), np.array([len(ids) - 1], np.int32))
        return int(logits[0].argmax())

    def _bind(self, first: int, last: int, num_tokens: int) -> "_Step":
        return _Step(self._session, self._vocabulary, [array[first:last] for array in self._cache], num_tokens)


class _Step:
    """A bound run of num_tokens tokens for each of some rows; arrays are updated in place from run to run."""

    def __init__(
        self, session: ort.InferenceSession, vocabulary: int, cache: list[NDArray[np.float32]], num_tokens: int
    ) -> None:
        rows = len(cache[0])
        self._session = session
        self._binding = session.io_binding()
        self._ids = np.zeros((rows, num_tokens), np.int64)
        self._seqlens = np.zeros(rows, np.int32)
        self._total = np.zeros((), np.int32)
        last = np.full(rows, num_tokens - 1)
        self._logits = np.zeros((rows, vocabulary), np.float32)
        self._inputs = {
            "input_ids": self._ids,
            "seqlens_k": self._seqlens,
            "total_sequence_length": self._total,
            "query_seqlens": np.full(rows, num_tokens, np.int32),
            "logits_idx": np.stack([np.arange(rows), last], axis=1).astype(np.int64),
        }
        for name, array in self._inputs.items():
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for index, array in enumerate(cache):
            layer, kind = index // 2, ("key", "value")[index % 2]
            value = ort.OrtValue.ortvalue_from_numpy(array)
            self._binding.bind_ortvalue_input(_LAYERS_KEY % (layer, kind), value)
            self._binding.bind_ortvalue_output(f"present.{layer}.{kind}", value)
        self._binding.bind_ortvalue_output("logits", ort.OrtValue.ortvalue_from_numpy(self._logits))
        self._options = ort.RunOptions()

    def run(self, ids: NDArray[np.int64], seqlens: NDArray[np.int32]) -> NDArray[np.float32]:
        """ids: shape (rows, num_tokens); seqlens: tokens before the last one of each row. A view is returned."""
        self._ids[:] = ids
        self._seqlens[:] = seqlens
        self._total[...] = int(seqlens.max()) + 1
        self._session.run_with_iobinding(self._binding, self._options)
        return self._logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path, help="the model's ragged.onnx")
    parser.add_argument("--threads", type=int, required=True, help="threads of a run")
    parser.add_argument("--spin-us", type=int, default=None, help="how long threads spin (default: onnxruntime's own)")
    parser.add_argument("--rows", type=int, default=8, help="most prompts in a burst")
    parser.add_argument("--capacity", type=int, default=2048, help="most tokens of prompt and answer together")
    given = parser.parse_args()
    loop = BareLoop(given.graph, threads=given.threads, spin_us=given.spin_us, rows=given.rows, capacity=given.capacity)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        sent = time.monotonic()
        times = loop.burst(asked["prompts"], asked["num_tokens"])
        print(json.dumps([{"sent_s": sent, "events": [(t, 1) for t in row]} for row in times]), flush=True)


if __name__ == "__main__":
    main()
