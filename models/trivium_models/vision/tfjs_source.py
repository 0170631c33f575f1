"""Reads a TensorFlow.js graph model, a JSON file with weights beside it, without TensorFlow.

Source: tfjs-core's io types, ModelJSON and WeightsManifestConfig; NodeDef of TensorFlow in its JSON form.
"""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import read_json

Array = NDArray[np.generic]

_TYPES = {
    "float32": np.dtype("<f4"),
    "int32": np.dtype("<i4"),
    "bool": np.dtype("?"),
    "float16": np.dtype("<f2"),
}


class Attributes:
    """The attributes of one node; getters raise InvalidModelError when the value is missing or of another kind."""

    def __init__(self, node: str, values: Mapping[str, object]) -> None:
        self._node = node
        self._values = values

    def text(self, key: str) -> str:
        """A text, which the format keeps in base64."""
        try:
            return base64.b64decode(str(self._kind(key, "s")), validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise InvalidModelError(f"attribute {key} of {self._node} is not a text") from error

    def number(self, key: str) -> float:
        """A number."""
        value = self._kind(key, "f")
        if not isinstance(value, (int, float)):
            raise InvalidModelError(f"attribute {key} of {self._node} is not a number")
        return float(value)

    def is_set(self, key: str) -> bool:
        """A truth value; False where it is missing."""
        return key in self._values and self._kind(key, "b") is True

    def counts(self, key: str) -> list[int]:
        """A list of whole numbers."""
        listed = self._kind(key, "list")
        numbers = listed.get("i") if isinstance(listed, dict) else None
        if not isinstance(numbers, list):
            raise InvalidModelError(f"attribute {key} of {self._node} is not a list of numbers")
        return [int(str(number)) for number in numbers]

    def _kind(self, key: str, kind: str) -> object:
        value = self._values.get(key)
        if not isinstance(value, dict) or kind not in value:
            raise InvalidModelError(f"{self._node} has no attribute {key} of the kind that is expected")
        return value[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class TfjsNode:
    """One operation. inputs: names of nodes, with ":1" for a second output."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class TfjsModel:
    """A graph with its weights. outputs: the node of each output of its signature, with the output's shape."""

    name: str
    nodes: Mapping[str, TfjsNode]
    weights: Mapping[str, Array]
    outputs: Mapping[str, tuple[int, ...]]

    def node(self, name: str) -> TfjsNode:
        """The node of that name; InvalidModelError when there is none."""
        if name not in self.nodes:
            raise InvalidModelError(f"{self.name}: there is no node {name}")
        return self.nodes[name]


def read_tfjs(graph: Path, parts: Mapping[str, Path]) -> TfjsModel:
    """Reads a model. parts: the files of weights, by the names that the graph calls them. Raises InvalidModelError."""
    try:
        content = read_json(graph)
        assert isinstance(content, dict)
        nodes = {node["name"]: _read_node(node) for node in content["modelTopology"]["node"]}
        outputs = {
            str(output["name"]).partition(":")[0]: tuple(int(dim["size"]) for dim in output["tensorShape"]["dim"])
            for output in content["signature"]["outputs"].values()
        }
        weights: dict[str, Array] = {}
        for group in content["weightsManifest"]:
            data = b"".join(parts[path].read_bytes() for path in group["paths"])
            weights |= _read_weights(group["weights"], data, graph.name)
    except (AssertionError, KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise InvalidModelError(f"{graph.name} is not a TensorFlow.js graph with its weights: {error}") from error
    return TfjsModel(name=graph.name, nodes=nodes, weights=weights, outputs=outputs)


def _read_node(node: Mapping[str, object]) -> TfjsNode:
    name, inputs, attributes = str(node["name"]), node.get("input", []), node.get("attr", {})
    if not isinstance(inputs, list) or not isinstance(attributes, dict):
        raise TypeError(f"node {name}")
    # "^name" orders operations and carries no value.
    carried = tuple(str(one) for one in inputs if not str(one).startswith("^"))
    return TfjsNode(name=name, operator=str(node["op"]), inputs=carried, attributes=Attributes(name, attributes))


def _read_weights(entries: list[dict[str, object]], data: bytes, where: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    offset = 0
    for entry in entries:
        name, shape, quantization = str(entry["name"]), entry["shape"], entry.get("quantization")
        if not isinstance(shape, list) or not all(isinstance(dim, int) and dim >= 0 for dim in shape):
            raise TypeError(f"shape of {name}")
        stored = str(quantization["dtype"] if isinstance(quantization, dict) else entry["dtype"])
        if stored not in _TYPES or (quantization and stored != "float16"):
            raise InvalidModelError(f"{where}: {name} is stored as {stored}, which is not supported")
        dtype, count = _TYPES[stored], math.prod(shape)
        values = np.frombuffer(data, dtype, count, offset).reshape(shape)
        # float16 is how float32 is kept, and becomes it again.
        found[name] = values.astype(np.float32) if quantization else values
        offset += count * dtype.itemsize
    if offset != len(data):
        raise InvalidModelError(f"{where}: the weights have {len(data)} bytes; {offset} are listed")
    return found
