"""Reads the JSON files of model folders with typed, located errors, and writes them."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from trivium_models.errors import InvalidModelError

# A configuration has kilobytes; one with a hundred thousand labels some megabytes.
_MAX_FILE_LEN = 64 << 20


class JsonFile:
    """One JSON object; every getter raises InvalidModelError with file and key when the value does not fit."""

    def __init__(self, name: str, values: Mapping[str, object]) -> None:
        self.name = name
        self._values = values

    @classmethod
    def read(cls, path: Path) -> "JsonFile":
        """Reads a file whose content is one object."""
        values = read_json(path)
        if not isinstance(values, dict):
            raise InvalidModelError(f"{path.name} is not a JSON object")
        return cls(path.name, values)

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._values.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when the key is missing."""
        value = self._values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings")
        return tuple(value)

    def count(self, key: str, default: int | None = None) -> int:
        """A positive whole number."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise self._wrong(key, "a positive whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(key, "a finite number")
        return float(value)

    def table(self, key: str) -> "JsonFile":
        """An object; empty when the key is missing."""
        value = self._values[key] if self.has(key) else {}
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return JsonFile(f"{self.name}: {key}", value)

    def tables(self, key: str) -> "tuple[JsonFile, ...]":
        """A list of objects; empty when the key is missing."""
        value = self._values[key] if self.has(key) else []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(key, "a list of objects")
        return tuple(JsonFile(f"{self.name}: {key}[{index}]", item) for index, item in enumerate(value))

    def size(self, key: str) -> int:
        """How many entries an object has; 0 when the key is missing."""
        value = self._values.get(key) or {}
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return len(value)

    def _wrong(self, key: str, expected: str) -> InvalidModelError:
        return InvalidModelError(f"{self.name}: {key} must be {expected}")


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes one object, for people to read."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> object:
    """The content of a JSON file; InvalidModelError when it is missing, too large or malformed."""
    try:
        if path.stat().st_size > _MAX_FILE_LEN:
            raise InvalidModelError(f"{path.name} is larger than {_MAX_FILE_LEN >> 20} MiB")
        values: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{path.name} is not valid JSON") from error
    return values
