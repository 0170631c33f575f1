"""Builds the ONNX graphs of Whisper's decoder: one that gives logits, and one that says what each token listened to.

Inputs of both: input_ids, int64 (batch, sequence); past_key_values.{layer}.decoder.key and .value, float32 (batch,
heads, past, head length), where past may be 0; past_key_values.{layer}.encoder.key and .value, float32 (batch, heads,
positions, head length), which the encoder gave. No token sees those after it; the first has the position `past`.

The decoder gives logits, float32 (batch, sequence, vocabulary), and present.{layer}.decoder.key and .value.

The aligner gives cross_attentions, float32 (batch, alignment heads, sequence, positions): the shares of attention that
the heads whose attention follows the speech pay to each position of 20 ms. It has no past: it reads a text as a whole
when it is known, so that decoding does not pay for it. Layers above the last alignment head are left out.

Source: Radford et al. 2022 (Whisper); openai/whisper, whisper/timing.py; operator schema MultiHeadAttention of
onnxruntime's com.microsoft domain.
"""

from collections.abc import Callable, Iterable

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from trivium_models.graph_writer import GraphWriter
from trivium_models.speech.whisper_blocks import Blocks, finish, floats_info
from trivium_models.speech.whisper_products import Product
from trivium_models.speech.whisper_source import DecoderLayer, WhisperModel, WhisperShape

AlignmentHeads = tuple[tuple[int, int], ...]
Multiplier = Callable[[GraphWriter], Product]


def build_decoder(model: WhisperModel, multiplier: Multiplier) -> ModelProto:
    """Builds the graph that gives logits, with its weights inside. multiplier: how it multiplies."""
    graph, shape, layers = GraphWriter(), model.shape, range(model.shape.num_decoder_layers)
    _Decoder(Blocks(graph, multiplier(graph), shape), model).decode()
    past, present = (
        [name for index in layers for name in _own_names(side, index)] for side in ("past_key_values", "present")
    )
    heard = [name for index in layers for name in _heard_names(index)]
    inputs = [_tokens(), *_caches(past, shape, "past"), *_caches(heard, shape, "positions")]
    outputs = [floats_info("logits", "batch", "sequence", shape.vocab_len), *_caches(present, shape, "total")]
    return finish(graph, "whisper_decoder", inputs, outputs)


def build_aligner(model: WhisperModel, heads: AlignmentHeads, multiplier: Multiplier) -> ModelProto:
    """Builds the graph that gives the shares of attention, with its weights inside.

    multiplier: how it multiplies. heads: pairs of layer and head, sorted; the output has them in this order. Constants
    have the names and values that they have in the decoder.
    """
    graph, shape = GraphWriter(), model.shape
    _Decoder(Blocks(graph, multiplier(graph), shape), model).align(heads)
    heard = [name for index in range(heads[-1][0] + 1) for name in _heard_names(index)]
    # Of the last layer nobody reads the values.
    inputs = [_tokens(), *_caches(heard[:-1], shape, "positions")]
    outputs = [floats_info("cross_attentions", "batch", len(heads), "sequence", "positions")]
    return finish(graph, "whisper_aligner", inputs, outputs)


