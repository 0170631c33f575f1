"""Builds ONNX graphs of the Llama family from packed weights, out of onnxruntime's fused operators.

Two layouts over the same weights. "standard" has the inputs of onnxruntime-genai: input_ids, attention_mask, past in
and present out, logits for every position. "ragged" is the serving graph: rows of unequal length in one step
(query_seqlens, seqlens_k), and logits only for the (row, position) pairs of logits_idx.

Sources: Touvron et al. 2023 (Llama); operator schemas GroupQueryAttention, MatMulNBits, GatherBlockQuantized and
SkipSimplifiedLayerNormalization of onnxruntime's com.microsoft domain.
"""

from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from trivium_models.packed_model import Layer, Linear, PackedModel
from trivium_models.quantized import BLOCK_LEN

Layout = Literal["standard", "ragged"]

_FUSED = "com.microsoft"
# GroupQueryAttention takes query_seqlens as its 17th input (onnxruntime 1.32 and later).
_QUERY_SEQLENS_INPUT = 16


def build_graph(model: PackedModel, *, layout: Layout, accuracy_level: int) -> ModelProto:
    """Builds one graph.

    accuracy_level is MatMulNBits': 0 computes in float32 from dequantised weights (exact, slow), 4 quantises
    activations to int8 per block (fast). The weights stay in the external file that `model` refers to.
    """
    builder = _Builder(model, layout, accuracy_level)
    builder.decoder()
    graph = helper.make_graph(
        builder.nodes, "llama", builder.inputs, builder.outputs, list(builder.initializers.values())
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="trivium-models")


