"""Fetches a model folder from a Hugging Face repository, into that library's own cache."""

import re
from dataclasses import dataclass
from pathlib import Path

import httpx
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from trivium_models.errors import NetworkError, SourceError, UsageError

_SPEC = re.compile(r"hf:(?P<repository>[^/@]+/[^/@]+)(?:/(?P<folder>[^@]+))?(?:@(?P<revision>.+))?")
# What a model folder is made of. Code and pickles are never asked for.
_PATTERNS = ("*.onnx", "*.onnx.data", "*.onnx_data*", "*.data", "*.json", "*.txt", "*.jinja", "LICENSE*", "model.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A folder of a repository: owner/name, optionally a folder inside it and a revision (branch, tag or commit)."""

    repository: str
    folder: str
    revision: str | None

    @classmethod
    def parse(cls, spec: str) -> "HubSource":
        """Reads "hf:owner/name[/folder][@revision]"; UsageError for anything else."""
        match = _SPEC.fullmatch(spec)
        if match is None or ".." in spec.split("/"):
            raise UsageError(
                f"{spec!r} is not a Hugging Face model; write hf:owner/name, hf:owner/name/folder or …@revision"
            )
        folder = (match["folder"] or "").strip("/")
        return cls(repository=match["repository"], folder=folder, revision=match["revision"])

    def describe(self) -> str:
        """One line for people."""
        where = f"hf: {self.repository}" + (f"/{self.folder}" if self.folder else "")
        return where + (f" @ {self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A fetched folder. Its files may be links into `root`, the repository's part of the cache."""

    folder: Path
    root: Path
    commit: str


def fetch_snapshot(source: HubSource) -> Snapshot:
    """Downloads what is missing (huggingface_hub resumes, retries and shows progress) and returns the folder.

    Honours HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE. Raises SourceError when the repository, revision or
    folder does not exist or is closed to the caller, NetworkError when it cannot be reached.
    """
    prefix = f"{source.folder}/" if source.folder else ""
    try:
        found = snapshot_download(
            source.repository, revision=source.revision, allow_patterns=[prefix + pattern for pattern in _PATTERNS]
        )
    except (HFValidationError, RevisionNotFoundError, GatedRepoError, RepositoryNotFoundError) as error:
        raise SourceError(f"{source.describe()}: {_first_line(error)}") from error
    except LocalEntryNotFoundError as error:
        raise NetworkError(
            f"{source.describe()} cannot be fetched: the hub is out of reach (or HF_HUB_OFFLINE is set), "
            "and the local cache lacks it"
        ) from error
    except EntryNotFoundError as error:
        raise SourceError(f"{source.describe()}: {_first_line(error)}") from error
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise NetworkError(f"{source.describe()} cannot be fetched: {_first_line(error)}") from error
    snapshot = Path(str(found))
    folder = snapshot / source.folder
    if not folder.is_dir():
        raise SourceError(f"{source.describe()}: the repository has no such folder with model files")
    # <cache>/models--owner--name/snapshots/<commit>
    return Snapshot(folder=folder, root=snapshot.parent.parent, commit=snapshot.name)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
