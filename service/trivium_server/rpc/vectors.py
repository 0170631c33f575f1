"""Vectors as messages: the encodings of trivium.v1.VectorEncoding.

Components reach a message as the bytes that it has on the wire. To protobuf that is one copy; a list of Python floats
would cost it a hundred times as much, on the event loop.
"""

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium.v1 import embedding_pb2 as pb
from trivium_server.architectures.text_capabilities import SparseWeights
from trivium_server.errors import UnsupportedFeature

Vectors: TypeAlias = NDArray[np.float32] | SparseWeights
Encoding: TypeAlias = pb.VectorEncoding.ValueType


class _OneVector(Protocol):
    """A message that holds a dense vector in one of the encodings."""

    @property
    def dense(self) -> pb.FloatVector: ...

    @property
    def packed(self) -> pb.PackedVector: ...


_BITS = {
    pb.VECTOR_ENCODING_FLOAT_LIST: 32,
    pb.VECTOR_ENCODING_FLOAT32_BYTES: 32,
    pb.VECTOR_ENCODING_FLOAT16_BYTES: 16,
    pb.VECTOR_ENCODING_INT8_BYTES: 8,
    pb.VECTOR_ENCODING_BINARY_BYTES: 1,
}
_MOST_INT8 = np.float32(127)
_MOST_FLOAT16 = 65504
# The tag of a field of number 1 whose values are packed.
_PACKED_FIELD_1 = b"\x0a"


def vector_bytes(dimensions: int, encoding: Encoding) -> int:
    """Returns how many bytes the components of one dense vector take."""
    return (dimensions * _BITS[encoding] + 7) // 8


def num_bytes(vectors: Vectors, encoding: Encoding) -> int:
    """Returns how many bytes the components of a text's vectors take; a sparse one's indices count as four each."""
    if isinstance(vectors, SparseWeights):
        return 8 * len(vectors.ids)
    return vectors.size // vectors.shape[-1] * vector_bytes(vectors.shape[-1], encoding) if vectors.size else 0


def write_vectors(vectors: Vectors, encoding: Encoding, message: pb.Embedding) -> None:
    """Writes the vectors of one text into an empty message.

    Raises UnsupportedFeature, with the field `encoding`, for a component that is beyond what the encoding can say.
    """
    if isinstance(vectors, SparseWeights):
        message.sparse.indices.extend(vectors.ids.tolist())
        message.sparse.values.extend(vectors.weights.tolist())
    elif vectors.ndim == 1:
        write_vector(vectors, encoding, message)
    else:
        message.per_token.SetInParent()
        for vector in vectors:
            write_vector(vector, encoding, message.per_token.vectors.add())


def write_vector(vector: NDArray[np.float32], encoding: Encoding, message: _OneVector) -> None:
    """Writes a dense vector into an empty message. Raises UnsupportedFeature as `write_vectors` does."""
    if encoding == pb.VECTOR_ENCODING_FLOAT_LIST:
        _write_list(vector, message.dense)
    else:
        _pack(vector, encoding, message.packed)


def _write_list(vector: NDArray[np.float32], message: pb.FloatVector) -> None:
    raw = vector.astype("<f4", copy=False).tobytes()
    message.MergeFromString(_PACKED_FIELD_1 + _varint(len(raw)) + raw)


def _pack(vector: NDArray[np.float32], encoding: Encoding, message: pb.PackedVector) -> None:
    message.encoding = encoding
    message.dimensions = len(vector)
    if encoding == pb.VECTOR_ENCODING_FLOAT32_BYTES:
        message.data = vector.astype("<f4", copy=False).tobytes()
    elif encoding == pb.VECTOR_ENCODING_FLOAT16_BYTES:
        message.data = _float16(vector).tobytes()
    elif encoding == pb.VECTOR_ENCODING_INT8_BYTES:
        scale = np.abs(vector).max(initial=0) / _MOST_INT8
        message.scale = float(scale)
        message.data = _int8(vector, scale).tobytes()
    else:
        assert encoding == pb.VECTOR_ENCODING_BINARY_BYTES, "checked when the request was read"
        message.data = np.packbits(vector > 0).tobytes()


def _float16(vector: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = vector.astype("<f2")
    if not np.isfinite(halves).all():
        raise UnsupportedFeature(
            "encoding", f"the vector has a component beyond {_MOST_FLOAT16}, the most of VECTOR_ENCODING_FLOAT16_BYTES"
        )
    return halves


def _int8(vector: NDArray[np.float32], scale: np.float32) -> NDArray[np.int8]:
    if not scale:  # zeros, or components whose 127th part is too small for float32
        return np.zeros(len(vector), np.int8)
    # Among the smallest of float32 the scale is coarse, and its 127-fold may be less than the largest component.
    levels: NDArray[np.float32] = np.clip(np.rint(vector / scale), -_MOST_INT8, _MOST_INT8)
    return levels.astype(np.int8)


def _varint(value: int) -> bytes:
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    raw.append(value)
    return bytes(raw)
