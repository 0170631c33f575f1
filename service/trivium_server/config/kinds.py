"""What a setting's value may be: each kind reads text (environment, flags) and TOML values, and says its range."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TomlValue = object
"""What tomllib returns: str, int, float, bool, list or dict."""


class Kind(Protocol):
    """Turns what the operator wrote into a value, or raises ValueError with what is allowed."""

    def read(self, value: TomlValue) -> object: ...

    @property
    def allowed(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in a closed range."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, value: TomlValue) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise ValueError(self.allowed)
        return value


@dataclass(frozen=True, slots=True)
class Seconds:
    """A finite number of seconds in a closed range."""

    low: float
    high: float

    @property
    def allowed(self) -> str:
        return f"a number of seconds from {self.low:g} to {self.high:g}"

    def read(self, value: TomlValue) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(self.allowed)  # noqa: TRY004  # one error for whatever the operator wrote
        try:
            seconds = float(value)
        except ValueError:
            raise ValueError(self.allowed) from None
        if not math.isfinite(seconds) or not self.low <= seconds <= self.high:
            raise ValueError(self.allowed)
        return seconds


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; as text also 1, 0, yes, no, on, off."""

    @property
    def allowed(self) -> str:
        return "true or false"

    def read(self, value: TomlValue) -> bool:
        if isinstance(value, bool):
            return value
        text = value.strip().lower() if isinstance(value, str) else ""
        if text in {"1", "true", "yes", "on"}:
            return True
        if text in {"0", "false", "no", "off"}:
            return False
        raise ValueError(self.allowed)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.words)

    def read(self, value: TomlValue) -> str:
        if not isinstance(value, str) or value.strip().lower() not in self.words:
            raise ValueError(self.allowed)
        return value.strip().lower()


@dataclass(frozen=True, slots=True)
class Text:
    """Text that a function accepts; the function returns it in normal form or raises ValueError."""

    allowed: str
    check: Callable[[str], str]

    def read(self, value: TomlValue) -> str:
        if not isinstance(value, str):
            raise ValueError(self.allowed)  # noqa: TRY004  # one error for whatever the operator wrote
        try:
            return self.check(value.strip())
        except ValueError:
            raise ValueError(self.allowed) from None


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path; `~` is the home directory. Empty: none, where that is allowed."""

    must_exist: bool = False
    optional: bool = False

    @property
    def allowed(self) -> str:
        return "a file that can be read" if self.must_exist else "a path"

    def read(self, value: TomlValue) -> Path | None:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(self.allowed)
        if not value.strip():
            if self.optional:
                return None
            raise ValueError(self.allowed)
        path = Path(value.strip()).expanduser()
        if self.must_exist and not path.is_file():
            raise ValueError(self.allowed)
        return path


@dataclass(frozen=True, slots=True)
class Names:
    """A list of names; as text, separated by commas. `none` alone is the empty list, `all` alone is None.

    choices: those that there are; empty where any name will do.
    """

    allowed: str
    has_all: bool = False
    has_none: bool = False
    choices: tuple[str, ...] = ()

    def read(self, value: TomlValue) -> tuple[str, ...] | None:
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(self.allowed)
        stripped = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
        if self.has_all and stripped == ("all",):
            return None
        if self.has_none and stripped == ("none",):
            return ()
        if not stripped and not (self.has_none and isinstance(value, list)):
            raise ValueError(self.allowed)
        if any(not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name) for name in stripped):
            raise ValueError(self.allowed)
        if self.choices and not set(stripped) <= set(self.choices):
            raise ValueError(self.allowed)
        return stripped
