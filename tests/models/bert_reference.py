"""A BERT encoder in plain float64 numpy, written from the paper (Devlin et al. 2019), for one text at a time."""

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Doubles = NDArray[np.float64]

_erf = np.vectorize(math.erf, otypes=[np.float64])


class BertReference:
    """Reads config.json and model.safetensors by itself."""

    def __init__(self, config: Path, weights: Path) -> None:
        stated = json.loads(config.read_text())
        self.num_layers: int = stated["num_hidden_layers"]
        self._num_heads: int = stated["num_attention_heads"]
        self._epsilon: float = stated["layer_norm_eps"]
        self._weights = {name: values.astype(np.float64) for name, values in load_file(weights).items()}

    def states(self, ids: list[int], types: list[int] | None = None) -> list[Doubles]:
        """Hidden states after the embeddings and after each layer, each of shape (tokens, hidden)."""
        word, position, kind = (
            self._weights[f"embeddings.{table}_embeddings.weight"] for table in ("word", "position", "token_type")
        )
        summed = word[ids] + position[: len(ids)] + kind[types or [0] * len(ids)]
        states = [self._norm("embeddings.LayerNorm", summed)]
        for index in range(self.num_layers):
            states.append(self._layer(f"encoder.layer.{index}", states[-1]))
        return states

    def sentence(self, ids: list[int]) -> Doubles:
        """The mean of the last hidden states, of length 1."""
        mean = self.states(ids)[-1].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def _layer(self, at: str, hidden: Doubles) -> Doubles:
        attended = self._linear(f"{at}.attention.output.dense", self._attention(f"{at}.attention.self", hidden))
        hidden = self._norm(f"{at}.attention.output.LayerNorm", attended + hidden)
        up = self._linear(f"{at}.intermediate.dense", hidden)
        gelu = up * 0.5 * (1 + _erf(up / math.sqrt(2)))
        return self._norm(f"{at}.output.LayerNorm", self._linear(f"{at}.output.dense", gelu) + hidden)

    def _attention(self, at: str, hidden: Doubles) -> Doubles:
        head_len = hidden.shape[1] // self._num_heads
        query, key, value = (self._linear(f"{at}.{part}", hidden) for part in ("query", "key", "value"))
        heads = []
        for start in range(0, hidden.shape[1], head_len):
            columns = slice(start, start + head_len)
            scores = query[:, columns] @ key[:, columns].T / math.sqrt(head_len)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, columns])
        return np.concatenate(heads, axis=1)

    def _linear(self, name: str, rows: Doubles) -> Doubles:
        return np.asarray(rows @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def _norm(self, name: str, rows: Doubles) -> Doubles:
        centred = rows - rows.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + self._epsilon)
        return np.asarray(scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])
