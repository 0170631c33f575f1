"""The JSON files of a model folder, with errors that say which file and what is wrong with it."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from trivium_server.architectures.model_folder import DESCRIPTION_FILE, ModelFolderError

_T = TypeVar("_T")

_GRAPH_FILES = ("model.onnx", "onnx/model.onnx")
_MAX_LABELS = 1 << 16


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

    def has_number(self, key: str) -> bool:
        """Says whether the value is a lone number."""
        value = self._values.get(key)
        return isinstance(value, int | float) and not isinstance(value, bool)

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        if self._values.get(key) is None:
            return default
        (number,) = self._finite(key, [self._values[key]], "must be a number")
        return number

    def share(self, key: str, default: float) -> float:
        """A number from 0 to 1."""
        number = self.number(key, default)
        if not 0 <= number <= 1:
            raise self.error(key, "must be from 0 to 1")
        return number

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers; a lone number is a list of one."""
        values = [self._values[key]] if self.has_number(key) else self._typed(key, [], list, "a list")
        return self._finite(key, values, "must be a list of numbers")

    def error(self, key: str, problem: str) -> ModelFolderError:
        return ModelFolderError(f"{self.file}: {key} {problem}")

    def _finite(self, key: str, values: Sequence[object], problem: str) -> tuple[float, ...]:
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) < len(values) or not all(abs(number) < math.inf for number in numbers):
            raise self.error(key, problem)
        return tuple(map(float, numbers))

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


def graph_path(files: FolderFiles, precision: str) -> Path:
    """Returns the path of a folder's graph: that which model.toml names for the precision or by default, or the one in
    its usual place. Raises ModelFolderError.
    """
    graphs = Table("model.toml [graphs]", files.description.table("graphs"))
    named = graphs.text(precision, graphs.text("default", ""))
    found = [name for name in (named, *_GRAPH_FILES) if name and (name == named or files.has(name))]
    if not found:
        raise ModelFolderError(f"{' or '.join(_GRAPH_FILES)} is missing")
    return files.path(found[0])


def read_labels(config: Table) -> tuple[str, ...]:
    """Returns the labels by class index. Without id2label they are LABEL_0, LABEL_1, … as transformers names them.

    Raises ModelFolderError.
    """
    stated = config.table("id2label")
    if not stated:
        count = config.integer("num_labels", low=1, high=_MAX_LABELS) or 2
        return tuple(f"LABEL_{index}" for index in range(count))
    labels = [stated.get(str(index)) for index in range(len(stated))]
    texts = tuple(label for label in labels if isinstance(label, str))
    if len(texts) < len(labels):
        raise config.error("id2label", f"must have a text for each of 0 to {len(stated) - 1}")
    return texts
