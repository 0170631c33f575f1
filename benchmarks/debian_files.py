"""Files out of Debian packages that are used as data: fetched once with apt-get, unpacked, and never installed."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A package of one version, and the hash of its file."""

    name: str
    version: str
    sha256: str


def unpacked(package: DebianPackage) -> Path:
    """Returns the folder that has the package's files, in the user's cache; fetched on first use.

    Ends the program with what to do where it cannot be had, or is not the one that is known.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "benchmarks" / "debian"
    folder = cache / f"{package.name}-{package.version}"
    if folder.exists():
        return folder
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SystemExit(f"benchmarks: apt-get is needed once, to fetch {package.name} {package.version}")
    print(f"fetching {package.name} {package.version}", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        _run(["apt-get", "download", "-q", f"{package.name}={package.version}"], Path(scratch), package)
        (archive,) = Path(scratch).glob("*.deb")
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            raise SystemExit(f"benchmarks: {archive.name} has the hash {found} and not {package.sha256}")
        _run(["dpkg-deb", "--extract", str(archive), "unpacked"], Path(scratch), package)
        (Path(scratch) / "unpacked").replace(folder)
    return folder


def _run(command: list[str], folder: Path, package: DebianPackage) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"benchmarks: {package.name} {package.version} cannot be fetched; `apt-get update` may help:\n"
            f"{done.stderr.strip()}"
        )
