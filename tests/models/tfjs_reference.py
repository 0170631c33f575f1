"""Runs TensorFlow.js graphs in plain numpy and float64, as TensorFlow describes its operations: channels last."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.models.image_reference import Doubles, convolve

Values = NDArray[np.generic]


class TfjsReference:
    """One graph, read from its JSON file and the weights beside it."""

    def __init__(self, graph: Path, weights: bytes) -> None:
        content = json.loads(graph.read_text())
        self._nodes = {node["name"]: node for node in content["modelTopology"]["node"]}
        self._weights = _read_weights(content["weightsManifest"][0]["weights"], weights)
        self._made: dict[str, list[Values]] = {}

    def run(self, image: NDArray[np.float32], *outputs: str) -> list[Doubles]:
        """The outputs of nodes for an image as the graph's Placeholder takes it."""
        self._made = {
            name: [image.astype(np.float64)] for name, node in self._nodes.items() if node["op"] == "Placeholder"
        }
        return [np.asarray(self._value(output), np.float64) for output in outputs]

    def _value(self, reference: str) -> Values:
        name, _, index = reference.partition(":")
        if name not in self._made:
            node = self._nodes[name]
            if node["op"] == "Const":
                self._made[name] = [self._weights[name]]
            else:
                self._made[name] = self._apply(node, [self._value(one) for one in node.get("input", [])])
        return self._made[name][int(index or 0)]

    def _apply(  # noqa: C901 - one case for each operation
        self, node: Mapping[str, dict[str, dict[str, object]]], given: list[Values]
    ) -> list[Values]:
        attributes = node["attr"]
        first = np.asarray(given[0], np.float64)
        match str(node["op"]):
            case "Identity":
                return [given[0]]
            case "Transpose":
                return [first.transpose(given[1])]
            case "Pad":
                return [np.pad(first, [tuple(row) for row in given[1].tolist()])]
            case "PadV2":
                margins = [tuple(row) for row in given[1].tolist()]
                return [np.pad(first, margins, constant_values=float(given[2]))]
            case "Conv2D":
                kernel = np.asarray(given[1], np.float64)
                stride = _ints(attributes["strides"])[1]
                return [np.stack([convolve(one, kernel, stride=stride) for one in first])]
            case "MaxPool":
                return [_max_pool(first, _ints(attributes["ksize"])[1], _ints(attributes["strides"])[1])]
            case "ResizeBilinear":
                return [_resize(_resize(first, 1, int(given[1][0])), 2, int(given[1][1]))]
            case "Add" | "AddV2":
                return [np.asarray(np.add(given[0], given[1]))]
            case "LeakyRelu":
                return [np.where(first > 0, first, first * float(str(attributes["alpha"]["f"])))]
            case "Sigmoid":
                return [1 / (1 + np.exp(-first))]
            case "ConcatV2":
                return [np.concatenate(given[:-1], axis=int(given[-1]))]
            case "SplitV":
                places = np.cumsum(given[1])[:-1].tolist()
                return list(np.split(first, places, axis=int(given[2])))
            case "Reshape":
                return [first.reshape(np.asarray(given[1], np.int64))]
            case "SparseToDense":
                dense = np.full(np.atleast_1d(given[1]).tolist(), given[3])
                for place, value in zip(given[0], np.atleast_1d(given[2]), strict=True):
                    dense[tuple(np.atleast_1d(place))] = value
                return [dense]
            case other:
                raise NotImplementedError(other)


def _ints(attribute: Mapping[str, object]) -> list[int]:
    listed = attribute["list"]
    assert isinstance(listed, dict)
    return [int(number) for number in listed["i"]]


def _max_pool(images: Doubles, size: int, stride: int) -> Doubles:
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    return np.asarray(windows[:, ::stride, ::stride].max(axis=(-1, -2)))


def _resize(images: Doubles, axis: int, length: int) -> Doubles:
    """Along one axis, between the centres of pixels."""
    old_len = images.shape[axis]
    places = (np.arange(length) + 0.5) * (old_len / length) - 0.5
    lower = np.floor(places)
    share = places - lower
    before, after = (np.clip(lower + step, 0, old_len - 1).astype(int) for step in (0, 1))
    shape = [1] * images.ndim
    shape[axis] = length
    share = share.reshape(shape)
    return np.asarray(images.take(before, axis) * (1 - share) + images.take(after, axis) * share)


def _read_weights(entries: list[dict[str, object]], data: bytes) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for entry in entries:
        quantization = entry.get("quantization")
        dtype = np.dtype(str(quantization["dtype"] if isinstance(quantization, dict) else entry["dtype"]))
        shape = entry["shape"]
        assert isinstance(shape, list)
        count = int(np.prod(shape)) if shape else 1
        found[str(entry["name"])] = np.frombuffer(data[: count * dtype.itemsize], dtype).reshape(shape)
        data = data[count * dtype.itemsize :]
    assert not data
    return found


def text(value: str) -> dict[str, str]:
    """A text as an attribute."""
    return {"s": base64.b64encode(value.encode()).decode()}


def numbers(*values: int) -> dict[str, dict[str, list[str]]]:
    """Whole numbers as an attribute."""
    return {"list": {"i": [str(value) for value in values]}}