class _Builder:
    def __init__(self, model: PackedModel, layout: Layout, accuracy_level: int) -> None:
        self.model = model
        self.layout = layout
        self.accuracy_level = accuracy_level
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._block_sums: dict[str, str] = {}

    def decoder(self) -> None:
        """The whole network, from token ids to logits."""
        self._declare_tokens()
        hidden = self._embed()
        residual: str | None = None
        for index, layer in enumerate(self.model.layers):
            hidden, residual = self._layer(index, layer, hidden, residual)
        hidden, _ = self._norm("final", self.model.output_norm, hidden, residual)
        self._logits(hidden)

    def _declare_tokens(self) -> None:
        self._input("input_ids", TensorProto.INT64, ["batch", "sequence"])
        if self.layout == "ragged":
            self._input("seqlens_k", TensorProto.INT32, ["batch"])
            self._input("total_sequence_length", TensorProto.INT32, [])
            self._input("query_seqlens", TensorProto.INT32, ["batch"])
            self._input("logits_idx", TensorProto.INT64, ["selected", 2])
            return
        # GroupQueryAttention wants the index of the last key of each row and the length of the longest row.
        self._input("attention_mask", TensorProto.INT64, ["batch", "total"])
        row_lens = self._node("ReduceSum", ["attention_mask", self._const("axis_1", [1])], "row_lens", keepdims=0)
        last = self._node("Sub", [row_lens, self._const("one", 1)], "last_key")
        self._node("Cast", [last], "seqlens_k", to=TensorProto.INT32)
        shape = self._node("Shape", ["attention_mask"], "mask_shape")
        total = self._node("Gather", [shape, self._const("index_1", 1)], "mask_len")
        self._node("Cast", [total], "total_sequence_length", to=TensorProto.INT32)

    def _embed(self) -> str:
        table, shape = self.model.embedding, self.model.shape
        if table.bits is None or table.scales is None:
            return self._node("Gather", [self._weight(table.weights), "input_ids"], "embedded", axis=0)
        found = self._node(
            "GatherBlockQuantized",
            [self._weight(table.weights), "input_ids", self._weight(table.scales)],
            "embedded",
            domain=_FUSED,
            bits=table.bits,
            block_size=BLOCK_LEN,
            gather_axis=0,
            quantize_axis=1,
        )
        if table.offsets is None:
            return found
        blocks = self._node("Reshape", [found, self._blocks_shape(3, shape.hidden_len)], "embedded/blocks")
        offsets = self._node("Gather", [self._weight(table.offsets), "input_ids"], "embedded/offsets", axis=0)
        shifted = self._node("Add", [blocks, offsets], "embedded/shifted")
        return self._node("Reshape", [shifted, self._const("hidden_shape", [0, 0, shape.hidden_len])], "embedded/whole")

    def _layer(self, index: int, layer: Layer, hidden: str, residual: str | None) -> tuple[str, str]:
        at = f"layer.{index}"
        hidden, residual = self._norm(f"{at}/attention_norm", layer.attention_norm, hidden, residual)
        hidden = self._attention(index, layer, hidden)
        hidden, residual = self._norm(f"{at}/ffn_norm", layer.feed_forward_norm, hidden, residual)
        gate = self._linear(f"{at}/gate", layer.gate, hidden, rank=3)
        up = self._linear(f"{at}/up", layer.up, hidden, rank=3)
        # QuickGelu with alpha 1 is x * sigmoid(x), the SiLU of Llama, in one kernel.
        silu = self._node("QuickGelu", [gate], f"{at}/silu", domain=_FUSED, alpha=1.0)
        inner = self._node("Mul", [silu, up], f"{at}/inner")
        return self._linear(f"{at}/down", layer.down, inner, rank=3), residual

    def _attention(self, index: int, layer: Layer, hidden: str) -> str:
        shape, at = self.model.shape, f"layer.{index}"
        projected = [
            self._linear(f"{at}/{part}", one, hidden, rank=3) for part, one in zip("qkv", layer.qkv, strict=False)
        ]
        projected += [""] * (3 - len(projected))
        past = [f"past_key_values.{index}.{part}" for part in ("key", "value")]
        present = [f"present.{index}.{part}" for part in ("key", "value")]
        for name in past:
            self._input(name, TensorProto.FLOAT, ["batch", shape.num_kv_heads, "past_capacity", shape.head_len])
        for name in present:
            dims: list[str | int] = ["batch", shape.num_kv_heads, "present_capacity", shape.head_len]
            self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
        rotary = [self._weight(self.model.cos), self._weight(self.model.sin)]
        inputs = [*projected, *past, "seqlens_k", "total_sequence_length", *rotary]
        if self.layout == "ragged":
            inputs += [""] * (_QUERY_SEQLENS_INPUT - len(inputs)) + ["query_seqlens"]
        attended = f"{at}/attended"
        self.nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                inputs,
                [attended, *present],
                name=attended,
                domain=_FUSED,
                num_heads=shape.num_heads,
                kv_num_heads=shape.num_kv_heads,
                do_rotary=1,
                rotary_interleaved=0,
                scale=shape.head_len**-0.5,
            )
        )
        return self._linear(f"{at}/attention_output", layer.attention_output, attended, rank=3)

    def _norm(self, name: str, gain: TensorProto, hidden: str, residual: str | None) -> tuple[str, str]:
        """RMS norm of hidden + residual; returns the norm and the sum, which is the next residual."""
        epsilon = self.model.shape.rms_epsilon
        weight = self._weight(gain)
        if residual is None:
            inputs = [hidden, weight]
            return self._node(
                "SimplifiedLayerNormalization", inputs, name, axis=-1, epsilon=epsilon, stash_type=1
            ), hidden
        total = f"{name}/sum"
        node = helper.make_node(
            "SkipSimplifiedLayerNormalization",
            [hidden, residual, weight],
            [name, "", "", total],
            name=name,
            domain=_FUSED,
            epsilon=epsilon,
        )
        self.nodes.append(node)
        return name, total

    def _logits(self, hidden: str) -> None:
        vocab_len = self.model.shape.vocab_len
        if self.layout == "ragged":
            hidden, rank = self._node("GatherND", [hidden, "logits_idx"], "selected_hidden"), 2
            dims: list[str | int] = ["selected", vocab_len]
        else:
            rank, dims = 3, ["batch", "sequence", vocab_len]
        self._linear("logits", self.model.head, hidden, rank=rank)
        self.outputs.insert(0, helper.make_tensor_value_info("logits", TensorProto.FLOAT, dims))

    def _linear(self, name: str, linear: Linear, hidden: str, *, rank: int) -> str:
        if linear.bits is None or linear.scales is None:
            return self._node("FusedMatMul", [hidden, self._weight(linear.weights)], name, domain=_FUSED, transB=1)
        product = self._node(
            "MatMulNBits",
            [hidden, self._weight(linear.weights), self._weight(linear.scales)],
            name if linear.offsets is None else f"{name}/product",
            domain=_FUSED,
            K=linear.columns,
            N=linear.rows,
            bits=linear.bits,
            block_size=BLOCK_LEN,
            accuracy_level=self.accuracy_level,
        )
        if linear.offsets is None:
            return product
        sums = self._sums_of(hidden, rank, linear.columns)
        correction = self._node("MatMul", [sums, self._weight(linear.offsets)], f"{name}/correction")
        return self._node("Add", [product, correction], name)

    def _sums_of(self, hidden: str, rank: int, columns: int) -> str:
        """Sums over each block of 32 inputs; computed once for all matrices that read the same input."""
        if hidden not in self._block_sums:
            blocks = self._node("Reshape", [hidden, self._blocks_shape(rank, columns)], f"{hidden}/blocks")
            inputs = [blocks, self._const("axis_last", [-1])]
            self._block_sums[hidden] = self._node("ReduceSum", inputs, f"{hidden}/block_sums", keepdims=0)
        return self._block_sums[hidden]

    def _blocks_shape(self, rank: int, columns: int) -> str:
        num_blocks = columns // BLOCK_LEN
        return self._const(f"blocks_shape_{rank}_{num_blocks}", [0] * (rank - 1) + [num_blocks, BLOCK_LEN])

    def _input(self, name: str, data_type: int, dims: list[str | int]) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, data_type, dims))

    def _weight(self, tensor: TensorProto) -> str:
        self.initializers[tensor.name] = tensor
        return tensor.name

    def _const(self, name: str, value: int | list[int]) -> str:
        self.initializers[name] = numpy_helper.from_array(np.array(value, dtype=np.int64), name)
        return name

    def _node(self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: float) -> str:
        node = helper.make_node(operator, inputs, [output], name=output, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return output
