"""Vectors as numpy arrays. Pure. Imported where vectors are made, because it imports numpy."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium._error_base import DataLossError, TriviumError
from trivium._failed_items import ItemsFailed
from trivium.embeddings import EmbedResult, PackedVector, SparseVector, TextComparison, VectorEncoding
from trivium.v1 import embedding_pb2, vision_pb2

_ScalarT = TypeVar("_ScalarT", bound=np.generic)


def decode(embedding: embedding_pb2.Embedding) -> tuple[NDArray[np.float32] | None, tuple[PackedVector, ...]]:
    """Returns the vectors as float32, shape (dimensions,) or (tokens, dimensions), and as they were packed.

    None for a sparse vector and for a kind that this version does not know.
    """
    match embedding.WhichOneof("vector"):
        case "dense":
            return _read_only(np.array(embedding.dense.values, np.float32)), ()
        case "packed":
            packed = _parse_packed(embedding.packed)
            return unpack(packed), (packed,)
        case "per_token":
            return _decode_tokens(embedding.per_token.vectors)
        case _:
            return None, ()


def decode_image(embedding: vision_pb2.ImageEmbedding) -> NDArray[np.float32]:
    """Returns the vector of an image as float32, shape (dimensions,). DataLossError where there is none."""
    match embedding.WhichOneof("vector"):
        case "dense":
            return _read_only(np.array(embedding.dense.values, np.float32))
        case "packed":
            return unpack(_parse_packed(embedding.packed))
        case _:
            raise DataLossError("the vector of an image is of a kind that this version cannot read")


def decode_sparse(raw: embedding_pb2.SparseVector) -> SparseVector:
    """Returns the components."""
    indices, values = np.array(raw.indices, np.uint32), np.array(raw.values, np.float32)
    if indices.shape != values.shape:
        raise DataLossError(f"a sparse vector has {indices.size} indices and {values.size} values")
    return SparseVector(indices=_read_only(indices), values=_read_only(values))


def _decode_tokens(
    tokens: Sequence[embedding_pb2.TokenVector],
) -> tuple[NDArray[np.float32], tuple[PackedVector, ...]]:
    packed = tuple(_parse_packed(token.packed) for token in tokens if token.HasField("packed"))
    rows = [unpack(row) for row in packed] or [np.array(token.dense.values, np.float32) for token in tokens]
    return _read_only(np.stack(rows) if rows else np.empty((0, 0), np.float32)), packed


def _parse_packed(raw: embedding_pb2.PackedVector) -> PackedVector:
    known = embedding_pb2.VectorEncoding.DESCRIPTOR.values_by_number.get(raw.encoding)
    name = known.name.removeprefix("VECTOR_ENCODING_") if known else ""
    if not name.endswith("_BYTES"):
        raise DataLossError(f"a vector came in encoding {raw.encoding}, which this version cannot read")
    scale = raw.scale if raw.HasField("scale") else None
    return PackedVector(data=raw.data, encoding=VectorEncoding(name), dimensions=raw.dimensions, scale=scale)


def unpack(packed: PackedVector) -> NDArray[np.float32]:
    """Returns the components as float32; of BINARY_BYTES, 1 where the bit is set and -1 where it is not.

    Raises DataLossError where there are not as many bytes as the components take.
    """
    size, count = len(packed.data), packed.dimensions
    per_component = {VectorEncoding.FLOAT32_BYTES: 4, VectorEncoding.FLOAT16_BYTES: 2, VectorEncoding.INT8_BYTES: 1}
    wanted = count * per_component[packed.encoding] if packed.encoding in per_component else (count + 7) // 8
    if size != wanted:
        raise DataLossError(f"a vector of {count} components came in {size} bytes as {packed.encoding}")
    match packed.encoding:
        case VectorEncoding.FLOAT32_BYTES:
            return np.frombuffer(packed.data, "<f4").astype(np.float32, copy=False)  # shares the bytes: not writable
        case VectorEncoding.FLOAT16_BYTES:
            return _read_only(np.frombuffer(packed.data, "<f2").astype(np.float32))
        case VectorEncoding.INT8_BYTES:
            return _read_only(np.frombuffer(packed.data, np.int8) * np.float32(packed.scale or 0.0))
        case _:
            bits = np.unpackbits(np.frombuffer(packed.data, np.uint8), count=count)
            return _read_only(bits.astype(np.float32) * 2 - 1)


def _read_only(array: NDArray[_ScalarT]) -> NDArray[_ScalarT]:
    array.flags.writeable = False
    return array


class Matrix:
    """Gathers the vectors of a known number of texts, in any order, without keeping anything else of them."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._matrix: NDArray[np.float32] | None = None
        self._failures: dict[int, TriviumError] = {}

    def add(self, results: Iterable[EmbedResult]) -> None:
        """Takes some results. DataLossError where one has no vector, or one of another length than the others."""
        for result in results:
            if result.error is not None:
                self._failures[result.index] = result.error
            elif result.vector is None or result.vector.ndim != 1:
                raise DataLossError(f"the server sent no dense vector for item {result.index}")
            else:
                self._put(result.index, result.vector)

    def _put(self, index: int, vector: NDArray[np.float32]) -> None:
        if self._matrix is None:
            self._matrix = np.full((self._rows, vector.size), np.nan, np.float32)
        elif vector.size != self._matrix.shape[1]:
            raise DataLossError(f"item {index} has {vector.size} components, others {self._matrix.shape[1]}")
        self._matrix[index] = vector

    def whole(self) -> NDArray[np.float32]:
        """Returns shape (rows, dimensions). Raises ItemsFailed, with the others' vectors, where one failed."""
        if self._failures:
            raise ItemsFailed(self._failures, self._matrix)
        assert self._matrix is not None, "every item has a vector or a failure"
        return self._matrix


def similarities(results: Sequence[TextComparison]) -> NDArray[np.float32]:
    """Returns shape (targets,). Raises ItemsFailed, with the others' similarities, where a target failed."""
    failures = {result.index: result.error for result in results if result.error is not None}
    values = [np.nan if result.similarity is None else result.similarity for result in results]
    array = np.array(values, np.float32)
    if failures:
        raise ItemsFailed(failures, array)
    return array
