"""Builds the ONNX graph of a BERT encoder, out of onnxruntime's fused operators.

Inputs input_ids, attention_mask and token_type_ids, int64 (batch, sequence), as Hugging Face's exports have them;
output last_hidden_state, float32 (batch, sequence, hidden). Pooling is the reader's work: it costs nothing beside the
encoder, and readers then take any encoder's graph alike.

A text's hidden states are the same to the last bit alone, in every batch and behind every padding: no step looks at
more than one token but attention, whose masked keys add nothing.

Sources: Devlin et al. 2019 (BERT); operator schemas MultiHeadAttention and MatMulIntegerToFloat of
onnxruntime's com.microsoft domain.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from trivium_models.bert_source import BertModel, Layer, Linear, Norm
from trivium_models.catalog import Precision
from trivium_models.graph_writer import FUSED_DOMAIN, GraphWriter
from trivium_models.row_quantized import GELU_CODES, SYMMETRIC_CODES, Codes, IntegerProduct

Floats = NDArray[np.float32]

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def build_graph(
    model: BertModel, *, precision: Precision, on_layer: Callable[[int, int], None] = lambda _done, _total: None
) -> ModelProto:
    """Builds the graph with its weights inside; calls on_layer(done, total) as it goes.

    precision: "fp32", or "int8", where every matrix product is one of integers, with a scale per token and per output
    (see row_quantized.py); norms, attention and the token table stay float32.
    """
    graph = GraphWriter()
    multiply = _FloatProduct(graph) if precision == "fp32" else IntegerProduct(graph)
    _Encoder(graph, multiply, model).build(on_layer)
    hidden = helper.make_tensor_value_info(
        "last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", model.shape.hidden_len]
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in _INPUTS]
    made = helper.make_graph(graph.nodes, "bert", inputs, [hidden], list(graph.initializers.values()))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(FUSED_DOMAIN, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10, producer_name="trivium-models")


class Product(Protocol):
    """x @ weights + bias for the rows of x; `codes` says which values x can have. Returns the name of the result."""

    def __call__(self, name: str, rows: str, linear: Linear, codes: Codes) -> str: ...


class _FloatProduct:
    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph

    def __call__(self, name: str, rows: str, linear: Linear, codes: Codes) -> str:  # noqa: ARG002 - floats need no codes
        weights = self._graph.const(f"{name}.weights", linear.weights)
        return self._graph.node("Gemm", [rows, weights, self._graph.const(f"{name}.bias", linear.bias)], name)


class _Encoder:
    """The network. Between the layers, hidden states lie flat: (batch x sequence, hidden)."""

    def __init__(self, graph: GraphWriter, multiply: Product, model: BertModel) -> None:
        self.graph = graph
        self.multiply = multiply
        self.model = model

    def build(self, on_layer: Callable[[int, int], None]) -> None:
        graph, hidden_len = self.graph, self.model.shape.hidden_len
        tokens = graph.node("Shape", ["input_ids"], "tokens_shape")
        graph.node("Concat", [tokens, graph.ints("hidden_len", hidden_len)], "hidden_shape", axis=0)
        graph.node("Concat", [tokens, graph.ints("qkv_len", 3 * hidden_len)], "qkv_shape", axis=0)
        graph.ints("flat_shape", -1, hidden_len)
        # MultiHeadAttention takes the mask as int32.
        graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        hidden = self._embed(tokens)
        for index, layer in enumerate(self.model.layers):
            hidden = self._layer(f"layer.{index}", layer, hidden)
            on_layer(index + 1, len(self.model.layers))
        graph.node("Reshape", [hidden, "hidden_shape"], "last_hidden_state")

    def _embed(self, tokens: str) -> str:
        graph, model = self.graph, self.model
        num_tokens = graph.node("Gather", [tokens, graph.ints("index_1", 1)], "sequence_len", axis=0)
        start = graph.ints("index_0", 0)
        positions = graph.node("Slice", [graph.const("positions", model.positions), start, num_tokens, start], "places")
        words = graph.node("Gather", [graph.const("words", model.words), "input_ids"], "word_vectors", axis=0)
        types = graph.node("Gather", [graph.const("types", model.types), "token_type_ids"], "type_vectors", axis=0)
        summed = graph.node("Add", [graph.node("Add", [words, types], "typed_words"), positions], "placed_words")
        flat = graph.node("Reshape", [summed, "flat_shape"], "flat_words")
        return self._norm("embeddings", model.embedding_norm, flat)

    def _layer(self, at: str, layer: Layer, hidden: str) -> str:
        graph = self.graph
        attended = self._attention(at, layer, hidden)
        output = self.multiply(f"{at}/attention_output", attended, layer.attention_output, SYMMETRIC_CODES)
        hidden = self._add_norm(f"{at}/attention_norm", layer.attention_norm, output, hidden)
        up = self.multiply(f"{at}/up", hidden, layer.up, SYMMETRIC_CODES)
        inner = graph.node("Gelu", [up], f"{at}/inner")
        down = self.multiply(f"{at}/down", inner, layer.down, GELU_CODES)
        return self._add_norm(at, layer.output_norm, down, hidden)

    def _attention(self, at: str, layer: Layer, hidden: str) -> str:
        graph = self.graph
        qkv = self.multiply(f"{at}/qkv", hidden, layer.qkv, SYMMETRIC_CODES)
        shaped = graph.node("Reshape", [qkv, "qkv_shape"], f"{at}/qkv_rows")
        parts = [f"{at}/{part}" for part in "qkv"]
        graph.nodes.append(helper.make_node("Split", [shaped], parts, name=f"{at}/split", axis=-1, num_outputs=3))
        inputs = [*parts, "", "mask"]
        heads = graph.node(
            "MultiHeadAttention", inputs, f"{at}/heads", domain=FUSED_DOMAIN, num_heads=self.model.shape.num_heads
        )
        return graph.node("Reshape", [heads, "flat_shape"], f"{at}/attended")

    def _add_norm(self, at: str, norm: Norm, update: str, residual: str) -> str:
        """The norm of update + residual, in two nodes: the fused one is several times as slow on a CPU."""
        summed = self.graph.node("Add", [update, residual], f"{at}/sum")
        return self._norm(at, norm, summed)

    def _norm(self, at: str, norm: Norm, rows: str) -> str:
        gain, bias = self.graph.const(f"{at}.gain", norm.gain), self.graph.const(f"{at}.bias", norm.bias)
        epsilon = self.model.shape.norm_epsilon
        return self.graph.node("LayerNormalization", [rows, gain, bias], at, axis=-1, epsilon=epsilon)
