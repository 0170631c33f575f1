"""Reads model folders: `<store>/<name>/model.toml` says what the model is and lists its files with their SHA-256.

    name = "smollm2-135m-instruct"
    version = "1"
    display_name = "SmolLM2 135M Instruct"
    task = "generate_text"
    architecture = "genai"
    license = "Apache-2.0"
    language_codes = ["en"]
    digest = "sha256:<of the list of files and the settings>"

    [files]
    "model.onnx" = { sha256 = "<hexadecimal>", size_bytes = 123 }

`trivium models pull` writes it. The digest is the SHA-256 of the sorted lines "<sha256> <size> <path>", each with a
line feed, and of one line of JSON with every other key that is not for people, such as limits and defaults. A digest
of the first lines alone is that of a model which an earlier release pulled.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from trivium_server.architectures.capabilities import Capability, ModelCard

DESCRIPTION_FILE = "model.toml"
_CHUNK_BYTES = 4 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_SETTINGS = frozenset(
    {
        "name",
        "version",
        "display_name",
        "license",
        "upstream",
        "source",
        "description",
        "good_at",
        "bad_at",
        "language_codes",
        "digest",
        "files",
    }
)


class ModelFolderError(Exception):
    """A folder is not a usable model; the text says why."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What model.toml says of a file."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A folder of the store. Where `problem` is set it cannot be loaded, and the card holds little but its name."""

    path: Path
    card: ModelCard
    family: str = ""
    files: Mapping[str, ListedFile] = field(default_factory=dict)
    problem: str = ""

    def verify(self, progress: Callable[[float], None]) -> None:
        """Compares every file with its SHA-256, and calls progress with the share of bytes read, 0 to 1.

        Blocks; for a thread. Raises ModelFolderError for a broken folder and for a file that is missing or changed.
        """
        if self.problem:
            raise ModelFolderError(self.problem)
        paths = {name: self.path / name for name in self.files}
        missing = sorted(name for name, path in paths.items() if not path.is_file())
        if missing:
            raise ModelFolderError(f"{missing[0]} is missing; pull the model again")
        total = sum(path.stat().st_size for path in paths.values()) or 1
        done = 0
        for name, path in paths.items():
            sha256 = hashlib.sha256()
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    sha256.update(chunk)
                    done += len(chunk)
                    progress(done / total)
            if sha256.hexdigest() != self.files[name].sha256:
                raise ModelFolderError(
                    f"{name} is not the file that model.toml lists (SHA-256 differs); pull the model again"
                )


def read_store(store: Path) -> list[ModelFolder]:
    """Reads every folder of a store, by name. A store that does not exist is empty. Hidden folders are skipped."""
    if not store.is_dir():
        return []
    folders = sorted(path for path in store.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [read_folder(path) for path in folders]


def read_folder(path: Path) -> ModelFolder:
    """Reads one folder; what is wrong with it comes back in `problem`."""
    try:
        description = tomllib.loads((path / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        files = _files(description)
        return ModelFolder(
            path=path, card=_card(path.name, description, files), family=_text(description, "architecture"), files=files
        )
    except FileNotFoundError:
        problem = f"the folder has no {DESCRIPTION_FILE}; add the model with `trivium models pull`"
    except (OSError, RecursionError, ValueError, ModelFolderError) as error:
        problem = f"{DESCRIPTION_FILE}: {error}"
    nothing: frozenset[Capability] = frozenset()
    card = ModelCard(
        name=path.name,
        version="",
        digest="",
        display_name=path.name,
        license="",
        language_codes=(),
        capabilities=nothing,
    )
    return ModelFolder(path=path, card=card, problem=problem)


def digest_of(files: Mapping[str, ListedFile], description: Mapping[str, object] | None = None) -> str:
    """Returns the digest of a model, as `sha256:` and 64 hexadecimal digits.

    Covers the list of files, and the settings of the description where one is given.
    """
    lines = sorted(f"{file.sha256} {file.size_bytes} {name}\n" for name, file in files.items())
    settings = {
        key: value
        for key, value in (description or {}).items()
        if key not in _NO_SETTINGS and value not in ({}, [], "")
    }
    if settings:
        lines.append(json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str) + "\n")
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _card(folder_name: str, description: Mapping[str, object], files: Mapping[str, ListedFile]) -> ModelCard:
    name = _text(description, "name")
    if name != folder_name:
        raise ModelFolderError(f"name is {name!r}, but the folder is {folder_name!r}")
    digest = _text(description, "digest")
    if digest not in {digest_of(files, description), digest_of(files)}:
        raise ModelFolderError("digest does not match the files and settings listed; pull the model again")
    return ModelCard(
        name=name,
        version=_text(description, "version"),
        digest=digest,
        display_name=_text(description, "display_name", name),
        license=_text(description, "license", ""),
        language_codes=_texts(description, "language_codes"),
        capabilities=frozenset({_capability(_text(description, "task"))}),
    )


def _files(description: Mapping[str, object]) -> dict[str, ListedFile]:
    files = description.get("files")
    if not isinstance(files, dict) or not files:
        raise ModelFolderError("[files] is missing or empty")
    return {name: _file(name, entry) for name, entry in files.items()}


def _file(name: str, entry: object) -> ListedFile:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ModelFolderError(f"{name!r} points out of the folder")
    sha256, size = (entry.get("sha256"), entry.get("size_bytes")) if isinstance(entry, dict) else (None, None)
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256) or not isinstance(size, int):
        raise ModelFolderError(f"{name!r} has no sha256 of 64 hexadecimal digits, or no size_bytes")
    return ListedFile(sha256, size)


def _capability(task: str) -> Capability:
    try:
        return Capability(task.upper())
    except ValueError:
        known = ", ".join(capability.value.lower() for capability in Capability)
        raise ModelFolderError(f"task is {task!r}; this server knows {known}") from None


def _text(description: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = description.get(key, default)
    if not isinstance(value, str):
        raise ModelFolderError(f"{key} is missing or no text")
    return value


def _texts(description: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = description.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ModelFolderError(f"{key} is no list of texts")
    return tuple(value)
