"""Writes .pth files in torch's legacy format, without torch, and whatever a test wants to be wrong with them."""

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class Named:
    """Stands for something that a pickle names by its module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Storage:
    def __init__(self, key: str, values: NDArray[np.generic]) -> None:
        self.key, self.values = key, values


class Tensor:
    """A view of a storage. shape and strides in elements; the whole of the values where they are not given."""

    def __init__(
        self,
        key: str,
        values: NDArray[np.generic],
        *,
        offset: int = 0,
        shape: tuple[int, ...] | None = None,
        strides: tuple[int, ...] | None = None,
    ) -> None:
        self.storage = _Storage(key, values.ravel())
        self.offset = offset
        self.shape = values.shape if shape is None else shape
        ones = tuple(stride // values.itemsize for stride in values.copy().strides)
        self.strides = ones if strides is None else strides


class _Pickler(pickle._Pickler):
    """In Python, because it writes names of modules that are not there."""

    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, _Storage):
            kind = Named("torch", _STORAGES[obj.values.dtype.name])
            return ("storage", kind, obj.key, "cpu", len(obj.values), None)
        return None

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        match obj:
            case Named():
                self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())  # type: ignore[attr-defined]  # typeshed leaves it out
            case Tensor():
                self.save(Named("torch._utils", "_rebuild_tensor_v2"))
                self.save((obj.storage, obj.offset, obj.shape, obj.strides, False, OrderedDict()))
                self.write(pickle.REDUCE)  # type: ignore[attr-defined]  # typeshed leaves it out
            case _:
                super().save(obj, save_persistent_id)  # type: ignore[misc]  # typeshed leaves it out


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def pth(tensors: Mapping[str, object], *, magic: int = MAGIC, lengths: Mapping[str, int] | None = None) -> bytes:
    """The content of a file. lengths: of storages by key, where the file is to lie."""
    storages = {tensor.storage.key: tensor.storage.values for tensor in tensors.values() if isinstance(tensor, Tensor)}
    head = [magic, 1001, {"little_endian": True}, OrderedDict(tensors), list(storages)]
    data = b"".join(pickled(part) for part in head)
    for key, values in storages.items():
        data += struct.pack("<q", (lengths or {}).get(key, len(values))) + values.tobytes()
    return data


def write_pth(path: Path, tensors: Mapping[str, NDArray[np.generic]]) -> Path:
    """A file in which every tensor has a storage of its own."""
    path.write_bytes(pth({name: Tensor(str(index), values) for index, (name, values) in enumerate(tensors.items())}))
    return path
