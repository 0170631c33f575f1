"""Reads TOML with typed, located errors, and writes the small TOML files of the store."""

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from trivium_models.errors import InvalidModelError

Scalar = str | int | float | bool
Value = Scalar | Sequence[Scalar] | Mapping[str, Scalar]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A card is a few kilobytes; a list of ten thousand files is two megabytes.
_MAX_FILE_LEN = 16 << 20


class TomlTable:
    """One table of a TOML file; every getter raises InvalidModelError with file and key when the value does not fit."""

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self._values = values
        self._where = where

    @classmethod
    def load(cls, path: Path) -> "TomlTable":
        """Reads a file; raises InvalidModelError when it is missing, cannot be read, or is not TOML."""
        try:
            if not path.exists():
                raise InvalidModelError(f"{path} does not exist")
            # A pipe would block, and a file without an end would fill the memory.
            if not path.is_file() or path.stat().st_size > _MAX_FILE_LEN:
                raise InvalidModelError(f"{path} is not a file of at most {_MAX_FILE_LEN >> 20} MiB")
            return cls(tomllib.loads(path.read_text(encoding="utf-8")), path.name)
        except OSError as error:
            raise InvalidModelError(f"{path} cannot be read: {error.strerror}") from error
        except RecursionError as error:
            raise InvalidModelError(f"{path} is not valid TOML: it is nested too deep") from error
        except ValueError as error:
            raise InvalidModelError(f"{path} is not valid TOML: {error}") from error

    def values(self) -> Mapping[str, object]:
        """The table as it was read."""
        return self._values

    def names(self) -> list[str]:
        """The keys of the table, in the file's order."""
        return list(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def count(self, key: str) -> int:
        """A whole number of at least 0."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._wrong(key, "a whole number of at least 0")
        return value

    def number(self, key: str) -> int | float:
        """A finite number."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(key, "a finite number")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when the key is missing."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings")
        return tuple(value)

    def table(self, key: str) -> "TomlTable":
        """A sub-table; empty when the key is missing."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, "a table")
        return TomlTable(value, f"{self._where}: {key}")

    def tables(self, key: str) -> list["TomlTable"]:
        """A list of tables; empty when the key is missing."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(key, "a list of tables")
        return [TomlTable(item, f"{self._where}: {key}[{index}]") for index, item in enumerate(value)]

    def _wrong(self, key: str, expected: str) -> InvalidModelError:
        return InvalidModelError(f"{self._where}: {key} must be {expected}")


def toml_value(value: Value) -> str:
    """A value as TOML text: a scalar, a list, or an inline table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON escapes are TOML escapes, except that TOML also wants DEL escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    return "[" + ", ".join(toml_value(item) for item in value) + "]"


def toml_key(key: str) -> str:
    """A key as TOML text, quoted unless it is a bare word."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_lines(values: Mapping[str, Value]) -> str:
    """Key-value lines of one table."""
    return "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in values.items())
