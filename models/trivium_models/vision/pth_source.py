"""Reads the tensors of a .pth file in torch's legacy format, without torch and without running what the file says.

The format is a row of pickles: a magic number, the protocol, facts about the machine that wrote it, the dictionary of
tensors, the keys of the storages; then for each storage its length, int64, and its bytes. A pickle can name any
function of the machine. Here it may name three things: an ordered dictionary, the making of a tensor from a storage,
and the types of storages. Source: torch/serialization.py, _legacy_save.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trivium_models.errors import InvalidModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_LENGTH = np.dtype("<i8")
_TYPES: Mapping[str, np.dtype[np.generic]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
# What unpickling damaged or strange bytes raises; the module promises no less.
_UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RecursionError,
)

Floats = NDArray[np.float32]


class TorchState:
    """The tensors of one file, taken out by name. Every getter raises InvalidModelError with the tensor's name."""

    def __init__(self, name: str, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        self.name = name
        self._tensors = tensors
        self._unread = {key: None for key in tensors if not key.endswith(".num_batches_tracked")}

    @classmethod
    def read(cls, path: Path) -> "TorchState":
        """Reads a file. InvalidModelError when it is not in this format, is damaged, or names what it may not."""
        try:
            with path.open("rb") as file:
                return cls(path.name, _read_tensors(file, path.stat().st_size))
        except _UNPICKLING_ERRORS as error:
            raise InvalidModelError(f"{path.name} is not a readable .pth file: {error}") from error

    def take(self, name: str, *shape: int) -> Floats:
        """The tensor, which must be of floats and have that shape."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise InvalidModelError(f"{self.name} has no tensor {name}")
        if tensor.shape != shape or tensor.dtype.kind != "f":
            raise InvalidModelError(
                f"{self.name}: {name} is {tensor.dtype} with shape {tensor.shape}; it must be floats with {shape}"
            )
        self._unread.pop(name, None)
        return np.asarray(tensor, np.float32)

    def require_all_taken(self) -> None:
        """InvalidModelError when a tensor was left, which the graph would then do without."""
        if self._unread:
            first, count = next(iter(self._unread)), len(self._unread)
            raise InvalidModelError(f"{self.name}: tensor {first} has no place in the graph (of {count} such)")


@dataclass(slots=True)
class _Storage:
    dtype: np.dtype[np.generic]
    length: int
    values: NDArray[np.generic] | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor before its storage is read: where in the storage it begins, its shape, and its strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, name: str) -> NDArray[np.generic]:
        values = self.storage.values
        if values is None:
            raise ValueError(f"the storage of {name} is missing")
        counts = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(isinstance(n, int) and n >= 0 for n in counts):
            raise ValueError(f"shape and strides of {name} do not fit")
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        if 0 in self.shape or last >= len(values):
            raise ValueError(f"{name} lies outside its storage")
        item = values.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [stride * item for stride in self.strides], writeable=False
        )
        return np.ascontiguousarray(view).reshape(self.shape)


class _Unpickler(pickle.Unpickler):
    """Knows the names of this format and no others."""

    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), str(), int(length), *_) if kind in _TYPES and length >= 0:
                return self._storages.setdefault(key, _Storage(_TYPES[kind], length))
        raise pickle.UnpicklingError("it names a storage in a way that is not known")


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _View:
    return _View(storage, offset, tuple(shape), tuple(strides))


def _read_tensors(file: BinaryIO, file_len: int) -> dict[str, NDArray[np.generic]]:
    storages: dict[str, _Storage] = {}

    def unpickle() -> object:
        return _Unpickler(file, storages).load()

    if unpickle() != _MAGIC:
        raise ValueError("it does not begin as torch's legacy format does")
    unpickle(), unpickle()  # the protocol, and facts about the machine
    state, keys = unpickle(), unpickle()
    if not isinstance(state, dict) or not isinstance(keys, list):
        raise TypeError("it holds no dictionary of tensors")
    for key in keys:
        storage = storages[key]
        header = file.read(_LENGTH.itemsize)
        if len(header) < _LENGTH.itemsize or int(np.frombuffer(header, _LENGTH)[0]) != storage.length:
            raise ValueError(f"storage {key} has another length than stated")
        size = storage.length * storage.dtype.itemsize
        if size > file_len - file.tell():
            raise ValueError(f"storage {key} is cut short")
        storage.values = np.frombuffer(file.read(size), storage.dtype)
    return {str(name): view.array(str(name)) for name, view in state.items() if isinstance(view, _View)}
