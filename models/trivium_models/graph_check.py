"""Checks an ONNX file before anything runs it: that it parses, and that its weights lie in its own folder.

External data is a path inside the file, so a hostile model can name any file of the machine. Nothing here loads
weights.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from trivium_models.errors import InvalidModelError, UnsafeModelError
from trivium_models.safe_path import require_inside, require_relative


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphHeader:
    """Names of a graph's inputs and outputs, in order, without constants.

    shapes: of those whose shape is declared; None for a dimension that can be anything.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)


def check_graph(path: Path, root: Path) -> GraphHeader:
    """Parses an ONNX file and checks every place that its tensors are read from.

    root: the folder that nothing may lead out of; links are followed first. Raises UnsafeModelError for a location
    that is absolute or leaves the folder, InvalidModelError when the file does not parse or its data is missing or
    cut short.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise InvalidModelError(f"{path.name} is not a readable ONNX file") from error
    if not model.graph.node:
        raise InvalidModelError(f"{path.name} is not a readable ONNX file: it has no nodes")
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            _check_location(path, root, tensor)
    # Old exporters list constants among the inputs.
    constants = {tensor.name for tensor in model.graph.initializer}
    return GraphHeader(
        inputs=tuple(value.name for value in model.graph.input if value.name not in constants),
        outputs=tuple(value.name for value in model.graph.output),
        shapes={
            value.name: tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)
            for value in (*model.graph.input, *model.graph.output)
            if value.type.tensor_type.HasField("shape")
        },
    )


def _check_location(path: Path, root: Path, tensor: TensorProto) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, what = entries.get("location", ""), f"{path.name}: external data of tensor {tensor.name!r}"
    if len(entries) != len(tensor.external_data):
        raise UnsafeModelError(f"{what} states a key twice, so that readers may differ about its place")
    require_relative(location, what)
    size = require_inside(path.parent / location, root, f"{what} ({location})").stat().st_size
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", "0"))
    except ValueError as error:
        raise InvalidModelError(f"{what}: offset and length must be whole numbers") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise InvalidModelError(f"{what}: bytes {offset} to {offset + length} lie outside {location}, which has {size}")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield sparse.values
                yield sparse.indices
            for graph in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(graph)
