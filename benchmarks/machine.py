"""Describes the machine and the software that a measurement ran on."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PACKAGES = ("grpcio", "numpy", "onnxruntime", "protobuf", "tokenizers", "trivium", "trivium-server")
_PEERS = ("xllamacpp", "onnxruntime-genai", "onnxruntime", "grpcio")  # of language models

REPOSITORY = Path(__file__).resolve().parent.parent


def describe(peers_python: Path | None = None, *, peers: Sequence[str] = _PEERS) -> dict[str, str]:
    """Returns what a reader needs to judge a figure: processor, system, versions, commit, date, and the load before.

    peers_python: the interpreter whose packages are the peers, if they take part; `peers` are their names.
    """
    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cpus": f"{len(os.sched_getaffinity(0))} usable",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "instructions": _instructions(),
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f} over one minute",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES),
        "commit": _commit(),
    }
    if peers_python is not None:
        facts["peers"] = package_versions(peers_python, peers)
    return facts


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _instructions() -> str:
    text = Path("/proc/cpuinfo").read_text()
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return ", ".join(name for name in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if name in flags)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit} with changes" if commit and git("status", "--porcelain") else commit or "unknown"


def package_versions(python: Path, names: Sequence[str]) -> str:
    """Returns names and versions of packages of another interpreter. Raises CalledProcessError where one is missing."""
    code = (
        f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {tuple(names)!r}))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
