"""A .npy file of vectors that grows row by row, survives a kill, and takes its name only when it is whole.

Beside OUT, a run keeps OUT.partial (the rows), OUT.partial.json (how many of them are safe, and what they were made
of) and OUT.partial.errors (the failures). A run that finds them goes on behind the last row that is safe.
"""

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Self

import click
import numpy as np
from numpy.typing import NDArray

if sys.platform != "win32":
    import fcntl

CHECKPOINT_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What vectors are made of. Rows of two origins must not meet in one file."""

    input_sha256: str
    rows: int
    settings: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a file has got: rows that are safe on disk, how long each is, and by which model they were made."""

    origin: Origin
    rows: int = 0
    dimensions: int = 0
    model: str = ""
    model_digest: str = ""
    input_tokens: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A row without a vector: its place from 0, the line of the input from 1, the id in it, and why."""

    row: int
    line: int
    record_id: str
    error: str


class VectorFile:
    """The file under way. Use it in `with`. Rows that fail are zeros. Not for several threads."""

    def __init__(self, out: Path, origin: Origin, *, restart: bool) -> None:
        self._out = out
        self._data_path = out.with_name(f"{out.name}.partial")
        self._state_path = out.with_name(f"{out.name}.partial.json")
        self._errors_path = out.with_name(f"{out.name}.partial.errors")
        self._origin = origin
        self._restart = restart
        self._files = contextlib.ExitStack()
        self.checkpoint = Checkpoint(origin=origin)

    def __enter__(self) -> Self:
        self._data: IO[bytes] = self._files.enter_context(_open_locked(self._data_path, self._out))
        try:
            if self._restart:
                self._state_path.unlink(missing_ok=True)
            elif self._data_path.stat().st_size:  # else a run that ended between its last two steps left the state
                self._resume()
            self._cut()
        except BaseException:
            self._files.close()
            raise
        self._saved = time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        self._files.close()

    def _resume(self) -> None:
        try:
            found = json.loads(self._state_path.read_text())
            checkpoint = Checkpoint(**{**found, "origin": Origin(**found["origin"])})
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError, OSError):
            raise self._refusal("cannot be read") from None
        if checkpoint.origin.input_sha256 != self._origin.input_sha256:
            raise self._refusal("was begun with other input than this")
        if changed := _difference(checkpoint.origin.settings, self._origin.settings):
            raise self._refusal(f"was begun with another {changed}")
        if self._data_path.stat().st_size < _offset(checkpoint.rows, checkpoint.dimensions):
            raise self._refusal("has fewer rows than it says")
        self.checkpoint = checkpoint

    def _refusal(self, why: str) -> click.ClickException:
        return click.UsageError(
            f"the unfinished {self._data_path} {why}; give --restart to begin anew, or another file to --output"
        )

    def _cut(self) -> None:
        """Forgets what came after the checkpoint."""
        kept = [failure for failure in self._read_failures() if failure.row < self.checkpoint.rows]
        self._errors: IO[str] = self._files.enter_context(self._errors_path.open("w", encoding="utf-8"))
        for failure in kept:
            self._errors.write(f"{json.dumps(asdict(failure))}\n")
        self._data.truncate(_offset(self.checkpoint.rows, self.checkpoint.dimensions))
        self._data.seek(0, os.SEEK_END)

    def _read_failures(self) -> Iterator[Failure]:
        if not self.checkpoint.failed:
            return
        with self._errors_path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may be cut
                    yield Failure(**json.loads(line))

    def check_model(self, name: str, digest: str) -> None:
        """Refuses vectors of another model than those that are there."""
        there = (self.checkpoint.model, self.checkpoint.model_digest)
        if self.checkpoint.rows and there != (name, digest):
            raise self._refusal(f"was begun with another model, or another version of it: {there[0]}")
        self.checkpoint = replace(self.checkpoint, model=name, model_digest=digest)

    def add(self, vector: NDArray[np.float32] | Failure, input_tokens: int) -> None:
        """Appends the next row, and makes it safe every few seconds."""
        state = self.checkpoint
        if isinstance(vector, Failure):
            self._errors.write(f"{json.dumps(asdict(vector))}\n")
            self._data.write(bytes(4 * state.dimensions))
            state = replace(state, failed=state.failed + 1)
        else:
            self._set_dimensions(vector.size)
            state = replace(state, dimensions=vector.size)
            self._data.write(vector.astype("<f4", copy=False).tobytes())
        self.checkpoint = replace(state, rows=state.rows + 1, input_tokens=state.input_tokens + input_tokens)
        if time.monotonic() - self._saved > CHECKPOINT_EVERY_S:
            self.save()

    def _set_dimensions(self, dimensions: int) -> None:
        known = self.checkpoint.dimensions
        if known == dimensions:
            return
        if known:
            raise click.ClickException(f"a vector has {dimensions} components, those before it {known}")
        self._data.write(_header(0, dimensions))
        self._data.write(
            bytes(4 * dimensions * self.checkpoint.rows)
        )  # of the rows that failed before the first vector

    def save(self) -> None:
        """Makes the rows so far safe."""
        self._saved = time.monotonic()
        for file in (self._data, self._errors):
            file.flush()
            os.fsync(file.fileno())
        scratch = self._state_path.with_name(f"{self._state_path.name}.new")
        scratch.write_text(json.dumps(asdict(self.checkpoint)))
        scratch.replace(self._state_path)

    def failures(self) -> Iterator[Failure]:
        """Reads the failures so far."""
        self.save()
        return self._read_failures()

    def finish(self) -> None:
        """Gives the file its name. A file of that name is replaced."""
        state = self.checkpoint
        self._data.seek(0)
        self._data.write(_header(state.rows, state.dimensions))
        self._data.flush()
        os.fsync(self._data.fileno())
        self._data_path.replace(self._out)
        self._errors_path.unlink()
        self._state_path.unlink(missing_ok=True)


def _difference(before: dict[str, object], now: dict[str, object]) -> str:
    return ", ".join(name for name in now if before.get(name) != now[name])


def _header(rows: int, dimensions: int) -> bytes:
    """The header of a .npy file; numpy leaves room in it, so its length does not depend on the number of rows."""
    built = io.BytesIO()
    np.lib.format.write_array_header_1_0(built, {"descr": "<f4", "fortran_order": False, "shape": (rows, dimensions)})
    return built.getvalue()


def _offset(rows: int, dimensions: int) -> int:
    return len(_header(0, dimensions)) + 4 * rows * dimensions if dimensions else 0


@contextlib.contextmanager
def _open_locked(path: Path, out: Path) -> Iterator[IO[bytes]]:
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from None
    with file:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise click.ClickException(f"another run is writing {out}") from None
        yield file
