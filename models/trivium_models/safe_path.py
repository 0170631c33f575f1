"""Paths that strangers wrote: they lead to regular files of the model's own folder, or are refused."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from trivium_models.errors import InvalidModelError, UnsafeModelError


def require_inside(path: Path, root: Path, what: str) -> Path:
    """The path with links followed; UnsafeModelError when that leaves root, InvalidModelError when it is not a file."""
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InvalidModelError(f"{what} does not exist") from error
    if not resolved.is_relative_to(root.resolve()):
        raise UnsafeModelError(f"{what} is a link that leads out of the model's folder")
    if not resolved.is_file():
        raise InvalidModelError(f"{what} is not a regular file")
    return resolved


def require_relative(location: str, what: str) -> None:
    """UnsafeModelError unless the location is a relative path without "..", on any operating system."""
    windows = PureWindowsPath(location)
    parts = set(PurePosixPath(location).parts) | set(windows.parts)
    if not location or "\0" in location or location.startswith("/") or windows.drive or windows.root or ".." in parts:
        raise UnsafeModelError(f"{what} points outside the model's folder: {location!r}")


def require_portable(names: Iterable[str], what: str) -> None:
    """InvalidModelError unless every disk can hold these relative paths side by side and every program print them."""
    seen: dict[str, str] = {}
    for name in names:
        if not name.isprintable() or "\\" in name:
            raise InvalidModelError(f"{what} has a file whose name is not plain text: {name!a}")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise InvalidModelError(f"{what} has {seen[folded]!r} and {name!r}, which some disks take for one file")
        seen[folded] = name
