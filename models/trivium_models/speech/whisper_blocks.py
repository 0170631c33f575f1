"""What the graphs of Whisper's encoder and decoder have in common: pre-norm blocks over flat rows.

Between the blocks hidden states lie flat, (batch x sequence, hidden), so that every product is one of two matrices.
"""

from collections.abc import Sequence

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from trivium_models.bert_source import Norm
from trivium_models.graph_writer import FUSED_DOMAIN, GraphWriter
from trivium_models.speech.whisper_products import Product
from trivium_models.speech.whisper_source import FeedForward, SelfAttention, WhisperShape

_NORM_EPSILON = 1e-5


class Blocks:
    """Writes blocks into a graph; set_lengths comes first."""

    def __init__(self, graph: GraphWriter, multiply: Product, shape: WhisperShape) -> None:
        self.graph = graph
        self.multiply = multiply
        self.shape = shape

    def set_lengths(self, lengths: str) -> None:
        """Says how many rows there are: lengths is the name of a vector, (batch, sequence)."""
        graph, shape = self.graph, self.shape
        graph.ints("flat_shape", -1, shape.hidden_len)
        for name, dims in (
            ("rows_shape", [shape.hidden_len]),
            ("qkv_shape", [3 * shape.hidden_len]),
            ("heads_shape", [shape.num_heads, shape.head_len]),
        ):
            graph.node("Concat", [lengths, graph.ints(f"{name}/dims", *dims)], name, axis=0)

    def flatten(self, name: str, rows: str) -> str:
        """(batch, sequence, hidden) as flat rows."""
        return self.graph.node("Reshape", [rows, "flat_shape"], name)

    def norm(self, name: str, norm: Norm, rows: str) -> str:
        """A layer norm of each row."""
        gain, bias = self.graph.const(f"{name}.gain", norm.gain), self.graph.const(f"{name}.bias", norm.bias)
        return self.graph.node("LayerNormalization", [rows, gain, bias], name, axis=-1, epsilon=_NORM_EPSILON)

    def self_attention(
        self,
        at: str,
        block: SelfAttention,
        rows: str,
        *,
        causal: bool = False,
        past: Sequence[str] = (),
        present: Sequence[str] = (),
    ) -> str:
        """The self-attention block with its residual. causal: nothing sees what comes after it.

        past and present: names of earlier keys and values, and of these with those of the rows behind them.
        """
        graph = self.graph
        qkv = self.multiply(f"{at}/qkv", self.norm(f"{at}/norm", block.norm, rows), block.qkv)
        parts = [f"{at}/{part}" for part in "qkv"]
        shaped = graph.node("Reshape", [qkv, "qkv_shape"], f"{at}/qkv_rows")
        graph.nodes.append(helper.make_node("Split", [shaped], parts, name=f"{at}/split", axis=-1, num_outputs=3))
        attended = self.attend(at, parts, causal=causal, past=past, present=present)
        return self.add(at, self.multiply(f"{at}/output", attended, block.output), rows)

    def attend(
        self,
        at: str,
        qkv: Sequence[str],
        *,
        causal: bool = False,
        past: Sequence[str] = (),
        present: Sequence[str] = (),
    ) -> str:
        """Fused attention, flat again. qkv: as the operator's schema has them; the rest as in self_attention."""
        node = helper.make_node(
            "MultiHeadAttention",
            # Neither bias nor mask nor anything added to the scores.
            [*qkv, "", "", "", *past] if past else list(qkv),
            [f"{at}/heads", *present],
            name=f"{at}/heads",
            domain=FUSED_DOMAIN,
            num_heads=self.shape.num_heads,
            unidirectional=int(causal),
        )
        self.graph.nodes.append(node)
        return self.flatten(f"{at}/attended", f"{at}/heads")

    def feed_forward(self, at: str, block: FeedForward, rows: str) -> str:
        """The feed-forward block with its residual."""
        up = self.multiply(f"{at}/up", self.norm(f"{at}/norm", block.norm, rows), block.up)
        inner = self.graph.node("Gelu", [up], f"{at}/inner")
        return self.add(at, self.multiply(f"{at}/down", inner, block.down), rows)

    def add(self, name: str, update: str, residual: str) -> str:
        """The residual stream after a block."""
        return self.graph.node("Add", [update, residual], name)


def floats_info(name: str, *dims: str | int) -> ValueInfoProto:
    """An input or output of float32; a dimension with a name can have any length."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def finish(
    graph: GraphWriter, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
) -> ModelProto:
    """The model of what was written, with its weights inside."""
    made = helper.make_graph(graph.nodes, name, list(inputs), list(outputs), list(graph.initializers.values()))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(FUSED_DOMAIN, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10, producer_name="trivium-models")
