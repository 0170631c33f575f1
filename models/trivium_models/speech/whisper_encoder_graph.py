"""Builds the ONNX graph of Whisper's encoder.

Input input_features, float32 (batch, mels, frames): log-mel features, one frame per 10 ms, any even number of frames
up to the window of 30 s. Outputs present.{layer}.encoder.key and .value, float32 (batch, heads, frames / 2, head
length): what each layer of the decoder attends to, computed here once for all tokens.

Source: Radford et al. 2022 (Whisper); operator schema MultiHeadAttention of onnxruntime's com.microsoft domain.
"""

from onnx import ModelProto

from trivium_models.graph_writer import GraphWriter
from trivium_models.speech.whisper_blocks import Blocks, finish, floats_info
from trivium_models.speech.whisper_products import FloatProduct
from trivium_models.speech.whisper_source import Convolution, WhisperModel


def build_encoder(model: WhisperModel) -> ModelProto:
    """Builds the graph with its weights inside."""
    graph, shape = GraphWriter(), model.shape
    _Encoder(Blocks(graph, FloatProduct(graph), shape), model).build()
    dims = ("batch", shape.num_heads, "positions", shape.head_len)
    outputs = [
        floats_info(f"present.{index}.encoder.{part}", *dims)
        for index in range(shape.num_decoder_layers)
        for part in ("key", "value")
    ]
    features = floats_info("input_features", "batch", shape.num_mels, "frames")
    return finish(graph, "whisper_encoder", [features], outputs)


class _Encoder:
    def __init__(self, blocks: Blocks, model: WhisperModel) -> None:
        self.blocks = blocks
        self.graph = blocks.graph
        self.model = model

    def build(self) -> None:
        graph, blocks = self.graph, self.blocks
        rows = self._embed()
        for index, layer in enumerate(self.model.encoder_layers):
            attended = blocks.self_attention(f"encoder.{index}/attention", layer.attention, rows)
            rows = blocks.feed_forward(f"encoder.{index}/feed_forward", layer.feed_forward, attended)
        heard = blocks.norm("encoder.norm", self.model.encoder_norm, rows)
        for index, decoder_layer in enumerate(self.model.decoder_layers):
            for part, linear in (("key", decoder_layer.cross.key), ("value", decoder_layer.cross.value)):
                flat = blocks.multiply(f"decoder.{index}/cross_{part}", heard, linear)
                split = graph.node("Reshape", [flat, "heads_shape"], f"{flat}/heads")
                graph.node("Transpose", [split], f"present.{index}.encoder.{part}", perm=[0, 2, 1, 3])

    def _embed(self) -> str:
        graph, model = self.graph, self.model
        first, second = model.convolutions
        inner = self._convolve("convolution.0", first, "input_features", stride=1)
        outer = self._convolve("convolution.1", second, inner, stride=2)
        frames = graph.node("Transpose", [outer], "frames", perm=[0, 2, 1])
        self.blocks.set_lengths(graph.node("Shape", [frames], "lengths", start=0, end=2))
        table, start = graph.const("audio_positions", model.audio_positions), graph.ints("index_0", 0)
        num_positions = graph.node("Shape", [frames], "num_positions", start=1, end=2)
        positions = graph.node("Slice", [table, start, num_positions, start], "positions")
        return self.blocks.flatten("embedded", graph.node("Add", [frames, positions], "placed"))

    def _convolve(self, name: str, layer: Convolution, frames: str, *, stride: int) -> str:
        graph = self.graph
        inputs = [frames, graph.const(f"{name}.kernel", layer.kernel), graph.const(f"{name}.bias", layer.bias)]
        convolved = graph.node("Conv", inputs, name, kernel_shape=[3], pads=[1, 1], strides=[stride])
        return graph.node("Gelu", [convolved], f"{name}/gelu")
