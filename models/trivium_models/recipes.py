"""How each kind of source becomes a model folder. A recipe fills a staging folder; the store does the rest.

That of the catalogue stands in catalog_recipe.py.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trivium_models.disk import require_room
from trivium_models.errors import HashMismatchError, InvalidModelError
from trivium_models.folder_check import check_folder
from trivium_models.genai_folder import EXACT_GRAPH, SERVING_GRAPH, export_gguf
from trivium_models.gguf_source import GgufSource
from trivium_models.manifest import GRAPH_SUFFIXES, MANIFEST_NAME, Card, FileEntry, Limits, Manifest, list_files
from trivium_models.progress import LayerProgress, Progress
from trivium_models.sources.hub import HubSource, fetch_snapshot


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
        export_gguf(self.path, work.model, on_layer=LayerProgress(progress))
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
        served = found.graphs
        if found.architecture in ("encoder", "image") and found.default_graph is not None:
            served = (found.default_graph,)
        if manifest is None and served:
            # Hubs keep the same model in several precisions side by side; one of them is served.
            kept = [self.folder / name for name in served]
            files = [path for path in files if path.suffix not in GRAPH_SUFFIXES or path in kept]
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
