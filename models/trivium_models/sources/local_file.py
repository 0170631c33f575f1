"""Takes a pinned file from a folder of this machine."""

import shutil
from pathlib import Path

from trivium_models.disk import full_disk_named
from trivium_models.errors import HashMismatchError, SourceError
from trivium_models.manifest import hash_file


def copy_pinned(source: Path, target: Path, *, sha256: str) -> None:
    """Copies `source`; afterwards `target` holds exactly the pinned bytes, or is not there.

    Raises HashMismatchError when the bytes are others, SourceError when `source` cannot be read, and DiskSpaceError
    when the disk fills up; nothing is left behind then.
    """
    copy = target.with_name(target.name + ".copy")
    try:
        with full_disk_named(target.parent):
            shutil.copyfile(source, copy)
        if (actual := hash_file(copy)) != sha256:
            raise HashMismatchError(f"{source} has sha256 {actual}; the catalogue pins {sha256}")
        copy.replace(target)
    except OSError as error:
        raise SourceError(f"{source} cannot be copied: {error.strerror}") from error
    finally:
        copy.unlink(missing_ok=True)
