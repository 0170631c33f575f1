"""The encodings of vectors: what a client reads is what the model gave, within the error that the contract states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from trivium.v1 import common_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium_server.architectures.text_capabilities import SparseWeights
from trivium_server.errors import UnsupportedFeature
from trivium_server.rpc.spans import convert_spans
from trivium_server.rpc.vectors import num_bytes, vector_bytes, write_vectors

Vector = NDArray[np.float32]
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = arrays(np.float32, st.integers(1, 300), elements=FLOATS)
BYTES = [value for value in pb.VectorEncoding.values() if value > pb.VECTOR_ENCODING_FLOAT_LIST]


def written(vectors: Vector | SparseWeights, encoding: pb.VectorEncoding.ValueType) -> pb.Embedding:
    message = pb.Embedding()
    write_vectors(vectors, encoding, message)
    return pb.Embedding.FromString(message.SerializeToString())


@given(VECTORS)
def test_lists_and_float32_are_exact(vector: Vector) -> None:
    listed = written(vector, pb.VECTOR_ENCODING_FLOAT_LIST)
    assert np.array_equal(np.array(listed.dense.values, np.float32), vector)
    packed = written(vector, pb.VECTOR_ENCODING_FLOAT32_BYTES).packed
    assert packed.data == vector.astype("<f4").tobytes()
    assert packed.dimensions == len(vector)
    assert not packed.HasField("scale")


@given(arrays(np.float32, st.integers(1, 300), elements=st.floats(-65504, 65504, width=32)))
def test_float16_is_within_its_error(vector: Vector) -> None:
    packed = written(vector, pb.VECTOR_ENCODING_FLOAT16_BYTES).packed
    read = np.frombuffer(packed.data, "<f2").astype(np.float64)
    exact = vector.astype(np.float64)
    bound = np.where(np.abs(exact) < 2.0**-14, 2.0**-25, 2.0**-11 * np.abs(exact))
    assert (np.abs(read - exact) <= bound).all()


def test_float16_rounds_ties_to_even_and_refuses_what_is_beyond() -> None:
    vector = np.array([2049, 2051, 65519], np.float32)
    packed = written(vector, pb.VECTOR_ENCODING_FLOAT16_BYTES).packed
    assert np.frombuffer(packed.data, "<f2").tolist() == [2048, 2052, 65504]
    for beyond in (65520.0, -65520.0, 3e38):
        with pytest.raises(UnsupportedFeature, match="65504"):
            written(np.array([0, beyond], np.float32), pb.VECTOR_ENCODING_FLOAT16_BYTES)


@given(VECTORS)
def test_int8_is_within_half_of_its_scale(vector: Vector) -> None:
    packed = written(vector, pb.VECTOR_ENCODING_INT8_BYTES).packed
    levels = np.frombuffer(packed.data, np.int8)
    assert packed.HasField("scale")
    assert (np.abs(levels.astype(int)) <= 127).all()
    exact = vector.astype(np.float64)
    # The scale is a float32: half a unit of its last place, 127-fold, is what rounding it may add.
    rounding = 127 * float(np.spacing(np.float32(packed.scale)))
    assert np.abs(levels * float(packed.scale) - exact).max() <= packed.scale / 2 + rounding
    if np.abs(exact).max() > 1e-30:
        assert packed.scale == pytest.approx(np.abs(exact).max() / 127, rel=1e-6)
        assert np.abs(levels.astype(int)).max() == 127


def test_int8_of_zeros_has_no_scale_and_ties_go_to_even() -> None:
    packed = written(np.zeros(3, np.float32), pb.VECTOR_ENCODING_INT8_BYTES).packed
    assert (packed.data, packed.scale, packed.HasField("scale")) == (bytes(3), 0, True)
    packed = written(np.array([127, 0.5, 1.5, -0.5, -2.5], np.float32), pb.VECTOR_ENCODING_INT8_BYTES).packed
    assert np.frombuffer(packed.data, np.int8).tolist() == [127, 0, 2, 0, -2]


@given(VECTORS)
def test_binary_has_the_sign_of_each_component(vector: Vector) -> None:
    packed = written(vector, pb.VECTOR_ENCODING_BINARY_BYTES).packed
    assert packed.dimensions == len(vector)
    bits = [byte >> (7 - place) & 1 for byte in packed.data for place in range(8)]
    assert bits == [int(value > 0) for value in vector] + [0] * (-len(vector) % 8)


@pytest.mark.parametrize("encoding", BYTES)
def test_each_token_is_encoded_as_a_vector_of_its_own(encoding: pb.VectorEncoding.ValueType) -> None:
    scales = np.array([[1], [2], [0], [3], [9]])
    tokens = (np.random.default_rng(0).standard_normal((5, 9)) * scales).astype(np.float32)
    message = written(tokens, encoding)
    assert [one.packed for one in message.per_token.vectors] == [written(row, encoding).packed for row in tokens]
    assert sum(len(one.packed.data) for one in message.per_token.vectors) == num_bytes(tokens, encoding)
    listed = written(tokens, pb.VECTOR_ENCODING_FLOAT_LIST)
    assert np.array_equal([one.dense.values for one in listed.per_token.vectors], tokens)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 384])
@pytest.mark.parametrize("encoding", BYTES)
def test_size_is_known_before(encoding: pb.VectorEncoding.ValueType, size: int) -> None:
    vector = np.ones(size, np.float32)
    assert len(written(vector, encoding).packed.data) == vector_bytes(size, encoding) == num_bytes(vector, encoding)


def test_sparse_has_ids_and_weights() -> None:
    weights = SparseWeights(ids=np.array([0, 7, 30_521], np.int64), weights=np.array([0.5, 1e-9, 3], np.float32))
    sparse = written(weights, pb.VECTOR_ENCODING_FLOAT_LIST).sparse
    assert list(sparse.indices) == [0, 7, 30_521]
    assert np.array_equal(np.array(sparse.values, np.float32), weights.weights)


def test_empty_vectors_keep_their_kind() -> None:
    nothing = SparseWeights(ids=np.array([], np.int64), weights=np.array([], np.float32))
    assert written(nothing, pb.VECTOR_ENCODING_FLOAT_LIST).WhichOneof("vector") == "sparse"
    no_tokens = np.zeros((0, 8), np.float32)
    assert written(no_tokens, pb.VECTOR_ENCODING_FLOAT_LIST).WhichOneof("vector") == "per_token"


ENCODED: dict[common_pb2.OffsetUnit.ValueType, tuple[str, int]] = {
    common_pb2.OFFSET_UNIT_UNICODE_CODE_POINT: ("utf-32-le", 4),
    common_pb2.OFFSET_UNIT_UTF8_BYTE: ("utf-8", 1),
    common_pb2.OFFSET_UNIT_UTF16_CODE_UNIT: ("utf-16-le", 2),
}


@given(
    st.text(st.sampled_from("a é€😀\u0301\U0010ffff")) | st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.integers(0, 40), max_size=12),
)
def test_offsets_cut_the_same_part_in_every_unit(text: str, bounds: list[int]) -> None:
    bounds = sorted(min(bound, len(text)) for bound in bounds)[: len(bounds) // 2 * 2]
    spans = list(zip(bounds[::2], bounds[1::2], strict=True))
    for unit, (encoding, size) in ENCODED.items():
        raw = text.encode(encoding)
        converted = list(convert_spans(text, spans, unit))
        parts = [raw[start * size : end * size].decode(encoding) for start, end in converted]
        assert parts == [text[start:end] for start, end in spans]
