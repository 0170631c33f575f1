"""A plain numpy forward pass of a Llama-family GGUF file: what the exported graphs are measured against.

Written from the file's side: weights as gguf dequantises them, rows in the file's own order, hence interleaved rotary
embedding, where the exporter permutes rows and rotates half against half. It shares no code with the exporter.
"""

from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class LlamaReference:
    """Float32 decoder with a growing cache of keys and values; `restart` begins another text."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self.weights: dict[str, Floats] = {
            tensor.name: np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
            for tensor in reader.tensors
        }

        def number(key: str) -> float:
            return float(reader.fields[f"llama.{key}"].contents())

        self.num_layers = int(number("block_count"))
        self.num_heads = int(number("attention.head_count"))
        self.num_kv_heads = int(number("attention.head_count_kv"))
        self.head_len = int(number("embedding_length")) // self.num_heads
        self.epsilon = np.float32(number("attention.layer_norm_rms_epsilon"))
        self.frequencies = number("rope.freq_base") ** (-np.arange(0, self.head_len, 2) / self.head_len)
        self.restart()

    def restart(self) -> None:
        """Forgets the text so far."""
        empty = np.zeros((self.num_kv_heads, 0, self.head_len), dtype=np.float32)
        self.cache = [(empty, empty)] * self.num_layers

    def forward(self, ids: list[int]) -> Floats:
        """Appends tokens to the text and returns their logits, shape (tokens, vocabulary)."""
        w, x = self.weights, self.weights["token_embd.weight"][ids]
        for index in range(self.num_layers):
            at = f"blk.{index}."
            x = x + self._attention(index, self._norm(x, w[at + "attn_norm.weight"]))
            h = self._norm(x, w[at + "ffn_norm.weight"])
            gate = h @ w[at + "ffn_gate.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w[at + "ffn_up.weight"].T)) @ w[at + "ffn_down.weight"].T
        head = w.get("output.weight", w["token_embd.weight"])
        logits: Floats = self._norm(x, w["output_norm.weight"]) @ head.T
        return logits

    def greedy(self, prompt: list[int], num_tokens: int, end_ids: frozenset[int]) -> tuple[list[int], Floats]:
        """The greedy continuation, end token included, and the logits of every token of prompt and continuation."""
        self.restart()
        parts, out = [self.forward(prompt)], list[int]()
        while len(out) < num_tokens and not (out and out[-1] in end_ids):
            out.append(int(parts[-1][-1].argmax()))
            parts.append(self.forward(out[-1:]))
        return out, np.concatenate(parts)

    def _norm(self, x: Floats, gain: Floats) -> Floats:
        normed: Floats = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * gain
        return normed

    def _attention(self, index: int, h: Floats) -> Floats:
        def project(part: str, num_heads: int) -> Floats:
            flat = h @ self.weights[f"blk.{index}.attn_{part}.weight"].T
            return flat.reshape(len(h), num_heads, self.head_len).swapaxes(0, 1)

        keys, values = self.cache[index]
        start = keys.shape[1]
        query = self._rotate(project("q", self.num_heads), start)
        keys = np.concatenate([keys, self._rotate(project("k", self.num_kv_heads), start)], axis=1)
        values = np.concatenate([values, project("v", self.num_kv_heads)], axis=1)
        self.cache[index] = (keys, values)
        group = self.num_heads // self.num_kv_heads
        scores = query @ keys.repeat(group, 0).swapaxes(1, 2) / np.float32(np.sqrt(self.head_len))
        scores += np.triu(np.full(scores.shape[1:], -np.inf, dtype=np.float32), start + 1)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ values.repeat(group, 0)
        out: Floats = mixed.swapaxes(0, 1).reshape(len(h), -1) @ self.weights[f"blk.{index}.attn_output.weight"].T
        return out

    def _rotate(self, x: Floats, start: int) -> Floats:
        angles = np.outer(np.arange(start, start + x.shape[1]), self.frequencies)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out
