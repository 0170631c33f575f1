"""Whisper in plain float64 numpy, written from the paper (Radford et al. 2022), for one recording at a time.

It reads CTranslate2's file by itself, keeps no cache, and computes every token anew.
"""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_EPSILON = 1e-5
_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_erf = np.vectorize(math.erf, otypes=[np.float64])


def read_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    """All tensors of a well-formed file, without aliases."""
    data, at = path.read_bytes(), 0

    def number(layout: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{layout}", data, at)
        at += struct.calcsize(layout)
        return int(value)

    def text() -> str:
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    assert number("I") == 6
    text(), number("I")
    tensors: dict[str, NDArray[np.generic]] = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype, size = np.dtype(_TYPES[number("B")]), number("I")
        tensors[name] = np.frombuffer(data[at : at + size], dtype).reshape(shape)
        at += size
    return tensors


class WhisperReference:
    """One model."""

    def __init__(self, weights: Path) -> None:
        self._tensors = {name: tensor.astype(np.float64) for name, tensor in read_tensors(weights).items()}
        self._num_heads = int(self._tensors["decoder/num_heads"])
        self.num_decoder_layers = sum(
            name.startswith("decoder/layer_") and name.endswith("ffn/layer_norm/beta") for name in self._tensors
        )
        self._num_encoder_layers = sum(
            name.startswith("encoder/layer_") and name.endswith("ffn/layer_norm/beta") for name in self._tensors
        )

    def hear(self, features: Doubles) -> Doubles:
        """States of the encoder, (frames / 2, hidden), for features of shape (mels, frames)."""
        frames = _gelu(self._convolve("encoder/conv1", features, stride=1))
        rows = _gelu(self._convolve("encoder/conv2", frames, stride=2)).T
        rows = rows + self._tensors["encoder/position_encodings/encodings"][: len(rows)]
        for index in range(self._num_encoder_layers):
            at = f"encoder/layer_{index}"
            rows = rows + self._self_attention(f"{at}/self_attention", rows, causal=False)
            rows = rows + self._feed_forward(f"{at}/ffn", rows)
        return self._norm("encoder/layer_norm", rows)

    def cross_key_value(self, index: int, heard: Doubles) -> tuple[Doubles, Doubles]:
        """Keys and values of a decoder layer, each (heads, positions, head length)."""
        key, value = np.split(self._linear(f"decoder/layer_{index}/attention/linear_1", heard), 2, axis=1)
        return self._heads(key), self._heads(value)

    def read(self, ids: list[int], heard: Doubles) -> tuple[Doubles, list[Doubles]]:
        """Logits, (tokens, vocabulary), and per layer the shares of attention, (heads, tokens, positions)."""
        words = self._tensors["decoder/embeddings/weight"]
        rows = words[ids] + self._tensors["decoder/position_encodings/encodings"][: len(ids)]
        shares = []
        for index in range(self.num_decoder_layers):
            at = f"decoder/layer_{index}"
            rows = rows + self._self_attention(f"{at}/self_attention", rows, causal=True)
            query = self._heads(
                self._linear(f"{at}/attention/linear_0", self._norm(f"{at}/attention/layer_norm", rows))
            )
            key, value = self.cross_key_value(index, heard)
            shares.append(_softmax(query @ key.swapaxes(1, 2) / math.sqrt(key.shape[2])))
            rows = rows + self._linear(f"{at}/attention/linear_2", _joined(shares[-1] @ value))
            rows = rows + self._feed_forward(f"{at}/ffn", rows)
        return self._norm("decoder/layer_norm", rows) @ words.T, shares

    def _self_attention(self, at: str, rows: Doubles, *, causal: bool) -> Doubles:
        qkv = self._linear(f"{at}/linear_0", self._norm(f"{at}/layer_norm", rows))
        query, key, value = (self._heads(part) for part in np.split(qkv, 3, axis=1))
        scores = query @ key.swapaxes(1, 2) / math.sqrt(key.shape[2])
        if causal:
            scores[:, np.triu(np.ones(scores.shape[1:], dtype=bool), k=1)] = -np.inf
        return self._linear(f"{at}/linear_1", _joined(_softmax(scores) @ value))

    def _feed_forward(self, at: str, rows: Doubles) -> Doubles:
        inner = _gelu(self._linear(f"{at}/linear_0", self._norm(f"{at}/layer_norm", rows)))
        return self._linear(f"{at}/linear_1", inner)

    def _convolve(self, at: str, frames: Doubles, *, stride: int) -> Doubles:
        padded = np.pad(frames, ((0, 0), (1, 1)))
        kernel = self._tensors[f"{at}/weight"]
        width = (frames.shape[1] - 1) // stride + 1
        taps = [kernel[:, :, tap] @ padded[:, tap : tap + stride * width : stride][:, :width] for tap in range(3)]
        return np.asarray(sum(taps) + self._tensors[f"{at}/bias"][:, None])

    def _heads(self, rows: Doubles) -> Doubles:
        return np.asarray(rows.reshape(len(rows), self._num_heads, -1).swapaxes(0, 1))

    def _linear(self, at: str, rows: Doubles) -> Doubles:
        return np.asarray(rows @ self._tensors[f"{at}/weight"].T + self._tensors[f"{at}/bias"])

    def _norm(self, at: str, rows: Doubles) -> Doubles:
        centred = rows - rows.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + _EPSILON)
        return np.asarray(scaled * self._tensors[f"{at}/gamma"] + self._tensors[f"{at}/beta"])


def _gelu(rows: Doubles) -> Doubles:
    return np.asarray(rows * 0.5 * (1 + _erf(rows / math.sqrt(2))))


def _softmax(scores: Doubles) -> Doubles:
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _joined(heads: Doubles) -> Doubles:
    return np.asarray(heads.swapaxes(0, 1).reshape(heads.shape[1], -1))
