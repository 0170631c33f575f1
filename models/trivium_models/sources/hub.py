"""Fetches a model folder from a Hugging Face repository, into that library's own cache."""

import re
from dataclasses import dataclass
from pathlib import Path

from trivium_models.disk import full_disk, is_full_disk
from trivium_models.encoder_layout import GRAPH_NAMES
from trivium_models.errors import ModelError, NetworkError, SourceError, UsageError
from trivium_models.speech.speech_folder import SPEECH_GRAPH_NAMES
from trivium_models.vision.image_layout import CHARACTERS_NAME

_SPEC = re.compile(r"hf:(?P<repository>[^/@]+/[^/@]+)(?:/(?P<folder>[^@]+))?(?:@(?P<revision>.+))?")
# What a model folder is made of. Code and pickles are never asked for.
_TEXTS = ("*.json", "*.txt", "*.jinja", "LICENSE*", "model.toml")
_GRAPHS = ("*.onnx", "*.onnx.data", "*.onnx_data*", "*.data")
# Repositories of such models keep the graph in many precisions, and the same weights for other frameworks.
_HUB_GRAPHS = tuple(f"{name}{data}" for name in (*GRAPH_NAMES, *SPEECH_GRAPH_NAMES) for data in ("", ".data", "_data*"))


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
    folder does not exist or is closed to the caller, or when the cache cannot be written, NetworkError when the hub
    cannot be reached, DiskSpaceError when the cache's disk fills up.
    """
    # Here, because it takes a quarter of a second to import, and only this source needs it.
    from huggingface_hub import constants, snapshot_download

    prefix = f"{source.folder}/" if source.folder else ""

    def fetch(patterns: tuple[str, ...]) -> Path:
        allowed = [prefix + pattern for pattern in patterns]
        return Path(str(snapshot_download(source.repository, revision=source.revision, allow_patterns=allowed)))

    try:
        texts = fetch(_TEXTS) / source.folder
        whole = any((texts / name).is_file() for name in ("genai_config.json", "model.toml", CHARACTERS_NAME))
        snapshot = fetch(_TEXTS + (_GRAPHS if whole else _HUB_GRAPHS))
    except Exception as error:  # the HTTP library below, and so its errors, differ by the hub's version
        raise _translated(source, error, Path(constants.HF_HUB_CACHE)) from error
    folder = snapshot / source.folder
    if not folder.is_dir():
        raise SourceError(f"{source.describe()}: the repository has no such folder with model files")
    # <cache>/models--owner--name/snapshots/<commit>
    return Snapshot(folder=folder, root=snapshot.parent.parent, commit=snapshot.name)


def _translated(source: HubSource, error: Exception, cache: Path) -> ModelError:
    from huggingface_hub import errors

    if is_full_disk(error):
        return full_disk(cache, "Hugging Face cache; HF_HOME moves it")
    if isinstance(error, errors.LocalEntryNotFoundError):
        return NetworkError(
            f"{source.describe()} cannot be fetched: the hub is out of reach (or HF_HUB_OFFLINE is set), "
            "and the local cache lacks it"
        )
    refusals = (
        errors.HFValidationError,
        errors.RevisionNotFoundError,
        errors.RepositoryNotFoundError,
        errors.EntryNotFoundError,
    )
    if isinstance(error, refusals):
        return SourceError(f"{source.describe()}: {_first_line(error)}")
    if isinstance(error, OSError) and error.filename is not None:
        return SourceError(f"the Hugging Face cache cannot be used: {error.strerror}: {error.filename}")
    return NetworkError(f"{source.describe()} cannot be fetched: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
