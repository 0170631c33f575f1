"""Writes a TensorFlow.js graph of convolutions as ONNX, operation by operation.

TensorFlow keeps channels last, and graphs that came from PyTorch turn every image around before and after each
convolution. Here images stay as ONNX has them, channels first, and only the reading of their axes changes: the turning
leaves no trace, paddings and biases become part of the convolutions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trivium_models.errors import InvalidModelError
from trivium_models.graph_writer import GraphWriter
from trivium_models.vision.tfjs_constants import TfjsConstants
from trivium_models.vision.tfjs_source import Array, TfjsModel, TfjsNode

_TO_CHANNELS_LAST = (0, 2, 3, 1)
_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_NO_PADDING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A value of the ONNX graph. channels_last: how TensorFlow sees the image that is stored channels first.

    padding: zeros around the image (above, left, below, right) that its reader has yet to add.
    """

    name: str
    channels_last: bool = False
    padding: tuple[int, int, int, int] = _NO_PADDING


class TfjsConverter:
    """Converts one model, for batches of any size. input_name: what its image is called in the ONNX graph."""

    def __init__(self, model: TfjsModel, graph: GraphWriter, input_name: str) -> None:
        self._model = model
        self._graph = graph
        self._input_name = input_name
        self._constants = TfjsConstants(model)
        self._values: dict[str, tuple[_Value, ...]] = {}
        self._convolutions: dict[str, int] = {}
        self._operators: Mapping[str, Callable[[TfjsNode], _Value | tuple[_Value, ...]]] = {
            "Placeholder": lambda _node: _Value(name=self._input_name),
            "Identity": lambda node: self._value(node.inputs[0]),
            "Transpose": self._transpose,
            "Pad": self._pad,
            "PadV2": self._pad,
            "Conv2D": self._conv,
            "MaxPool": self._max_pool,
            "ResizeBilinear": self._resize,
            "Add": self._add,
            "AddV2": self._add,
            "LeakyRelu": lambda node: self._each(node, "LeakyRelu", alpha=node.attributes.number("alpha")),
            "Sigmoid": lambda node: self._each(node, "Sigmoid"),
            "ConcatV2": self._concat,
            "SplitV": self._split,
            "Reshape": self._reshape,
        }

    def convert(self, output: str) -> str:
        """Adds what the output needs to the graph and returns the name of its value, in TensorFlow's order of axes.

        Raises InvalidModelError for what this converter does not know.
        """
        # Each node after its inputs, without recursion: a stranger's graph may be deeper than Python's stack.
        waiting = [output]
        while waiting:
            name = waiting[-1]
            needed = [one for one in self._needs(name) if one not in self._values]
            if needed:
                if len(waiting) > len(self._model.nodes):
                    raise InvalidModelError(f"{self._model.name}: {name} depends on itself")
                waiting += needed[:1]
            else:
                self._convert_node(waiting.pop())
        return self._plain(output)

    def _needs(self, name: str) -> list[str]:
        node = self._model.node(name)
        return [one.partition(":")[0] for one in node.inputs if not self._constants.knows(one)]

    def _convert_node(self, name: str) -> None:
        if name in self._values:
            return
        node = self._model.node(name)
        if node.operator not in self._operators:
            raise InvalidModelError(f"{self._model.name}: operation {node.operator} of {name} is not supported")
        try:
            made = self._operators[node.operator](node)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise InvalidModelError(f"{self._model.name}: {name} is not a {node.operator}: {error}") from error
        self._values[name] = made if isinstance(made, tuple) else (made,)

    def _value(self, reference: str) -> _Value:
        name, _, index = reference.partition(":")
        return self._values[name][int(index or 0)]

    # Values as ONNX nodes want them.

    def _emit(self, node: TfjsNode, operator: str, inputs: list[str], **attributes: float | list[int] | str) -> str:
        return self._graph.node(operator, inputs, node.name, domain="", **attributes)

    def _const(self, node: TfjsNode, name: str, values: Array) -> str:
        return self._graph.const(f"{node.name}/{name}", values)

    def _padded(self, value: _Value) -> _Value:
        """The value with its padding in it."""
        if value.padding == _NO_PADDING:
            return value
        top, left, bottom, right = value.padding
        name = f"{value.name}/padded_{top}_{left}_{bottom}_{right}"
        if all(one.name != name for one in self._graph.nodes):
            pads = self._graph.ints(f"{name}/pads", 0, 0, top, left, 0, 0, bottom, right)
            self._graph.node("Pad", [value.name, pads], name)
        return replace(value, name=name, padding=_NO_PADDING)

    def _plain(self, reference: str) -> str:
        """The value's name, stored in the order that TensorFlow sees."""
        value = self._padded(self._value(reference))
        if not value.channels_last:
            return value.name
        name = f"{value.name}/channels_last"
        if all(one.name != name for one in self._graph.nodes):
            self._graph.node("Transpose", [value.name], name, perm=list(_TO_CHANNELS_LAST))
        return name

    # Operations.

    def _transpose(self, node: TfjsNode) -> _Value:
        value, order = self._value(node.inputs[0]), tuple(self._constants.counts(node.inputs[1]))
        if order == (_TO_CHANNELS_FIRST if value.channels_last else _TO_CHANNELS_LAST):
            return replace(value, channels_last=not value.channels_last)
        return _Value(name=self._emit(node, "Transpose", [self._plain(node.inputs[0])], perm=list(order)))

    def _pad(self, node: TfjsNode) -> _Value:
        value = self._value(node.inputs[0])
        amounts = np.asarray(self._constants.values(node.inputs[1]), np.int64).reshape(-1, 2)
        filler = self._constants.values(node.inputs[2]) if node.operator == "PadV2" else np.array(0, np.float32)
        if value.channels_last:
            amounts = amounts[list(_TO_CHANNELS_FIRST)]
        fits = len(amounts) == len(_NO_PADDING) and not amounts[:2].any() and value.padding == _NO_PADDING
        if fits and not filler.any():
            (top, bottom), (left, right) = amounts[2:].tolist()
            return replace(value, padding=(top, left, bottom, right))
        pads = self._const(node, "pads", amounts.T.ravel())
        made = self._emit(node, "Pad", [self._padded(value).name, pads, self._const(node, "filler", filler)])
        return _Value(name=made, channels_last=value.channels_last)

    def _image(self, node: TfjsNode) -> _Value:
        value = self._value(node.inputs[0])
        if not value.channels_last:
            raise InvalidModelError(f"{self._model.name}: {node.name} reads an image with its channels first")
        return value

    def _conv(self, node: TfjsNode) -> _Value:
        value, weights = self._image(node), np.asarray(self._constants.values(node.inputs[1]), np.float32)
        height, width, _, outputs = weights.shape
        steps, spread = node.attributes.counts("strides"), node.attributes.counts("dilations")
        if (node.attributes.text("padding") != "VALID" and (height, width) != (1, 1)) or set(spread) != {1}:
            raise InvalidModelError(f"{self._model.name}: {node.name} pads or spreads, which is not supported")
        # The bias is filled in where one is added.
        inputs = [value.name, self._const(node, "weights", weights.transpose(3, 2, 0, 1))]
        self._convolutions[node.name] = outputs
        made = self._emit(
            node, "Conv", inputs, kernel_shape=[height, width], strides=steps[1:3], pads=list(value.padding)
        )
        return _Value(name=made, channels_last=True)

    def _max_pool(self, node: TfjsNode) -> _Value:
        value = self._padded(self._image(node))
        if node.attributes.text("padding") != "VALID":
            raise InvalidModelError(f"{self._model.name}: {node.name} pads, which is not supported")
        sides, steps = node.attributes.counts("ksize")[1:3], node.attributes.counts("strides")[1:3]
        made = self._emit(node, "MaxPool", [value.name], kernel_shape=sides, strides=steps)
        return _Value(name=made, channels_last=True)

    def _resize(self, node: TfjsNode) -> _Value:
        value = self._padded(self._image(node))
        if not node.attributes.is_set("half_pixel_centers") or node.attributes.is_set("align_corners"):
            raise InvalidModelError(f"{self._model.name}: {node.name} resizes in a way that is not supported")
        sizes = self._const(node, "sizes", np.array(self._constants.counts(node.inputs[1]), np.int64))
        made = self._emit(
            node,
            "Resize",
            [value.name, "", "", sizes],
            axes=[2, 3],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        return _Value(name=made, channels_last=True)

    def _add(self, node: TfjsNode) -> _Value:
        images = [one for one in node.inputs if not self._constants.knows(one)]
        if len(images) == len(node.inputs):
            return self._merge(node, "Add", node.inputs)
        (added,) = (one for one in node.inputs if self._constants.knows(one))
        value, bias = self._value(images[0]), self._constants.values(added)
        conv = self._model.nodes[images[0].partition(":")[0]]
        if value.name != conv.name or self._convolutions.get(conv.name) != bias.size or bias.ndim != 1:
            raise InvalidModelError(f"{self._model.name}: {node.name} adds to something else than a convolution")
        (made,) = (one for one in self._graph.nodes if one.name == value.name)
        if len(made.input) != 2 or self._num_readers(conv.name) != 1:
            raise InvalidModelError(f"{self._model.name}: {node.name} is not the one reader of its convolution")
        made.input.append(self._const(node, "bias", np.asarray(bias, np.float32)))
        return value

    def _num_readers(self, name: str) -> int:
        return sum(one.partition(":")[0] == name for node in self._model.nodes.values() for one in node.inputs)

    def _merge(self, node: TfjsNode, operator: str, inputs: Sequence[str], **attributes: int) -> _Value:
        values = [self._padded(self._value(one)) for one in inputs]
        if len({value.channels_last for value in values}) != 1:
            raise InvalidModelError(f"{self._model.name}: {node.name} mixes images with channels first and last")
        made = self._emit(node, operator, [value.name for value in values], **attributes)
        return _Value(name=made, channels_last=values[0].channels_last)

    def _each(self, node: TfjsNode, operator: str, **attributes: float) -> _Value:
        value = self._padded(self._value(node.inputs[0]))
        return replace(value, name=self._emit(node, operator, [value.name], **attributes))

    def _concat(self, node: TfjsNode) -> _Value:
        *inputs, axis = node.inputs
        (place,) = self._constants.counts(axis)
        value = self._value(inputs[0])
        return self._merge(node, "Concat", inputs, axis=_TO_CHANNELS_LAST[place] if value.channels_last else place)

    def _split(self, node: TfjsNode) -> tuple[_Value, ...]:
        value = self._padded(self._value(node.inputs[0]))
        lengths, (place,) = self._constants.counts(node.inputs[1]), self._constants.counts(node.inputs[2])
        axis = _TO_CHANNELS_LAST[place] if value.channels_last else place
        names = [f"{node.name}/{index}" for index in range(len(lengths))]
        sizes = self._const(node, "lengths", np.array(lengths, np.int64))
        self._graph.split([value.name, sizes], names, axis=axis)
        return tuple(replace(value, name=name) for name in names)

    def _reshape(self, node: TfjsNode) -> _Value:
        shape: NDArray[np.int64] = np.array(self._constants.counts(node.inputs[1]), np.int64)
        if shape[0] == 1:
            shape[0] = 0  # as many as there are in the batch
        return _Value(
            name=self._emit(node, "Reshape", [self._plain(node.inputs[0]), self._const(node, "shape", shape)])
        )
