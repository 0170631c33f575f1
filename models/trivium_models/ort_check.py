"""Checks a graph in ONNX Runtime's own format before anything runs it: that it parses, and what it takes and gives.

The format is a FlatBuffer. Its tensors lie inside the file: onnxruntime refuses those that claim another place, so
there is none to check. Nothing here loads weights. Source: onnxruntime, core/flatbuffers/schema/ort.fbs; FlatBuffers'
binary format.
"""

import mmap
import struct
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.graph_check import GraphHeader

_IDENTIFIER = b"ORTM"
# Positions of fields in their tables: the model of a session, the graph of a model, inputs and outputs of a graph.
_MODEL, _GRAPH, _INPUTS, _OUTPUTS = 1, 7, 5, 6
# A model has some dozens; one that lists more is not worth the time.
_MAX_NAMES = 4096
_MAX_NAME_LEN = 1024


def check_ort_graph(path: Path) -> GraphHeader:
    """Reads the names of inputs and outputs; of shapes nothing is said. Raises InvalidModelError."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content[4:8] != _IDENTIFIER:
                raise InvalidModelError(f"{path.name} is not a graph in ONNX Runtime's format")
            buffer = _Buffer(content)
            graph = buffer.table(buffer.table(buffer.target(0), _MODEL), _GRAPH)
            return GraphHeader(inputs=buffer.texts(graph, _INPUTS), outputs=buffer.texts(graph, _OUTPUTS))
    # struct.error: a place outside the file. ValueError: an empty file, or a text that is not UTF-8.
    except (struct.error, ValueError, OSError) as error:
        raise InvalidModelError(f"{path.name} is a damaged graph in ONNX Runtime's format") from error


class _Buffer:
    """Follows the offsets of a FlatBuffer; every method raises ValueError or struct.error where they lead nowhere."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content

    def target(self, place: int) -> int:
        """Where the offset at a place leads; offsets lead forwards only."""
        return place + self._number("<I", place)

    def table(self, table: int, field: int) -> int:
        """The table that is the value of a field."""
        return self.target(self._value(table, field))

    def texts(self, table: int, field: int) -> tuple[str, ...]:
        """The list of strings that is the value of a field."""
        start = self.table(table, field)
        count = self._number("<I", start)
        if count > _MAX_NAMES:
            raise ValueError("too many names")
        return tuple(self._text(self.target(start + 4 + 4 * index)) for index in range(count))

    def _text(self, place: int) -> str:
        size = self._number("<I", place)
        content = self._content[place + 4 : place + 4 + size] if size <= _MAX_NAME_LEN else b""
        if len(content) != size:
            raise ValueError("a name is too long")
        return content.decode()

    def _value(self, table: int, field: int) -> int:
        """The place of a field's value, found through the table of places that comes with it."""
        places = table - self._number("<i", table)
        if places < 0 or self._number("<H", places) < 4 + 2 * (field + 1):
            raise ValueError("a field is missing")
        distance = self._number("<H", places + 4 + 2 * field)
        if distance == 0:
            raise ValueError("a field is missing")
        return table + distance

    def _number(self, kind: str, place: int) -> int:
        (value,) = struct.unpack_from(kind, self._content, place)
        return int(value)
