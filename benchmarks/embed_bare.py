"""The limit: onnxruntime on the graph that the server runs, in ideal batches, and nothing else.

Runs as a process of its own and shares no code with the server. All texts are known and tokenized beforehand, sorted
by length and cut into batches of at most `budget` tokens, padding included; threads take them, the longest first. The
runs, the pooling and the norm are counted.

Reads one JSON line for each burst from standard input, {"texts", "budget", "workers"}, where workers is how many
threads run batches, each with its share of the processors, and answers with {"elapsed_s", "cpu_s", "padding"}; for
{"texts", "vectors": true} with {"vectors"}, each text embedded alone.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.embed_texts import tokenizer_of


class Burst(TypedDict):
    """How long it took by the clock and in processor time, and the share of all tokens that was padding."""

    elapsed_s: float
    cpu_s: float
    padding: float


class Encoder:
    """A session whose runs take `threads` threads each."""

    def __init__(self, graph: Path, *, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._takes_types = any(value.name == "token_type_ids" for value in self._session.get_inputs())

    def encode(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Returns vectors of length 1, shape (len(batch), dimensions)."""
        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        if self._takes_types:
            feed["token_type_ids"] = np.zeros_like(ids)
        hidden: NDArray[np.float32] = self._session.run(["last_hidden_state"], feed)[0]
        weights = mask.astype(np.float32)
        sums = np.matmul(weights[:, None, :], hidden)[:, 0]
        pooled: NDArray[np.float32] = sums / weights.sum(axis=1, keepdims=True)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled


def ideal_batches(ids: Sequence[Sequence[int]], budget: int) -> Iterator[list[Sequence[int]]]:
    """Yields batches of neighbours in length, the longest first, of at most `budget` tokens with padding."""
    batch: list[Sequence[int]] = []
    for tokens in sorted(ids, key=len, reverse=True):
        if batch and len(batch[0]) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(tokens)
    if batch:
        yield batch


def run_all(encoder: Encoder, ids: Sequence[Sequence[int]], *, budget: int, workers: int) -> Burst:
    """Encodes everything with `workers` threads that take batches from one list."""
    batches = list(ideal_batches(ids, budget))
    padded = sum(len(batch[0]) * len(batch) for batch in batches)
    left, lock = iter(batches), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                batch = next(left, None)
            if batch is None:
                return
            encoder.encode(batch)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    cpu, started = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, used = time.monotonic() - started, time.process_time() - cpu
    return Burst(elapsed_s=elapsed, cpu_s=used, padding=1 - sum(map(len, ids)) / padded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the model's folder")
    parser.add_argument("--threads", type=int, required=True, help="processors to use")
    given = parser.parse_args()
    tokenizer = tokenizer_of(given.folder)
    encoders: dict[int, Encoder] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        ids = [encoding.ids for encoding in tokenizer.encode_batch(asked["texts"])]
        workers = asked.get("workers", given.threads)
        if workers not in encoders:
            encoders[workers] = Encoder(given.folder / "model.onnx", threads=given.threads // workers)
        if asked.get("vectors"):
            answer: object = {"vectors": [encoders[workers].encode([tokens])[0].tolist() for tokens in ids]}
        else:
            answer = run_all(encoders[workers], ids, budget=asked["budget"], workers=workers)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
