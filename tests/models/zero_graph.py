"""Graphs of nothing but names and shapes, for checks of folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# By name; a text is a dimension that can be anything, None is a shape that is not declared.
Shapes = Mapping[str, Sequence[int | str] | None]


def write_graph(path: Path, inputs: Shapes, outputs: Shapes) -> None:
    """A graph that runs, of nothing but the right names and shapes: every output is all zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nodes, constants = [], []
    for name, shape in outputs.items():
        sizes = [size if isinstance(size, int) else 1 for size in shape or [1]]
        constants.append(numpy_helper.from_array(np.zeros(sizes, np.float32), f"{name}/zeros"))
        nodes.append(helper.make_node("Identity", [f"{name}/zeros"], [name]))
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    made = helper.make_graph(nodes, "names", takes, gives, constants)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
