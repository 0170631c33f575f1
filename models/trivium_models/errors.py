"""What can go wrong with models, as one tree.

    ModelError
    +-- UsageError            the request itself is wrong: a bad name, an unusable source
    |   +-- UnknownModelError      no such model in the catalogue or in the store; carries near matches
    +-- SourceError           the source did not give what was asked
    |   +-- NetworkError           unreachable, cut off, or refused
    |   +-- HashMismatchError      the bytes are not the pinned bytes
    +-- DiskSpaceError        the store's disk is full, or would be
    +-- InvalidModelError     a folder or file is not a model that this program can use
    |   +-- InvalidGgufError       damaged, truncated, or of a kind that the exporter refuses
    |   +-- UnsafeModelError       it points outside its own folder
    +-- StoreBusyError        another process is changing the same model

Every message is one line that names the thing and says what to do where that is known.
"""

from collections.abc import Sequence


class ModelError(Exception):
    """Any failure of this package that a user can act on."""


class UsageError(ModelError):
    """The request cannot be carried out as it was put."""


class UnknownModelError(UsageError):
    """No model of that name; `near` lists names that look like it."""

    def __init__(self, message: str, *, near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.near = tuple(near)


class SourceError(ModelError):
    """The source answered, but not with the model that was asked for."""


class NetworkError(SourceError):
    """The source could not be reached, or the transfer broke off and retries did not help."""


class HashMismatchError(SourceError):
    """The bytes received are not the bytes that the catalogue pins."""


class DiskSpaceError(ModelError):
    """Not enough room where the store lives."""


class InvalidModelError(ModelError):
    """A folder or file that is not a usable model."""


class InvalidGgufError(InvalidModelError):
    """A GGUF file that is damaged, or of a kind that the exporter does not support."""


class UnsafeModelError(InvalidModelError):
    """A model whose files point outside its own folder."""


class StoreBusyError(ModelError):
    """Another process holds the lock of the same model."""
