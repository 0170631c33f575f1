"""Builds the ONNX graph of EfficientNet-Lite0 from its PyTorch weights.

Input pixel_values, float32 (batch, 3, 224, 224); outputs logits (batch, classes), and pooler_output (batch, 1280), the
means of the last features, which the classification is made from.

The network was trained in TensorFlow, so at stride 2 padding is asymmetric: one more row below and to the right.
Normalization is folded into the convolutions before it. Sources: Tan & Le 2019 (EfficientNet), table 1; "Lite" leaves
out squeeze-and-excitation and has ReLU6 for swish.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper

from trivium_models.graph_writer import GraphWriter
from trivium_models.vision.image_layout import INPUT_NAME
from trivium_models.vision.pth_source import Floats, TorchState

IMAGE_LEN = 224
FEATURES_LEN = 1280
NUM_CLASSES = 1000
NORM_EPSILON = 1e-3
STEM_LEN = 32
# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def build_graph(state: TorchState) -> ModelProto:
    """Builds the graph with its weights inside. InvalidModelError when the file holds another network."""
    graph = GraphWriter()
    _Network(graph, state).build()
    state.require_all_taken()
    takes = [
        helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", 3, IMAGE_LEN, IMAGE_LEN]),
    ]
    gives = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", NUM_CLASSES]),
        helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["batch", FEATURES_LEN]),
    ]
    made = helper.make_graph(graph.nodes, "efficientnet_lite0", takes, gives, list(graph.initializers.values()))
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10, producer_name="trivium-models")


class _Network:
    def __init__(self, graph: GraphWriter, state: TorchState) -> None:
        self.graph = graph
        self.state = state
        graph.const("zero", np.array(0, np.float32))
        graph.const("six", np.array(6, np.float32))

    def build(self) -> None:
        graph, channels = self.graph, STEM_LEN
        image = self._activated("stem", self._conv("stem", INPUT_NAME, "_conv_stem", "_bn0", (STEM_LEN, 3, 3), 2))
        index = 0
        for num_blocks, kernel_len, first_stride, expansion, width in STAGES:
            for block in range(num_blocks):
                stride = first_stride if block == 0 else 1
                image = self._block(index, image, channels, kernel_len, stride, expansion, width)
                channels, index = width, index + 1
        head = self._conv("head", image, "_conv_head", "_bn1", (FEATURES_LEN, channels, 1))
        pooled = graph.node("GlobalAveragePool", [self._activated("head", head)], "pooled")
        features = graph.node("Flatten", [pooled], "pooler_output", axis=1)
        weights = graph.const("classes.weights", self.state.take("_fc.weight", NUM_CLASSES, FEATURES_LEN))
        bias = graph.const("classes.bias", self.state.take("_fc.bias", NUM_CLASSES))
        graph.node("Gemm", [features, weights, bias], "logits", transB=1)

    def _block(
        self, index: int, image: str, channels: int, kernel_len: int, stride: int, expansion: int, width: int
    ) -> str:
        at, theirs, inner = f"block.{index}", f"_blocks.{index}", channels * expansion
        grown = image
        if expansion > 1:
            shape = (inner, channels, 1)
            expand = self._conv(f"{at}/expand", image, f"{theirs}._expand_conv", f"{theirs}._bn0", shape)
            grown = self._activated(f"{at}/expand", expand)
        shape = (inner, 1, kernel_len)
        depthwise = self._conv(
            f"{at}/depthwise", grown, f"{theirs}._depthwise_conv", f"{theirs}._bn1", shape, stride, groups=inner
        )
        seen = self._activated(f"{at}/depthwise", depthwise)
        shape = (width, inner, 1)
        narrow = self._conv(f"{at}/project", seen, f"{theirs}._project_conv", f"{theirs}._bn2", shape)
        if stride == 1 and channels == width:
            return self.graph.node("Add", [narrow, image], at)
        return narrow

    def _conv(
        self,
        name: str,
        image: str,
        conv: str,
        norm: str,
        shape: tuple[int, int, int],
        stride: int = 1,
        groups: int = 1,
    ) -> str:
        """A convolution and the normalization after it. shape: outputs, inputs of a group, length of the kernel."""
        outputs, inputs, kernel_len = shape
        weights = self.state.take(f"{conv}.weight", outputs, inputs, kernel_len, kernel_len)
        folded, bias = self._folded(weights, norm)
        # Every image here has an even length where the stride is 2, so what is missing does not depend on the image.
        missing = kernel_len - stride
        return self.graph.node(
            "Conv",
            [image, self.graph.const(f"{name}.weights", folded), self.graph.const(f"{name}.bias", bias)],
            name,
            kernel_shape=[kernel_len, kernel_len],
            strides=[stride, stride],
            pads=[missing // 2, missing // 2, missing - missing // 2, missing - missing // 2],
            group=groups,
        )

    def _folded(self, weights: Floats, norm: str) -> tuple[Floats, Floats]:
        """Weights and bias of the convolution that normalizes as well."""
        outputs = len(weights)
        gain, shift, mean, variance = (
            self.state.take(f"{norm}.{part}", outputs).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / np.sqrt(variance + NORM_EPSILON)
        folded = weights * scale[:, None, None, None]
        return folded.astype(np.float32), (shift - mean * scale).astype(np.float32)

    def _activated(self, name: str, image: str) -> str:
        return self.graph.node("Clip", [image, "zero", "six"], f"{name}/relu6")
