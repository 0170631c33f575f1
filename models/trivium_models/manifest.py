"""model.toml: what a model in the store is, and the hash of every file that belongs to it."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.safe_path import require_relative
from trivium_models.toml_text import Scalar, TomlTable, toml_key, toml_lines

MANIFEST_NAME = "model.toml"
# Files that onnxruntime loads.
GRAPH_SUFFIXES = (".onnx", ".ort")
_READ_LEN = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What is for people, or covered by the list of files. Every other key can change answers, also keys yet to come.
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
_HEADER = "# Written by `trivium models pull`. `trivium models verify` checks the files against it.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a model; path is relative to the model folder, with forward slashes."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits in tokens; the prompt and the answer together fit in context_length."""

    context_length: int
    max_input_tokens: int
    max_output_tokens: int

    @classmethod
    def for_context(cls, context_length: int) -> "Limits":
        """The limits of a model about which only the context is known: one token is left for the other side."""
        rest = max(context_length - 1, 1)
        return cls(context_length=context_length, max_input_tokens=rest, max_output_tokens=rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a user wants to know before using a model. license is an SPDX identifier, or "unknown"."""

    name: str
    version: str
    display_name: str
    task: str
    architecture: str
    license: str
    upstream: str
    description: str = ""
    good_at: tuple[str, ...] = ()
    bad_at: tuple[str, ...] = ()
    language_codes: tuple[str, ...] = ()
    limits: Limits
    # Sampling parameters that the model's authors recommend, by the names of the generation API.
    defaults: dict[str, int | float] = field(default_factory=dict)

    def renamed(self, name: str) -> "Card":
        """The same card for a model that is installed under another name."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of model.toml. default_graph is None where no graph runs, exact_graph where none is exact.

    digest identifies what answers depend on, see content_digest; it is computed where it is not given.
    """

    card: Card
    source: str
    default_graph: str | None
    exact_graph: str | None
    files: tuple[FileEntry, ...]
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.digest:
            # The way to set a field of a frozen dataclass.
            object.__setattr__(self, "digest", content_digest(self.files, self._settings()))

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(entry.size_bytes for entry in self.files)

    @property
    def graphs(self) -> tuple[str, ...]:
        """The graphs that it has, the default one first."""
        return tuple(graph for graph in (self.default_graph, self.exact_graph) if graph is not None)

    def write(self, folder: Path) -> None:
        """Writes model.toml into the folder."""
        card = self.card
        head: dict[str, Scalar | tuple[str, ...]] = {
            "name": card.name,
            "version": card.version,
            "display_name": card.display_name,
            "license": card.license,
            "upstream": card.upstream,
            "source": self.source,
            "description": card.description,
            "good_at": card.good_at,
            "bad_at": card.bad_at,
            "language_codes": card.language_codes,
            "digest": self.digest,
        }
        files: dict[str, dict[str, Scalar]] = {
            entry.path: {"sha256": entry.sha256, "size_bytes": entry.size_bytes} for entry in self.files
        }
        settings = self._settings()
        head |= {key: value for key, value in settings.items() if isinstance(value, str)}
        tables = {key: value for key, value in settings.items() if isinstance(value, dict) and value}
        parts = [_HEADER + toml_lines(head)]
        parts += [f"[{toml_key(key)}]\n{toml_lines(table)}" for key, table in (tables | {"files": files}).items()]
        (folder / MANIFEST_NAME).write_text("\n".join(parts), encoding="utf-8")

    def _settings(self) -> dict[str, str | dict[str, Scalar]]:
        limits = self.card.limits
        named = {"default": self.default_graph, "exact": self.exact_graph}
        graphs: dict[str, Scalar] = {name: graph for name, graph in named.items() if graph is not None}
        return {
            "task": self.card.task,
            "architecture": self.card.architecture,
            "limits": {
                "context_length": limits.context_length,
                "max_input_tokens": limits.max_input_tokens,
                "max_output_tokens": limits.max_output_tokens,
            },
            "defaults": dict(self.card.defaults),
            "graphs": graphs,
        }

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads model.toml of a folder; InvalidModelError when it is missing, damaged or contradicts its digest."""
        table = TomlTable.load(folder / MANIFEST_NAME)
        graphs = table.table("graphs")
        files = _read_files(table.table("files"))
        settings = {key: value for key, value in table.values().items() if key not in _NO_SETTINGS}
        digest = table.text("digest")
        # A digest over the files alone is that of a model which an earlier release pulled.
        if digest not in {content_digest(files, settings), content_digest(files, {})}:
            raise InvalidModelError(
                f"{folder / MANIFEST_NAME}: digest does not match the files and settings listed; the file was edited"
            )
        manifest = cls(
            card=read_card(table),
            source=table.text("source"),
            default_graph=graphs.text("default") if graphs.has("default") else None,
            exact_graph=graphs.text("exact") if graphs.has("exact") else None,
            files=files,
            digest=digest,
        )
        for graph in manifest.graphs:
            if not graph.endswith(".onnx") or all(entry.path != graph for entry in files):
                raise InvalidModelError(
                    f"{folder / MANIFEST_NAME}: the graph {graph!r} is not an .onnx file that it lists"
                )
        return manifest


def content_digest(files: Iterable[FileEntry], settings: Mapping[str, object]) -> str:
    """Identifies what a model's answers depend on, as "sha256:" and 64 hexadecimal digits.

    settings: the keys of model.toml that are not for people. Hashed are the sorted lines "<sha256> <size> <path>" of
    the files, then one line of JSON with the settings that are not empty: sorted keys, no spaces.
    """
    lines = sorted(f"{entry.sha256} {entry.size_bytes} {entry.path}\n" for entry in files)
    if stated := {key: value for key, value in settings.items() if value not in ({}, [], "")}:
        lines.append(json.dumps(stated, sort_keys=True, separators=(",", ":"), default=str) + "\n")
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_files(listed: TomlTable) -> tuple[FileEntry, ...]:
    files = []
    for path in listed.names():
        require_relative(path, f"{MANIFEST_NAME}: a file")
        entry = listed.table(path)
        sha256 = entry.text("sha256")
        if not _SHA256.fullmatch(sha256):
            raise InvalidModelError(f"{MANIFEST_NAME}: sha256 of {path!r} is not 64 hexadecimal digits")
        files.append(FileEntry(path=path, sha256=sha256, size_bytes=entry.count("size_bytes")))
    return tuple(files)


def read_card(table: TomlTable) -> Card:
    """The card in a catalogue entry or in model.toml; both use the same keys."""
    limits, defaults = table.table("limits"), table.table("defaults")
    return Card(
        name=table.text("name"),
        version=table.text("version"),
        display_name=table.text("display_name"),
        task=table.text("task"),
        architecture=table.text("architecture"),
        license=table.text("license"),
        upstream=table.text("upstream"),
        description=table.text("description", ""),
        good_at=table.texts("good_at"),
        bad_at=table.texts("bad_at"),
        language_codes=table.texts("language_codes"),
        limits=Limits(
            context_length=limits.count("context_length"),
            max_input_tokens=limits.count("max_input_tokens"),
            max_output_tokens=limits.count("max_output_tokens"),
        ),
        defaults={key: defaults.number(key) for key in defaults.names()},
    )


def hash_file(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """SHA-256 of a file as lower-case hex; calls on_bytes(count) for each piece read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_LEN):
            digest.update(piece)
            on_bytes(len(piece))
    return digest.hexdigest()


def list_files(folder: Path) -> list[Path]:
    """Every file below the folder but model.toml, sorted; directories and hidden entries are left out."""
    return sorted(path for path in _walk(folder) if path != folder / MANIFEST_NAME)


def describe_files(folder: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> tuple[FileEntry, ...]:
    """Hashes every file of a model folder but model.toml itself."""
    entries = []
    for path in list_files(folder):
        name = path.relative_to(folder).as_posix()
        entries.append(FileEntry(path=name, sha256=hash_file(path, on_bytes), size_bytes=path.stat().st_size))
    return tuple(entries)


def _walk(top: Path) -> Iterable[Path]:
    folders = [top]  # no recursion: a stranger's folders may be nested deeper than Python's stack
    while folders:
        for path in folders.pop().iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir() and not path.is_symlink():
                folders.append(path)
            else:
                yield path
