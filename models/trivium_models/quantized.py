"""Weight matrices as GGUF stores them, in the layout that onnxruntime's block-wise kernels read.

GGUF cuts each row into blocks of 32 weights with a scale per block (and, in Q4_1, a minimum). onnxruntime's
MatMulNBits and GatherBlockQuantized use the same blocks with an implied zero point of half the range, so Q4_0 and
Q8_0 pass through unchanged. Q4_1 has a minimum m that no integer zero point can hold; d*q + m is written as d*(q - 8)
+ (m + 8d), so that the fast symmetric kernel does the first part and a small float MatMul on the block sums of the
input does the second. No weight is rounded on the way: each element equals the file's own dequantisation.

Source: ggml's block layouts (ggml-common.h: block_q4_0, block_q4_1, block_q8_0).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gguf import GGMLQuantizationType, ReaderTensor
from gguf.quants import dequantize
from numpy.typing import NDArray

from trivium_models.errors import InvalidGgufError

BLOCK_LEN = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A float32 matrix, shape (rows, columns)."""

    values: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.values.shape[0], self.values.shape[1]

    def take_rows(self, order: NDArray[np.int64]) -> "Dense":
        """The same matrix with its rows in another order."""
        return Dense(values=self.values[order])

    def dequantized(self) -> NDArray[np.float32]:
        """The weights as float32, shape (rows, columns)."""
        return self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockwise:
    """A matrix of `bits`-wide integers: weight = scale * (quant - 2**(bits-1)) + offset, per block of 32 columns.

    quants: uint8, shape (rows, blocks, 32), one element a byte whatever the width. scales and offsets: float32, shape
    (rows, blocks); offsets is None where the format is symmetric.
    """

    bits: int
    quants: NDArray[np.uint8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.float32] | None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.quants.shape[0], self.quants.shape[1] * BLOCK_LEN

    def take_rows(self, order: NDArray[np.int64]) -> "Blockwise":
        """The same matrix with its rows in another order; blocks lie along rows, so nothing is lost."""
        return Blockwise(
            bits=self.bits,
            quants=self.quants[order],
            scales=self.scales[order],
            offsets=None if self.offsets is None else self.offsets[order],
        )

    def packed(self) -> NDArray[np.uint8]:
        """The integers as the kernels read them: uint8, (rows, blocks, 16 or 32), even elements in low nibbles."""
        if self.bits == 8:
            return self.quants
        return (self.quants[..., 0::2] | (self.quants[..., 1::2] << 4)).astype(np.uint8)

    def dequantized(self) -> NDArray[np.float32]:
        """The weights as float32, shape (rows, columns), computed in the kernels' order of operations."""
        centred = self.quants.astype(np.float32) - np.float32(1 << (self.bits - 1))
        weights = centred * self.scales[..., None]
        if self.offsets is not None:
            weights = weights + self.offsets[..., None]
        return weights.reshape(self.shape)


Matrix = Dense | Blockwise


def read_matrix(tensor: ReaderTensor) -> Matrix:
    """Reads a GGUF matrix without loss.

    Q4_0, Q4_1 and Q8_0 stay quantised; F32, F16 and BF16 become float32 exactly; every other type is dequantised to
    float32, which keeps its values and costs memory. Raises InvalidGgufError for types that gguf cannot dequantise.
    """
    kind = tensor.tensor_type
    if kind == GGMLQuantizationType.Q8_0:
        blocks = _blocks(tensor, 34)
        signed = np.ascontiguousarray(blocks[..., 2:]).view(np.int8).astype(np.int16)
        return Blockwise(bits=8, quants=(signed + 128).astype(np.uint8), scales=_halves(blocks, 0), offsets=None)
    if kind == GGMLQuantizationType.Q4_0:
        blocks = _blocks(tensor, 18)
        return Blockwise(bits=4, quants=_nibbles(blocks[..., 2:]), scales=_halves(blocks, 0), offsets=None)
    if kind == GGMLQuantizationType.Q4_1:
        blocks = _blocks(tensor, 20)
        scales, minima = _halves(blocks, 0), _halves(blocks, 2)
        offsets = minima + np.float32(8) * scales
        return Blockwise(bits=4, quants=_nibbles(blocks[..., 4:]), scales=scales, offsets=offsets)
    return Dense(values=read_float(tensor))


def read_float(tensor: ReaderTensor) -> NDArray[np.float32]:
    """Reads any GGUF tensor as float32, in row-major shape. Raises InvalidGgufError for types that gguf cannot read."""
    try:
        values = dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        raise InvalidGgufError(
            f"tensor {tensor.name} has type {tensor.tensor_type.name}, which cannot be read"
        ) from error
    return np.asarray(values, dtype=np.float32)


def stack_rows(parts: Sequence[Matrix]) -> Matrix | None:
    """Puts matrices on top of each other; None when their formats differ, so that one kernel call cannot serve them."""
    dense = [part for part in parts if isinstance(part, Dense)]
    if len(dense) == len(parts):
        return Dense(values=np.concatenate([part.values for part in dense]))
    blocks = [part for part in parts if isinstance(part, Blockwise)]
    if len(blocks) < len(parts) or len({(part.bits, part.offsets is None) for part in blocks}) > 1:
        return None
    offsets = [part.offsets for part in blocks if part.offsets is not None]
    return Blockwise(
        bits=blocks[0].bits,
        quants=np.concatenate([part.quants for part in blocks]),
        scales=np.concatenate([part.scales for part in blocks]),
        offsets=np.concatenate(offsets) if offsets else None,
    )


def _blocks(tensor: ReaderTensor, block_bytes: int) -> NDArray[np.uint8]:
    raw = np.ascontiguousarray(tensor.data, dtype=np.uint8)
    return raw.reshape(raw.shape[0], -1, block_bytes)


def _halves(blocks: NDArray[np.uint8], at: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(blocks[..., at : at + 2]).view(np.float16)[..., 0].astype(np.float32)


def _nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # ggml puts elements 0..15 in the low nibbles and 16..31 in the high ones.
    return np.concatenate([packed & 15, packed >> 4], axis=-1)
