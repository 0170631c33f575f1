"""Runs a graph on onnxruntime with one thread, for the tests."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray


class GraphSession:
    """One graph, by the names of its inputs and outputs."""

    def __init__(self, graph: Path | bytes) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        content = graph if isinstance(graph, bytes) else str(graph)
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self._session.get_inputs()]

    def run(self, **inputs: NDArray[np.float32] | NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """All outputs by name."""
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, inputs), strict=True))
