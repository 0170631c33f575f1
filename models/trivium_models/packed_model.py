"""Weights of a Llama-family GGUF file, written once to an external-data file and described for the graph builder.

Every graph of a model folder refers to the same file, so that three graphs cost the disk one set of weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from trivium_models.errors import InvalidGgufError
from trivium_models.gguf_source import GgufSource, LlamaShape
from trivium_models.quantized import Blockwise, Dense, Matrix, stack_rows

# onnxruntime maps external data into memory; a page boundary per tensor lets it do so without a copy.
_ALIGNMENT = 4096


class WeightsFile:
    """Appends tensors to one external-data file and hands out the initializers that refer to it.

    Open it with `with`; not safe for concurrent use.
    """

    def __init__(self, path: Path) -> None:
        self._location = path.name
        self._file: BinaryIO = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    def add(self, name: str, values: NDArray[np.float32] | NDArray[np.uint8]) -> TensorProto:
        """Writes the values and returns the initializer that reads them back."""
        offset = -(-self._file.tell() // _ALIGNMENT) * _ALIGNMENT
        self._file.seek(offset)
        data = np.ascontiguousarray(values)
        self._file.write(data.data)
        return self._reference(name, helper.np_dtype_to_tensor_dtype(data.dtype), data.shape, offset, data.nbytes)

    def alias(self, name: str, stored: TensorProto, shape: Sequence[int]) -> TensorProto:
        """An initializer of another name and shape that reads the very same bytes."""
        entries = {entry.key: int(entry.value) for entry in stored.external_data if entry.key != "location"}
        return self._reference(name, stored.data_type, shape, entries["offset"], entries["length"])

    def _reference(self, name: str, data_type: int, shape: Sequence[int], offset: int, length: int) -> TensorProto:
        tensor = TensorProto(name=name, data_type=data_type, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self._location), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        return tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A weight matrix ready for a kernel: y = x @ W.T, W of shape (rows, columns).

    bits is 4 or 8 for block-wise integers and None for float32. `weights` holds the packed integers, shape (rows,
    blocks, bytes per block), or the floats, shape (rows, columns). `offsets` is transposed, shape (blocks, rows), for
    the MatMul with the block sums of x.
    """

    rows: int
    columns: int
    bits: int | None
    weights: TensorProto
    scales: TensorProto | None
    offsets: TensorProto | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """The token table, as `Linear` but flat for the lookup kernel; `offsets` has shape (rows, blocks, 1)."""

    bits: int | None
    weights: TensorProto
    scales: TensorProto | None
    offsets: TensorProto | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One decoder layer. `qkv` holds one stacked projection, or three where the formats of q, k and v differ."""

    attention_norm: TensorProto
    qkv: tuple[Linear, ...]
    attention_output: Linear
    feed_forward_norm: TensorProto
    gate: Linear
    up: Linear
    down: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedModel:
    """Everything that the graph builder needs; all tensors live in one external-data file."""

    shape: LlamaShape
    embedding: Embedding
    layers: tuple[Layer, ...]
    output_norm: TensorProto
    head: Linear
    cos: TensorProto
    sin: TensorProto


def pack_model(source: GgufSource, weights: WeightsFile, on_layer: Callable[[int, int], None]) -> PackedModel:
    """Reads all weights of the file and writes them; calls on_layer(done, total) as it goes.

    Raises InvalidGgufError when a tensor is missing, misshapen, or not known to the exporter.
    """
    shape = source.shape()
    table = source.matrix("token_embd.weight", shape.vocab_len, shape.hidden_len)
    embedding, tied_head = _write_table(weights, table)
    if source.has_tensor("output.weight"):
        head = _write_linear(weights, "head", source.matrix("output.weight", shape.vocab_len, shape.hidden_len))
    else:
        head = tied_head
    layers = []
    for index in range(shape.num_layers):
        layers.append(_pack_layer(source, weights, shape, index))
        on_layer(index + 1, shape.num_layers)
    norm = weights.add("output_norm", source.vector("output_norm.weight", shape.hidden_len))
    if unread := source.unread_tensors():
        raise InvalidGgufError(
            f"{source.path.name}: tensor {unread[0]} has no place in the llama graph (of {len(unread)} such)"
        )
    angles = np.outer(np.arange(shape.context_len), _inverse_frequencies(shape))
    return PackedModel(
        shape=shape,
        embedding=embedding,
        layers=tuple(layers),
        output_norm=norm,
        head=head,
        cos=weights.add("rope.cos", np.cos(angles).astype(np.float32)),
        sin=weights.add("rope.sin", np.sin(angles).astype(np.float32)),
    )


def half_split_order(num_heads: int, head_len: int) -> NDArray[np.int64]:
    """Row order that undoes GGUF's permutation of q and k.

    GGUF interleaves the two halves of each head for interleaved rotary embedding; the kernels rotate half against half.
    """
    rows = np.arange(num_heads * head_len, dtype=np.int64).reshape(num_heads, head_len // 2, 2)
    return rows.swapaxes(1, 2).reshape(-1)


def _inverse_frequencies(shape: LlamaShape) -> NDArray[np.float64]:
    exponents = np.arange(0, shape.head_len, 2, dtype=np.float64) / shape.head_len
    return np.asarray(shape.rope_theta**-exponents, dtype=np.float64)


def _pack_layer(source: GgufSource, weights: WeightsFile, shape: LlamaShape, index: int) -> Layer:
    def matrix(part: str, rows: int, columns: int) -> Matrix:
        return source.matrix(f"blk.{index}.{part}.weight", rows, columns)

    def norm(part: str) -> TensorProto:
        return weights.add(f"layer.{index}.{part}", source.vector(f"blk.{index}.{part}.weight", shape.hidden_len))

    def linear(part: str, value: Matrix) -> Linear:
        return _write_linear(weights, f"layer.{index}.{part}", value)

    hidden, inner = shape.hidden_len, shape.feed_forward_len
    q_len, kv_len = shape.num_heads * shape.head_len, shape.num_kv_heads * shape.head_len
    query = matrix("attn_q", q_len, hidden).take_rows(half_split_order(shape.num_heads, shape.head_len))
    key = matrix("attn_k", kv_len, hidden).take_rows(half_split_order(shape.num_kv_heads, shape.head_len))
    value = matrix("attn_v", kv_len, hidden)
    stacked = stack_rows([query, key, value])
    if stacked is not None:
        qkv: tuple[Linear, ...] = (linear("qkv", stacked),)
    else:
        qkv = (linear("q", query), linear("k", key), linear("v", value))
    return Layer(
        attention_norm=norm("attn_norm"),
        qkv=qkv,
        attention_output=linear("attn_output", matrix("attn_output", hidden, q_len)),
        feed_forward_norm=norm("ffn_norm"),
        gate=linear("ffn_gate", matrix("ffn_gate", inner, hidden)),
        up=linear("ffn_up", matrix("ffn_up", inner, hidden)),
        down=linear("ffn_down", matrix("ffn_down", hidden, inner)),
    )


def _write_linear(weights: WeightsFile, name: str, matrix: Matrix) -> Linear:
    rows, columns = matrix.shape
    if isinstance(matrix, Dense):
        stored = weights.add(f"{name}.weight", matrix.values)
        return Linear(rows=rows, columns=columns, bits=None, weights=stored, scales=None, offsets=None)
    return Linear(
        rows=rows,
        columns=columns,
        bits=matrix.bits,
        weights=weights.add(f"{name}.quants", matrix.packed()),
        scales=weights.add(f"{name}.scales", matrix.scales),
        offsets=None if matrix.offsets is None else weights.add(f"{name}.offsets", matrix.offsets.T),
    )


def _write_table(weights: WeightsFile, table: Matrix) -> tuple[Embedding, Linear]:
    """Writes the token table once and returns the two views of it: for the lookup and for a tied head."""
    head = _write_linear(weights, "embedding", table)
    if isinstance(table, Dense):
        return Embedding(bits=None, weights=head.weights, scales=None, offsets=None), head
    return _lookup_view(weights, table, head), head


def _lookup_view(weights: WeightsFile, table: Blockwise, head: Linear) -> Embedding:
    # The lookup kernel wants two dimensions and MatMulNBits three. A Reshape of an initializer would keep
    # MatMulNBits from packing its weights when the model loads, so two initializers share bytes in the file instead.
    flat = weights.alias("embedding.table", head.weights, (head.rows, head.columns * table.bits // 8))
    offsets = None
    if table.offsets is not None:
        offsets = weights.add("embedding.table_offsets", table.offsets[..., None])
    return Embedding(bits=table.bits, weights=flat, scales=head.scales, offsets=offsets)
