"""Runs exported graphs on onnxruntime, one text at a time, for the tests."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class GraphRunner:
    """One graph of a model folder with a cache of `capacity` tokens; `restart` begins another text."""

    def __init__(self, folder: Path, graph: str, capacity: int = 256) -> None:
        config = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]["decoder"]
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(folder / graph), options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]
        self._cache_shape = (1, config["num_key_value_heads"], capacity, config["head_size"])
        self.restart()

    def restart(self) -> None:
        """Forgets the text so far; the cache is full of noise, which must not matter."""
        noise = np.random.default_rng(7)
        names = [name for name in self._inputs if name.startswith("past_key_values.")]
        self._cache = {name: noise.normal(size=self._cache_shape).astype(np.float32) for name in names}
        self._len = 0

    def forward(self, ids: list[int]) -> Floats:
        """Appends tokens to the text and returns their logits, shape (tokens, vocabulary)."""
        total = self._len + len(ids)
        feeds: dict[str, NDArray[np.generic]] = {"input_ids": np.array([ids], dtype=np.int64)}
        if "attention_mask" in self._inputs:
            feeds["attention_mask"] = np.ones((1, total), dtype=np.int64)
        else:
            feeds["seqlens_k"] = np.array([total - 1], dtype=np.int32)
            feeds["total_sequence_length"] = np.array(total, dtype=np.int32)
            feeds["query_seqlens"] = np.array([len(ids)], dtype=np.int32)
            feeds["logits_idx"] = np.array([[0, index] for index in range(len(ids))], dtype=np.int64)
        results = dict(zip(self._outputs, self._session.run(None, {**feeds, **self._cache}), strict=True))
        self._cache = {name: results[name.replace("past_key_values", "present")] for name in self._cache}
        self._len = total
        logits: Floats = results["logits"].reshape(len(ids), -1)
        return logits

    def greedy(self, prompt: list[int], num_tokens: int) -> list[int]:
        """The greedy continuation of that many tokens."""
        self.restart()
        out = [int(self.forward(prompt)[-1].argmax())]
        while len(out) < num_tokens:
            out.append(int(self.forward(out[-1:])[-1].argmax()))
        return out
