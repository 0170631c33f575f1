"""Disk room: asked for before work starts, and recognised when it runs out in the middle."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivium_models.errors import DiskSpaceError

# EFBIG is what a file-size limit gives; EDQUOT is a user's quota.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def require_room(folder: Path, needed_bytes: int) -> None:
    """Raises DiskSpaceError when the disk of that folder has less room than that."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskSpaceError(
            f"{folder} has {free / 1e6:.0f} MB free and {needed_bytes / 1e6:.0f} MB are needed; "
            "free some room or set TRIVIUM_MODELS_DIR to another disk"
        )


def is_full_disk(error: BaseException | None) -> bool:
    """Whether the error, or one that it came from, is the operating system's "no space"."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk(folder: Path, reason: str | None) -> DiskSpaceError:
    """The error for a disk that ran full in the middle."""
    return DiskSpaceError(
        f"the disk of {folder} is full ({reason}); free some room or set TRIVIUM_MODELS_DIR to another disk"
    )


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Turns the operating system's "no space" errors of the block into DiskSpaceError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise full_disk(folder, error.strerror) from error
        raise
