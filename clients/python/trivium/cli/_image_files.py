"""Image files that commands read, and pictures that they write."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from trivium._pictures import require_pillow
from trivium.vision import ImageInput

if TYPE_CHECKING:
    from PIL.Image import Image

STDIN = "-"


def checked_files(names: Sequence[str]) -> None:
    """Raises UsageError for a file that is not there or empty, before any is sent."""
    for name in names:
        if name != STDIN and not Path(name).is_file():
            what = "it is a folder; name the files" if Path(name).is_dir() else "there is no such file"
            raise click.UsageError(f"{name}: {what}")
        if name != STDIN and not Path(name).stat().st_size:
            raise click.UsageError(f"{name}: it is empty")
    if list(names).count(STDIN) > 1:
        raise click.UsageError("standard input can be read once only")


def read_image(name: str) -> ImageInput:
    """Returns what to send for a file, the bytes of standard input for `-`."""
    if name != STDIN:
        return Path(name)
    if sys.stdin.isatty():
        raise click.UsageError("standard input is a terminal, not an image")
    content = sys.stdin.buffer.read()
    if not content:
        raise click.UsageError("standard input is empty")
    return content


class Drawable(Protocol):
    """A result that can be drawn."""

    def draw(self) -> "Image":
        """Returns a picture."""


class DrawnFiles:
    """Where pictures go: a file for one image, a folder for several, which is made where it is missing."""

    def __init__(self, out: Path, names: Sequence[str]) -> None:
        """Raises UsageError where pictures could not be written there, or would replace what they are made from."""
        try:
            require_pillow()
        except ModuleNotFoundError as error:
            raise click.ClickException(str(error)) from None
        from PIL.Image import registered_extensions

        self._out = out
        self._is_folder = len(names) > 1 or out.is_dir()
        known = registered_extensions()
        if self._is_folder and out.is_file():
            raise click.UsageError(f"--draw {out}: give a folder for several files")
        if not self._is_folder and known.get(out.suffix.lower()) not in ("PNG", "JPEG", "WEBP"):
            raise click.UsageError(f"--draw {out}: name it .png, .jpg or .webp")
        paths = [self.path(name) for name in names]
        if twice := next((path for path in paths if paths.count(path) > 1), None):
            raise click.UsageError(f"--draw {out}: two files would both be drawn to {twice}")
        if any(
            path.exists() and name != STDIN and path.samefile(name) for path, name in zip(paths, names, strict=True)
        ):
            raise click.UsageError(f"--draw {out}: it would replace the file that it is drawn from")

    def path(self, name: str) -> Path:
        """Returns where the picture of a file goes."""
        stem = "stdin" if name == STDIN else Path(name).stem
        return self._out / f"{stem}.png" if self._is_folder else self._out

    def save(self, name: str, drawn: Drawable) -> Path:
        """Draws a result and writes the picture. ClickException where that fails."""
        path = self.path(name)
        try:
            picture = drawn.draw()
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        except OSError as error:
            raise click.ClickException(f"cannot draw {name} to {path}: {error.strerror or error}") from None
        return path
