"""Turns the logits of a step into probabilities, for all rows at once.

Exponentials of a whole vocabulary take numpy several times as long as onnxruntime, and all cores wait for them. A
row's result never depends on the other rows of its step.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from trivium_server.runtime.session import Session, SessionOptions

Logits = NDArray[np.float32]
Probabilities = NDArray[np.float32]


class Distributions:
    """Computes distributions. Used by one thread at a time; results are views that the next call overwrites."""

    def __init__(self, *, vocabulary_size: int, max_rows: int, options: SessionOptions) -> None:
        self._binding = Session(_graph(), options).binding()
        self._probabilities = np.zeros((max_rows, vocabulary_size), np.float32)

    def of(self, logits: Logits, temperatures: Sequence[float]) -> Probabilities:
        """Returns the probability of each token, shape (n, vocabulary), each row at its temperature, above 0.

        logits: shape (n, vocabulary). Where a row of them has NaN or infinity, its probabilities are NaN.
        """
        probabilities = self._probabilities[: len(logits)]
        self._binding.bind_input("logits", logits)
        self._binding.bind_input("inverse_temperatures", 1 / np.array(temperatures, np.float32)[:, None])
        self._binding.bind_output("probabilities", probabilities)
        self._binding.run()
        return probabilities


def _graph() -> bytes:
    nodes = [
        helper.make_node("Mul", ["logits", "inverse_temperatures"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", "vocabulary"]),
        helper.make_tensor_value_info("inverse_temperatures", TensorProto.FLOAT, ["rows", 1]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", "vocabulary"])]
    graph = helper.make_graph(nodes, "distribution", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
