"""Tensors out of torch's legacy files: read exactly, and nothing that a file names is ever run."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models.tiny_pth import MAGIC, Named, Tensor, pickled, pth, write_pth
from trivium_models.errors import InvalidModelError
from trivium_models.vision.pth_source import TorchState

VALUES = np.arange(24, dtype=np.float32)


def read(tmp_path: Path, content: bytes) -> TorchState:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return TorchState.read(path)


def row_of(parts: Sequence[object]) -> bytes:
    return b"".join(pickled(part) for part in parts)


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(InvalidModelError) as caught:
        read(tmp_path, content)
    return str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(24,), (2, 3, 4), (1, 24), ()])
def test_tensor_is_read_as_float32(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    values = VALUES[: int(np.prod(shape))].reshape(shape).astype(dtype)
    state = TorchState.read(write_pth(tmp_path / "a.pth", {"a": values}))
    got = state.take("a", *shape)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, values.astype(np.float32))
    state.require_all_taken()


def test_views_share_a_storage(tmp_path: Path) -> None:
    rows = Tensor("0", VALUES, offset=4, shape=(2, 3), strides=(8, 2))
    turned = Tensor("0", VALUES, shape=(4, 6), strides=(1, 4))
    state = read(tmp_path, pth({"rows": rows, "turned": turned}))
    np.testing.assert_array_equal(state.take("rows", 2, 3), [[4, 6, 8], [12, 14, 16]])
    np.testing.assert_array_equal(state.take("turned", 4, 6), VALUES.reshape(6, 4).T)


def test_counters_of_batches_need_no_place(tmp_path: Path) -> None:
    counter = np.array(7, np.int64)
    tensors: dict[str, NDArray[np.generic]] = {"bn.num_batches_tracked": counter, "a": VALUES}
    state = TorchState.read(write_pth(tmp_path / "a.pth", tensors))
    state.take("a", 24)
    state.require_all_taken()


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("b", (24,), "weights.pth has no tensor b"),
        ("a", (23,), "a is float32 with shape (24,); it must be floats with (23,)"),
        ("n", (2,), "n is int64 with shape (2,); it must be floats"),
    ],
)
def test_tensor_that_does_not_fit_is_refused(tmp_path: Path, name: str, shape: tuple[int, ...], words: str) -> None:
    state = read(tmp_path, pth({"a": Tensor("0", VALUES), "n": Tensor("1", np.array([1, 2], np.int64))}))
    with pytest.raises(InvalidModelError) as caught:
        state.take(name, *shape)
    assert words in str(caught.value)


def test_tensor_without_a_place_is_told(tmp_path: Path) -> None:
    state = read(tmp_path, pth({"a": Tensor("0", VALUES), "b": Tensor("1", VALUES)}))
    state.take("a", 24)
    with pytest.raises(InvalidModelError, match=r"tensor b has no place in the graph \(of 1 such\)"):
        state.require_all_taken()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "Counter"),
        ("trivium_models.vision.pth_source", "TorchState"),
    ],
)
def test_any_other_name_is_refused(tmp_path: Path, module: str, name: str) -> None:
    words = f"it names {module}.{name}, which no tensor needs"
    assert words in refusal(tmp_path, pth({"a": Tensor("0", VALUES), "b": Named(module, name)}))


def test_call_in_a_pickle_is_not_made(tmp_path: Path) -> None:
    victim = tmp_path / "made"
    call = pickle.GLOBAL + b"pathlib\nPath.touch\n" + pickled(victim)[2:-1] + pickle.TUPLE1 + pickle.REDUCE + b"."
    message = refusal(tmp_path, b"\x80\x02" + call)
    assert "it names pathlib.Path.touch" in message
    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a readable .pth file"),
        (b"not a pickle at all", "is not a readable .pth file"),
        (pth({}, magic=MAGIC + 1), "does not begin as torch's legacy format"),
        (pth({"a": Tensor("0", VALUES)})[:-1], "storage 0 is cut short"),
        (pth({"a": Tensor("0", VALUES)}, lengths={"0": 23}), "storage 0 has another length than stated"),
        (pth({"a": Tensor("0", VALUES)}, lengths={"0": 1 << 60}), "storage 0 has another length than stated"),
        (pth({"a": Tensor("0", VALUES, shape=(25,), strides=(1,))}), "a lies outside its storage"),
        (pth({"a": Tensor("0", VALUES, offset=1)}), "a lies outside its storage"),
        (pth({"a": Tensor("0", VALUES, offset=-1, shape=(2,), strides=(1,))}), "shape and strides of a do not fit"),
        (pth({"a": Tensor("0", VALUES, shape=(2, 2), strides=(1,))}), "shape and strides of a do not fit"),
        (pth({"a": Tensor("0", VALUES, shape=(2,), strides=(-1,))}), "shape and strides of a do not fit"),
        (row_of((MAGIC, 1, {}, [1, 2], [])), "no dictionary of tensors"),
        (row_of((MAGIC, 1, {}, OrderedDict(), ["7"])), "is not a readable .pth file: '7'"),
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refusal(tmp_path, content)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = pth({"a": Tensor("0", VALUES)})
    for length in range(len(whole)):
        refusal(tmp_path, whole[:length])


def test_zip_format_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickled({}))
    with pytest.raises(InvalidModelError, match=r"new\.pth is not a readable \.pth file"):
        TorchState.read(tmp_path / "new.pth")
