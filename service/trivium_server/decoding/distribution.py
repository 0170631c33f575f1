"""Turns the logits of a step into probabilities and the likeliest tokens, for all rows at once.

A vocabulary is too wide for Python to go over it several times for each token. A small graph does it on onnxruntime's
threads. A row's result never depends on the other rows of its step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from trivium_server.runtime.session import Session, SessionOptions

Logits = NDArray[np.float32]

# Nearly always the next token, and most often the whole nucleus, is among so many.
_NUM_LIKELIEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The distribution over the next token of one sequence.

    probabilities: of every token, shape (vocabulary,), float32. ids, likeliest: the likeliest tokens and their
    probabilities, likeliest first, lower id first among equals.
    """

    probabilities: NDArray[np.float32]
    ids: NDArray[np.int64]
    likeliest: NDArray[np.float32]


class Distributions:
    """Computes distributions. Used by one thread at a time; results are views that the next call overwrites."""

    def __init__(self, *, vocabulary_size: int, max_rows: int, options: SessionOptions) -> None:
        self._session = Session(_graph(), options)
        self._binding = self._session.binding()
        count = min(_NUM_LIKELIEST, vocabulary_size)
        self._count = np.array([count], np.int64)
        self._probabilities = np.zeros((max_rows, vocabulary_size), np.float32)
        self._ids = np.zeros((max_rows, count), np.int64)
        self._likeliest = np.zeros((max_rows, count), np.float32)

    def of(self, logits: Logits, temperatures: Sequence[float]) -> list[Distribution]:
        """Returns the distribution of each row of logits, shape (n, vocabulary), at its temperature, above 0.

        Where logits are NaN or infinite, probabilities are NaN.
        """
        n = len(logits)
        probabilities, ids, likeliest = self._probabilities[:n], self._ids[:n], self._likeliest[:n]
        self._binding.bind_input("logits", logits)
        self._binding.bind_input("inverse_temperatures", 1 / np.array(temperatures, np.float32)[:, None])
        self._binding.bind_input("count", self._count)
        self._binding.bind_output("probabilities", probabilities)
        self._binding.bind_output("ids", ids)
        self._binding.bind_output("likeliest", likeliest)
        self._binding.run()
        return [Distribution(probabilities=probabilities[i], ids=ids[i], likeliest=likeliest[i]) for i in range(n)]


def _graph() -> bytes:
    # The likeliest are found among scaled logits, since probabilities round to equal more often.
    nodes = [
        helper.make_node("Mul", ["logits", "inverse_temperatures"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
        helper.make_node("TopK", ["scaled", "count"], ["largest", "ids"], axis=1, sorted=1),
        helper.make_node("GatherElements", ["probabilities", "ids"], ["likeliest"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", "vocabulary"]),
        helper.make_tensor_value_info("inverse_temperatures", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", "vocabulary"]),
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "likeliest"]),
        helper.make_tensor_value_info("likeliest", TensorProto.FLOAT, ["rows", "likeliest"]),
    ]
    graph = helper.make_graph(nodes, "distribution", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
