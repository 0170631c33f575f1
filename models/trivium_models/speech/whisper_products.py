"""How the graphs of Whisper multiply: in float32, or with a token table of 8 bits."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trivium_models.bert_source import Linear
from trivium_models.graph_writer import FUSED_DOMAIN, GraphWriter
from trivium_models.quantized import BLOCK_LEN, Blockwise

Floats = NDArray[np.float32]

_BITS = 8
_HALF = 1 << (_BITS - 1)
# The kernel rounds what it multiplies to 8 bits as well, by blocks, each row for itself.
_INTEGER_ACCURACY = 4


class Product(Protocol):
    """Products with weights, for rows of shape (rows, inputs). Both return the name of the result."""

    def __call__(self, name: str, rows: str, linear: Linear) -> str:
        """rows @ weights + bias."""
        ...

    def scores(self, name: str, rows: str, table: str, entries: Floats) -> str:
        """rows @ entries.T; `table` is the name that the entries have in the graph where they are constants of it."""
        ...


class FloatProduct:
    """Products in float32."""

    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph

    def __call__(self, name: str, rows: str, linear: Linear) -> str:
        """See Product."""
        weights = self._graph.const(f"{name}.weights", linear.weights)
        return self._graph.node("Gemm", [rows, weights, self._graph.const(f"{name}.bias", linear.bias)], name)

    def scores(self, name: str, rows: str, table: str, entries: Floats) -> str:
        """See Product."""
        return self._graph.node("Gemm", [rows, self._graph.const(table, entries)], name, transB=1)


class ByteScoresProduct(FloatProduct):
    """Products in float32, but the scores of all tokens from a table of 8 bits, a scale for each 32 inputs of a token.

    One token at a time is bound by the memory that the weights take, and the table is most of it. The layers stay in
    float32: rounded, they change commas and capitals.
    """

    def scores(self, name: str, rows: str, table: str, entries: Floats) -> str:
        """See Product."""
        quantized = quantize_blocks(entries)
        num_outputs, num_inputs = quantized.shape
        inputs = [
            rows,
            self._graph.const(f"{table}.quants", quantized.packed()),
            self._graph.const(f"{table}.scales", quantized.scales),
        ]
        return self._graph.node(
            "MatMulNBits",
            inputs,
            name,
            domain=FUSED_DOMAIN,
            K=num_inputs,
            N=num_outputs,
            bits=_BITS,
            block_size=BLOCK_LEN,
            accuracy_level=_INTEGER_ACCURACY,
        )


def quantize_blocks(entries: Floats) -> Blockwise:
    """Rounds a matrix, (outputs, inputs), whose inputs are a multiple of 32, to 8 bits by blocks."""
    blocks = entries.reshape(len(entries), -1, BLOCK_LEN)
    scales = np.maximum(np.abs(blocks).max(axis=2), np.float32(1e-12)) / np.float32(_HALF - 1)
    quants = np.rint(blocks / scales[..., None]).astype(np.int16) + _HALF
    return Blockwise(bits=_BITS, quants=quants.astype(np.uint8), scales=scales.astype(np.float32), offsets=None)
