"""The JSON files of a model folder, with errors that say which file and what is wrong with it."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from trivium_server.architectures.model_folder import DESCRIPTION_FILE, ModelFolderError

_T = TypeVar("_T")


class Table:
    """An object of a file. Absent keys and null give the default; a value of another type raises ModelFolderError."""

    def __init__(self, file: str, values: Mapping[str, object]) -> None:
        self.file = file
        self._values = values

    def text(self, key: str, default: str) -> str:
        return self._typed(key, default, str, "text")

    def flag(self, key: str, default: bool) -> bool:
        return self._typed(key, default, bool, "true or false")

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._typed(key, [], list, "a list")
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "must be a list of texts")
        return tuple(values)

    def table(self, key: str) -> dict[str, object]:
        return self._typed(key, {}, dict, "an object")

    def integer(self, key: str, *, low: int, high: int) -> int | None:
        """A whole number, also where it is written as a float. More than high counts as high."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= low:
            raise self.error(key, f"must be a whole number of at least {low}")
        return int(min(value, high))

    def integers(self, key: str, *, low: int, high: int) -> tuple[int, ...]:
        values = self._typed(key, [], list, "a list")
        if not all(isinstance(value, int) and low <= value <= high for value in values):
            raise self.error(key, f"must be a list of whole numbers from {low} to {high}")
        return tuple(values)

    def error(self, key: str, problem: str) -> ModelFolderError:
        return ModelFolderError(f"{self.file}: {key} {problem}")

    def _typed(self, key: str, default: _T, kind: type[_T], name: str) -> _T:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.error(key, f"must be {name}")
        return value


class FolderFiles:
    """The files of a folder. What its model.toml does not list is not covered by the digest, and is not there."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelFolderError."""
        self._folder = folder
        self.description = Table(DESCRIPTION_FILE, self._description())
        listed = self.description.table("files")
        self._listed = set(listed) if listed else None

    def has(self, name: str) -> bool:
        return (self._listed is None or name in self._listed) and (self._folder / name).is_file()

    def path(self, name: str) -> Path:
        """Returns the path of a file that must be there."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ModelFolderError(f"{name!r} points out of the folder")
        if not (self._folder / name).is_file():
            raise ModelFolderError(f"{name} is missing")
        if not self.has(name):
            raise ModelFolderError(f"{DESCRIPTION_FILE}: {name} is not among its files")
        return self._folder / name

    def read_text(self, name: str) -> str:
        path = self.path(name)
        try:
            return path.read_text(encoding="utf-8")
        except ValueError as error:
            raise ModelFolderError(f"{name}: is no UTF-8: {error}") from error

    def json(self, name: str) -> object:
        try:
            value: object = json.loads(self.read_text(name))
        except (RecursionError, ValueError) as error:
            raise ModelFolderError(f"{name}: is no JSON: {error}") from error
        return value

    def table(self, name: str) -> Table:
        """Reads a file that holds one object, and must be there."""
        value = self.json(name)
        if not isinstance(value, dict):
            raise ModelFolderError(f"{name}: must hold an object")
        return Table(name, value)

    def optional_table(self, name: str) -> Table:
        """As `table`; empty where the file is not there."""
        return self.table(name) if self.has(name) else Table(name, {})

    def _description(self) -> dict[str, object]:
        path = self._folder / DESCRIPTION_FILE
        try:
            return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except (RecursionError, ValueError) as error:
            raise ModelFolderError(f"{DESCRIPTION_FILE}: {error}") from error
