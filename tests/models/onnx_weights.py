"""Reads the weights of an exported graph back by the rules of the kernels, independently of the exporter."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.float32]


class OnnxWeights:
    """Linear layers of a graph by the name of their output, and its token table, as float32."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(path, load_external_data=False).graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._values = {name: _values(path.parent, tensor) for name, tensor in self.initializers.items()}
        self._makers = {name: node for node in graph.node for name in node.output if name}

    def linear(self, output: str) -> Floats:
        """The matrix W of y = x @ W.T that makes this output."""
        node = self._makers[output]
        if node.op_type == "FusedMatMul":
            return np.asarray(self._values[node.input[1]], dtype=np.float32)
        if node.op_type == "Add":
            product, correction = (self._makers[name] for name in node.input)
            offsets = np.asarray(self._values[correction.input[1]], dtype=np.float32).T
            return self._blockwise(product.input[1], product.input[2], product, offsets)
        return self._blockwise(node.input[1], node.input[2], node, None)

    def table(self) -> Floats:
        """The token table that the lookup reads."""
        node = self._makers["embedded"]
        if node.op_type == "Gather":
            return np.asarray(self._values[node.input[0]], dtype=np.float32)
        offsets = None
        if "embedded/shifted" in self._makers:
            offsets = np.asarray(self._values[self._makers["embedded/offsets"].input[0]], dtype=np.float32)[..., 0]
        return self._blockwise(node.input[0], node.input[2], node, offsets)

    def vector(self, output: str) -> Floats:
        """The gain of a norm that makes this output."""
        node = self._makers[output]
        return np.asarray(self._values[node.input[1 if node.op_type == "SimplifiedLayerNormalization" else 2]])

    def _blockwise(self, quants: str, scales: str, node: onnx.NodeProto, offsets: Floats | None) -> Floats:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        block_len, bits = attributes["block_size"], attributes["bits"]
        packed = np.asarray(self._values[quants], dtype=np.uint8)
        scale = np.asarray(self._values[scales], dtype=np.float32)
        if bits == 4:
            packed = np.stack([packed & 15, packed >> 4], axis=-1)
        blocks = packed.reshape(*scale.shape, block_len).astype(np.float32) - np.float32(1 << (bits - 1))
        weights = blocks * scale[..., None]
        if offsets is not None:
            weights = weights + offsets[..., None]
        return np.asarray(weights.reshape(scale.shape[0], -1), dtype=np.float32)


def _values(folder: Path, tensor: onnx.TensorProto) -> NDArray[np.generic]:
    # Read by hand: onnx refuses a weights file that has several hard links, and a copied store may have made some.
    if not tensor.external_data:
        return numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    with (folder / place["location"]).open("rb") as file:
        file.seek(int(place["offset"]))
        data = file.read(int(place["length"]))
    return np.frombuffer(data, dtype=helper.tensor_dtype_to_np_dtype(tensor.data_type)).reshape(tensor.dims)
