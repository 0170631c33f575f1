"""Reads published graphs, and gives their inputs and outputs other names and dimensions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, ValueInfoProto

from trivium_models.errors import InvalidModelError


def read_onnx(path: Path) -> ModelProto:
    """The content of a published graph with its weights inside; InvalidModelError when it does not parse."""
    try:
        return onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise InvalidModelError(f"{path.name} is not a readable ONNX file") from error


def rename_values(model: ModelProto, names: Mapping[str, str]) -> None:
    """Renames values of the main graph wherever they occur; those that are not there are left.

    For graphs without sub-graphs that read the values by name.
    """
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for places in (node.input, node.output):
            for index, name in enumerate(places):
                places[index] = names.get(name, name)


def set_dims(value: ValueInfoProto, dims: Sequence[int | str]) -> None:
    """Declares the dimensions of an input or output; a text is the name of one that can be anything."""
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for dim in dims:
        if isinstance(dim, str):
            shape.dim.add(dim_param=dim)
        else:
            shape.dim.add(dim_value=dim)


def drop_constant_inputs(graph: GraphProto) -> None:
    """Takes constants off the list of inputs, where old exporters put them: onnxruntime cannot fold them there."""
    constants = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)


def read_texts(model: ModelProto, key: str, where: str) -> list[str]:
    """The lines that a graph's metadata has under that key, where PaddleOCR's models keep labels and characters.

    Raises InvalidModelError when there are none.
    """
    found = next((entry.value for entry in model.metadata_props if entry.key == key), "")
    if not found:
        raise InvalidModelError(f"{where} has no {key} in its metadata")
    return found.split("\n")
