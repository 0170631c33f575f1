"""Collects the nodes and constants of an ONNX graph."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

FUSED_DOMAIN = "com.microsoft"


class GraphWriter:
    """A graph in the making. Every value is known by its name; a node has the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}

    def node(
        self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: float | list[int] | str
    ) -> str:
        """Adds a node with one output and returns the output's name."""
        node = helper.make_node(operator, inputs, [output], name=output, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return output

    def split(self, inputs: list[str], outputs: list[str], *, axis: int) -> None:
        """Adds a Split: of a value, by the lengths that the second input gives."""
        self.nodes.append(helper.make_node("Split", inputs, outputs, name=outputs[0], axis=axis))

    def const(self, name: str, values: NDArray[np.generic]) -> str:
        """Adds a constant and returns its name; a second one of the same name must be the same."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
        return name

    def ints(self, name: str, *values: int) -> str:
        """Adds a constant vector of int64."""
        return self.const(name, np.array(values, dtype=np.int64))