class _Decoder:
    def __init__(self, blocks: Blocks, model: WhisperModel) -> None:
        self.blocks = blocks
        self.graph = blocks.graph
        self.model = model

    def decode(self) -> None:
        graph, blocks, model = self.graph, self.blocks, self.model
        past_len = graph.node("Shape", [_own_names("past_key_values", 0)[0]], "past_len", start=2, end=3)
        rows = self._embed(past_len)
        for index, layer in enumerate(model.decoder_layers):
            past, present = _own_names("past_key_values", index), _own_names("present", index)
            attended = blocks.self_attention(
                f"decoder.{index}/attention", layer.attention, rows, causal=True, past=past, present=present
            )
            heard = self._listen(index, layer, self._query(index, layer, attended), attended)
            rows = blocks.feed_forward(f"decoder.{index}/feed_forward", layer.feed_forward, heard)
        said = blocks.norm("decoder.norm", model.decoder_norm, rows)
        flat = blocks.multiply.scores("flat_logits", said, "words", model.words)
        graph.node("Concat", ["lengths", graph.ints("vocab_len", model.shape.vocab_len)], "logits_shape", axis=0)
        graph.node("Reshape", [flat, "logits_shape"], "logits")

    def align(self, heads: AlignmentHeads) -> None:
        graph, blocks, last = self.graph, self.blocks, heads[-1][0]
        rows = self._embed(graph.ints("index_0", 0))
        shares = []
        for index, layer in enumerate(self.model.decoder_layers[: last + 1]):
            attended = blocks.self_attention(f"decoder.{index}/attention", layer.attention, rows, causal=True)
            query = self._query(index, layer, attended)
            if chosen := [head for its_layer, head in heads if its_layer == index]:
                shares.append(self._shares(index, query, chosen))
            if index < last:
                heard = self._listen(index, layer, query, attended)
                rows = blocks.feed_forward(f"decoder.{index}/feed_forward", layer.feed_forward, heard)
        graph.node("Concat", shares, "cross_attentions", axis=1)

    def _embed(self, past_len: str) -> str:
        graph, blocks, model = self.graph, self.blocks, self.model
        blocks.set_lengths(graph.node("Shape", ["input_ids"], "lengths"))
        # As exact as the source, which has halves, and half of what it would take besides the table of the logits.
        halves = graph.const("words.half", model.words.astype(np.float16))
        words = graph.node("Gather", [halves, "input_ids"], "half_vectors", axis=0)
        words = graph.node("Cast", [words], "word_vectors", to=TensorProto.FLOAT)
        sequence_len = graph.node("Shape", ["input_ids"], "sequence_len", start=1, end=2)
        end = graph.node("Add", [past_len, sequence_len], "total_len")
        table, axis = graph.const("text_positions", model.text_positions), graph.ints("index_0", 0)
        positions = graph.node("Slice", [table, past_len, end, axis], "places")
        return blocks.flatten("embedded", graph.node("Add", [words, positions], "placed_words"))

    def _query(self, index: int, layer: DecoderLayer, rows: str) -> str:
        blocks, at = self.blocks, f"decoder.{index}/cross"
        return blocks.multiply(f"{at}/query", blocks.norm(f"{at}/norm", layer.cross.norm, rows), layer.cross.query)

    def _listen(self, index: int, layer: DecoderLayer, query: str, rows: str) -> str:
        """The block of attention to the encoder's keys and values, with its residual."""
        blocks, at = self.blocks, f"decoder.{index}/cross"
        shaped = self.graph.node("Reshape", [query, "rows_shape"], f"{at}/query_rows")
        attended = blocks.attend(at, [shaped, *_heard_names(index)])
        return blocks.add(at, blocks.multiply(f"{at}/output", attended, layer.cross.output), rows)

    def _shares(self, index: int, query: str, heads: list[int]) -> str:
        """The softmax of the scores of some heads, (batch, heads, sequence, positions)."""
        graph, at = self.graph, f"decoder.{index}/shares"
        chosen = graph.ints(f"{at}/heads", *heads)
        split = graph.node("Reshape", [query, "heads_shape"], f"{at}/split")
        queries = graph.node("Transpose", [split], f"{at}/transposed", perm=[0, 2, 1, 3])
        queries = graph.node("Gather", [queries, chosen], f"{at}/queries", axis=1)
        keys = graph.node("Gather", [_heard_names(index)[0], chosen], f"{at}/keys", axis=1)
        columns = graph.node("Transpose", [keys], f"{at}/columns", perm=[0, 1, 3, 2])
        scale = graph.const("head_scale", np.array(self.model.shape.head_len**-0.5, dtype=np.float32))
        scores = graph.node("MatMul", [graph.node("Mul", [queries, scale], f"{at}/scaled"), columns], f"{at}/scores")
        return graph.node("Softmax", [scores], at, axis=-1)


def _own_names(side: str, index: int) -> list[str]:
    return [f"{side}.{index}.decoder.{part}" for part in ("key", "value")]


def _heard_names(index: int) -> list[str]:
    return [f"past_key_values.{index}.encoder.{part}" for part in ("key", "value")]


def _tokens() -> ValueInfoProto:
    return helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])


def _caches(names: Iterable[str], shape: WhisperShape, length: str) -> list[ValueInfoProto]:
    return [floats_info(name, "batch", shape.num_heads, length, shape.head_len) for name in names]
