"""Runs encoder graphs on onnxruntime, with every layer's state as an output, for the tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

Floats = NDArray[np.float32]


class EncoderRunner:
    """One encoder's graph. Texts are token ids."""

    def __init__(self, graph: Path, *, num_layers: int = 0) -> None:
        model = onnx.load(graph)
        self.states = ["embeddings", *(f"layer.{index}" for index in range(num_layers))] if num_layers else []
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.states)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(
        self, texts: Sequence[list[int]], *, padding: int = 0, pad_id: int = 0, types: Sequence[int] = ()
    ) -> dict[str, Floats]:
        """All outputs for a batch, padded on the right to the longest text and `padding` tokens more.

        types: token types for every row, 0 where there are none.
        """
        width = max(map(len, texts)) + padding
        ids = np.full((len(texts), width), pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds["token_type_ids"][:, : len(types)] = types
        names = ["last_hidden_state", *self.states]
        return dict(zip(names, self._session.run(names, feeds), strict=True))

    def hidden(
        self, texts: Sequence[list[int]], *, padding: int = 0, pad_id: int = 0, types: Sequence[int] = ()
    ) -> list[Floats]:
        """The last hidden states of each text, without its padding; see run."""
        states = self.run(texts, padding=padding, pad_id=pad_id, types=types)["last_hidden_state"]
        return [row[: len(text)] for row, text in zip(states, texts, strict=True)]

    def sentences(self, texts: Sequence[list[int]]) -> Floats:
        """The mean of each text's last hidden states, of length 1; each text runs alone."""
        means = np.stack([self.hidden([text])[0].mean(axis=0) for text in texts])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))
