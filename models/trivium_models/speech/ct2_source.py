"""Reads the tensors of a CTranslate2 model, model.bin, without CTranslate2.

The file is a list of named tensors, little endian throughout: a version, the name of the kind of model and its
revision; a count and for each tensor its name, rank, dimensions, type, length in bytes and bytes; a count and for each
alias its name and the tensor's. A name is a length of 16 bits and that many bytes, the last of them 0.
Source: OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py, _serialize.
"""

import math
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivium_models.errors import InvalidModelError

_VERSION = 6
_MAX_RANK = 8
_TYPES: Mapping[int, np.dtype[np.generic]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}

Floats = NDArray[np.float32]


class Ct2Source:
    """The tensors of one file, taken out by name. Every getter raises InvalidModelError with the tensor's name.

    The file stays mapped into memory while the object lives; tensors are read when they are taken.
    """

    def __init__(self, name: str, kind: str, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        self.name = name
        self.kind = kind
        self._tensors = tensors
        self._unread = dict.fromkeys(tensors)

    @classmethod
    def open(cls, path: Path) -> "Ct2Source":
        """Reads the table of tensors. InvalidModelError when the file is not in this format or is damaged."""
        try:
            if path.stat().st_size == 0:
                raise InvalidModelError(f"{path.name} is not a CTranslate2 model: it is empty")
            kind, tensors = _Parser(path).parse()
        except (ValueError, OSError) as error:
            raise InvalidModelError(f"{path.name} is not a readable CTranslate2 model: {error}") from error
        return cls(path.name, kind, tensors)

    def has(self, name: str) -> bool:
        """Whether there is a tensor or an alias of that name."""
        return name in self._tensors

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """The dimensions of a tensor, which must have that many and none of 0."""
        shape = self._find(name).shape
        if len(shape) != rank or 0 in shape:
            raise InvalidModelError(f"{self.name}: {name} has shape {shape}; it must have {rank} dimensions, none 0")
        return shape

    def integer(self, name: str) -> int:
        """A tensor that is one whole number."""
        tensor = self._find(name)
        if tensor.size != 1 or tensor.dtype.kind != "i":
            raise InvalidModelError(f"{self.name}: {name} is {tensor.dtype} with shape {tensor.shape}, not one integer")
        self._unread.pop(name, None)
        return int(tensor.reshape(())[()])

    def floats(self, name: str, *shape: int) -> Floats:
        """A tensor of finite floats of that shape, as float32."""
        tensor = self._find(name)
        if tensor.shape != shape or tensor.dtype.kind != "f":
            raise InvalidModelError(
                f"{self.name}: {name} is {tensor.dtype} with shape {tensor.shape}; it must be floats with {shape}"
            )
        values = np.asarray(tensor, np.float32)
        if not np.isfinite(values).all():
            raise InvalidModelError(f"{self.name}: {name} holds a value that is not finite")
        self._unread.pop(name, None)
        return values

    def require_all_taken(self) -> None:
        """InvalidModelError when a tensor was left, which the graph would then do without."""
        if self._unread:
            first, count = next(iter(self._unread)), len(self._unread)
            raise InvalidModelError(f"{self.name}: tensor {first} has no place in the graph (of {count} such)")

    def _find(self, name: str) -> NDArray[np.generic]:
        tensor = self._tensors.get(name)
        if tensor is None:
            raise InvalidModelError(f"{self.name} has no tensor {name}")
        return tensor


class _Parser:
    """Walks over the file once. Nothing in it is believed before it is seen to lie inside the file."""

    def __init__(self, path: Path) -> None:
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self._at = 0

    def parse(self) -> tuple[str, dict[str, NDArray[np.generic]]]:
        version = self._integer("<I")
        if version != _VERSION:
            raise ValueError(f"it says version {version}; {_VERSION} is known")
        kind = self._text()
        self._integer("<I")  # the revision of the kind: what its tensors are called, which the caller sees
        tensors: dict[str, NDArray[np.generic]] = {}
        for _ in range(self._integer("<I")):
            name = self._text()
            if name in tensors:
                raise ValueError(f"tensor {name} stands there twice")
            tensors[name] = self._tensor(name)
        # The same bytes under a second name, as for a head that is tied to the token table.
        for _ in range(self._integer("<I")):
            alias, target = self._text(), self._text()
            if alias in tensors or target not in tensors:
                raise ValueError(f"alias {alias} of {target} is no second name of a tensor")
            tensors[alias] = tensors[target]
        if self._at != len(self._bytes):
            raise ValueError(f"{len(self._bytes) - self._at} bytes follow its end")
        return kind, tensors

    def _tensor(self, name: str) -> NDArray[np.generic]:
        rank = self._integer("<B")
        if rank > _MAX_RANK:
            raise ValueError(f"tensor {name} has {rank} dimensions; at most {_MAX_RANK} are known")
        shape = [self._integer("<I") for _ in range(rank)]
        code, size = self._integer("<B"), self._integer("<I")
        dtype = _TYPES.get(code)
        if dtype is None:
            raise ValueError(f"tensor {name} has a type that is not known ({code})")
        if size != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"tensor {name} of {dtype} with shape {shape} cannot have {size} bytes")
        return np.frombuffer(self._take(size), dtype).reshape(shape)

    def _text(self) -> str:
        stored = bytes(self._take(self._integer("<H")))
        if not stored.endswith(b"\0"):
            raise ValueError("a name in it has no end")
        return stored[:-1].decode()

    def _integer(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self._take(struct.calcsize(layout)).tobytes())
        return int(value)

    def _take(self, count: int) -> NDArray[np.uint8]:
        if count > len(self._bytes) - self._at:
            raise ValueError("it is cut short")
        taken = self._bytes[self._at : self._at + count]
        self._at += count
        return taken
