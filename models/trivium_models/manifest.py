"""model.toml: what a model in the store is, and the hash of every file that belongs to it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.toml_text import Scalar, TomlTable, toml_lines

MANIFEST_NAME = "model.toml"
_READ_LEN = 1 << 20
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
    """The content of model.toml. exact_graph is None where the model has no exact-mode graph."""

    card: Card
    source: str
    default_graph: str
    exact_graph: str | None
    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """Identifies the model's content: "sha256:" and the hash of the sorted lines "<sha256> <size> <path>"."""
        lines = sorted(f"{entry.sha256} {entry.size_bytes} {entry.path}\n" for entry in self.files)
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(entry.size_bytes for entry in self.files)

    def write(self, folder: Path) -> None:
        """Writes model.toml into the folder."""
        card = self.card
        head: dict[str, Scalar | tuple[str, ...]] = {
            "name": card.name,
            "version": card.version,
            "display_name": card.display_name,
            "task": card.task,
            "architecture": card.architecture,
            "license": card.license,
            "upstream": card.upstream,
            "source": self.source,
            "description": card.description,
            "good_at": card.good_at,
            "bad_at": card.bad_at,
            "language_codes": card.language_codes,
            "digest": self.digest,
        }
        limits = card.limits
        limit_values = {
            "context_length": limits.context_length,
            "max_input_tokens": limits.max_input_tokens,
            "max_output_tokens": limits.max_output_tokens,
        }
        graphs = {"default": self.default_graph}
        if self.exact_graph is not None:
            graphs["exact"] = self.exact_graph
        files: dict[str, dict[str, Scalar]] = {
            entry.path: {"sha256": entry.sha256, "size_bytes": entry.size_bytes} for entry in self.files
        }
        parts = [_HEADER + toml_lines(head), "[limits]\n" + toml_lines(limit_values)]
        if card.defaults:
            parts.append("[defaults]\n" + toml_lines(card.defaults))
        parts += ["[graphs]\n" + toml_lines(graphs), "[files]\n" + toml_lines(files, quote_keys=True)]
        (folder / MANIFEST_NAME).write_text("\n".join(parts), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads model.toml of a folder; InvalidModelError when it is missing, damaged or contradicts its digest."""
        table = TomlTable.load(folder / MANIFEST_NAME)
        graphs, listed = table.table("graphs"), table.table("files")
        files = []
        for path in listed.names():
            entry = listed.table(path)
            files.append(FileEntry(path=path, sha256=entry.text("sha256"), size_bytes=entry.count("size_bytes")))
        manifest = cls(
            card=read_card(table),
            source=table.text("source"),
            default_graph=graphs.text("default"),
            exact_graph=graphs.text("exact") if graphs.has("exact") else None,
            files=tuple(files),
        )
        if manifest.digest != table.text("digest"):
            raise InvalidModelError(
                f"{folder / MANIFEST_NAME}: digest does not match the list of files; the file was edited"
            )
        return manifest


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


def _walk(folder: Path) -> Iterable[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path
