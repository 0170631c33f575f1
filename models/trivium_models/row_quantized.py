"""How the int8 encoder writes numbers: a scale per row of activations, a scale per column of weights.

Sources: Dettmers et al. 2022 (LLM.int8(): row-wise and column-wise scales).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivium_models.bert_source import Linear
from trivium_models.graph_writer import FUSED_DOMAIN, GraphWriter

Floats = NDArray[np.float32]

# Weights have 7 bits. The x86 kernels for processors without VNNI add pairs of products in 16 bits and cut off what
# does not fit: 2 x 255 x 63 does, 2 x 255 x 127 does not. Unsigned 8-bit weights are exact on all processors too, but
# up to a quarter slower on those without VNNI; the cosine to float32 is 0.9972 with them and 0.9956 with 7 bits.
_WEIGHT_STEPS = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """How a row of floats becomes bytes: round(x / scale) + zero.

    scale is max(largest / num_steps, smallest_scale). largest is the row's largest magnitude, or where `one_sided` its
    largest value: nothing lies far below 0.
    """

    name: str
    zero: int
    num_steps: int
    smallest_scale: float
    one_sided: bool


# An all-zero row needs a scale that is not 0.
SYMMETRIC_CODES = Codes(name="symmetric", zero=128, num_steps=127, smallest_scale=1e-12, one_sided=False)
# GELU never falls below -0.17, so 16 codes are enough for what is negative and 239 are left for the rest.
GELU_CODES = Codes(name="gelu", zero=16, num_steps=239, smallest_scale=0.17 / 16, one_sided=True)


def quantize_columns(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Integers of the same shape (inputs, outputs) and scales (outputs,): weights ~ integers x scales."""
    scales = np.maximum(np.abs(weights).max(axis=0), np.float32(1e-12)) / np.float32(_WEIGHT_STEPS)
    return np.rint(weights / scales).astype(np.int8), np.asarray(scales, dtype=np.float32)


class IntegerProduct:
    """Writes products of integers into a graph. Each row has its own scale, so that none depends on the others."""

    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph

    def __call__(self, name: str, rows: str, linear: Linear, codes: Codes) -> str:
        """rows @ weights + bias, rounded; rows is of shape (rows, inputs). Returns the result's name."""
        graph = self._graph
        quants, scales = quantize_columns(linear.weights)
        row_scales, quantized, zero = self._quantize(rows, codes)
        inputs = [
            quantized,
            graph.const(f"{name}.quants", quants),
            graph.const("unit_scale", np.ones(1, dtype=np.float32)),
        ]
        inputs += [graph.const(f"{name}.scales", scales), zero]
        product = graph.node("MatMulIntegerToFloat", inputs, f"{name}/product", domain=FUSED_DOMAIN)
        scaled = graph.node("Mul", [product, row_scales], f"{name}/scaled")
        return graph.node("Add", [scaled, graph.const(f"{name}.bias", linear.bias)], name)

    def _quantize(self, rows: str, codes: Codes) -> tuple[str, str, str]:
        graph, at = self._graph, f"{rows}/quantized"
        magnitude = rows if codes.one_sided else graph.node("Abs", [rows], f"{at}/magnitude")
        largest = graph.node("ReduceMax", [magnitude, graph.ints("last_axis", -1)], f"{at}/largest", keepdims=0)
        steps = graph.const(f"{codes.name}.steps", np.array(1 / codes.num_steps, dtype=np.float32))
        smallest = graph.const(f"{codes.name}.smallest", np.array(codes.smallest_scale, dtype=np.float32))
        scales = graph.node("Max", [graph.node("Mul", [largest, steps], f"{at}/wanted"), smallest], f"{at}/scales")
        zero = graph.const(f"{codes.name}.zero", np.array(codes.zero, dtype=np.uint8))
        zeros = graph.node("Expand", [zero, graph.node("Shape", [scales], f"{at}/count")], f"{at}/zeros")
        quantized = graph.node("QuantizeLinear", [rows, scales, zeros], at, axis=0)
        return graph.node("Unsqueeze", [scales, "last_axis"], f"{at}/row_scales"), quantized, zero
