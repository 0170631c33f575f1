"""The store: one folder per installed model, changed only by whole steps.

A pull works in a staging folder inside the store and becomes visible by one rename, so a reader sees a complete model
or none, and a killed pull leaves only what the next one cleans up; how a model is replaced stands in replacement.py.
Processes may use one store at once: those that change the same model wait for each other.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trivium_models.catalog import Catalog, load_catalog, unknown_model
from trivium_models.disk import full_disk_named, is_full_disk
from trivium_models.errors import InvalidModelError, StoreBusyError, UsageError
from trivium_models.manifest import GRAPH_SUFFIXES, MANIFEST_NAME, Manifest, describe_files, hash_file, list_files
from trivium_models.probe import can_probe, probe_graphs
from trivium_models.progress import NoProgress, Progress
from trivium_models.replacement import put_in_place, settle, unsettled
from trivium_models.specs import read_spec, valid_name

# Imported where they are used: ONNX, tokenizers and the sources take most of a second, and `list` needs none of them.
if TYPE_CHECKING:
    from trivium_models.recipes import Recipe

_LOCK_WAIT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """A folder of the store. `manifest` is None and `problem` says why when its model.toml cannot be used."""

    name: str
    folder: Path
    manifest: Manifest | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of checking a model; it is sound when `problems` is empty."""

    name: str
    num_files: int
    size_bytes: int
    problems: tuple[str, ...]


def default_store_path() -> Path:
    """$TRIVIUM_MODELS_DIR, else $XDG_DATA_HOME/trivium/models, else ~/.local/share/trivium/models."""
    if chosen := os.environ.get("TRIVIUM_MODELS_DIR"):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "trivium" / "models"


class Store:
    """A folder of installed models. Methods may be called from several threads and processes.

    lock_wait_s: how long to wait for another process that changes the same model.
    """

    def __init__(
        self, path: Path | None = None, *, catalog: Catalog | None = None, lock_wait_s: float = _LOCK_WAIT_S
    ) -> None:
        self.path = path if path is not None else default_store_path()
        self.catalog = catalog if catalog is not None else load_catalog()
        self._lock_wait_s = lock_wait_s

    def installed(self, *, progress: Progress | None = None) -> list[InstalledModel]:
        """Every model of the store, by name; damaged ones too, with the reason.

        A folder whose name no program can print is left out, with a note.
        """
        if not self.path.is_dir():
            return []
        for name in unsettled(self.path):
            self._settle_if_abandoned(name)
        folders = sorted(path for path in self.path.iterdir() if path.is_dir() and not path.name.startswith("."))
        for folder in folders:
            if progress is not None and not folder.name.isprintable():
                progress.note(f"skipping the folder {folder.name!a}: its name is not plain text")
        return [_read_installed(folder) for folder in folders if folder.name.isprintable()]

    def find(self, name: str) -> InstalledModel | None:
        """The installed model of that name, or None. UsageError when the name cannot be a model's."""
        if valid_name(name) in unsettled(self.path):
            self._settle_if_abandoned(name)
        return self._find(name)

    def _find(self, name: str) -> InstalledModel | None:
        folder = self.path / name
        return _read_installed(folder) if folder.is_dir() else None

    def pull(
        self,
        spec: str,
        *,
        name: str | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> InstalledModel:
        """Installs a model and returns it. One that is installed already keeps its files; where it is the catalogue's,
        under its name there, its model.toml says what the catalogue says of it now.

        spec: a name of the catalogue, "hf:owner/name[/folder][@revision]", a model folder, or a .gguf file.
        name: under which to install it, by default the catalogue's name or the last part of the path. force: install
        anew. Raises a ModelError that says what went wrong; the store is then as it was before, except that a partial
        download is kept for the next try.
        """
        told = progress if progress is not None else NoProgress()
        recipe = read_spec(spec, name, self.catalog)
        with full_disk_named(self.path), self._locked(recipe.name, told):
            present = self._find(recipe.name)
            if present is not None and present.manifest is not None and not force:
                return self._restated(present, present.manifest, recipe, told)
            self._install(recipe, told)
            installed = self._find(recipe.name)
        assert installed is not None
        return installed

    def verify(self, name: str, *, progress: Progress | None = None) -> Verification:
        """Hashes every file of an installed model against its model.toml and checks its graphs.

        Raises UnknownModelError when no such model is installed; what is wrong with one that is stands in the result.
        """
        from trivium_models.folder_check import check_folder

        model = self._require(name)
        if model.manifest is None:
            return Verification(name=name, num_files=0, size_bytes=0, problems=(model.problem or "unreadable",))
        told = progress if progress is not None else NoProgress()
        manifest, problems, done = model.manifest, [], 0
        told.begin(f"verifying {name}", manifest.size_bytes, "bytes")

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            told.advance(done)

        for entry in manifest.files:
            path = model.folder / entry.path
            if not path.is_file():
                problems.append(f"{entry.path} is missing")
            elif path.stat().st_size != entry.size_bytes:
                problems.append(f"{entry.path} has {path.stat().st_size} bytes; {entry.size_bytes} are listed")
            elif hash_file(path, on_bytes) != entry.sha256:
                problems.append(f"{entry.path} has changed: its sha256 is not the listed one")
        listed = {entry.path for entry in manifest.files}
        present = {path.relative_to(model.folder).as_posix() for path in list_files(model.folder)}
        problems += [f"{path} is not listed in {MANIFEST_NAME}" for path in sorted(present - listed)]
        try:
            check_folder(model.folder)
        except InvalidModelError as error:
            problems.append(str(error))
        return Verification(
            name=name, num_files=len(manifest.files), size_bytes=manifest.size_bytes, problems=tuple(problems)
        )

    def remove(self, name: str, *, progress: Progress | None = None) -> None:
        """Deletes an installed model. Raises UnknownModelError when there is none of that name."""
        model = self._require(name)
        with self._locked(name, progress if progress is not None else NoProgress()), self._staging(name) as staging:
            if os.path.lexists(model.folder):
                # First out of sight in one step, so that a kill in the middle leaves no half a model.
                model.folder.rename(staging / "removed")

    def _require(self, name: str) -> InstalledModel:
        model = self.find(name)
        if model is None:
            raise unknown_model(name, [one.name for one in self.installed()], "the store")
        return model

    def _install(self, recipe: "Recipe", progress: Progress) -> None:
        from trivium_models.folder_check import check_folder
        from trivium_models.recipes import FolderRecipe, HubRecipe, Workspace, require_pinned

        downloads = self.path / ".downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        with self._staging(recipe.name) as staging:
            work = Workspace(model=staging / "model", scratch=staging / "scratch", downloads=downloads)
            work.model.mkdir()
            work.scratch.mkdir()
            prepared = recipe.prepare(work, progress)
            check_folder(work.model)
            files = describe_files(work.model)
            if prepared.pinned:
                require_pinned(prepared.pinned, files)
            manifest = Manifest(
                card=prepared.card,
                source=prepared.source,
                default_graph=prepared.default_graph,
                exact_graph=prepared.exact_graph,
                files=files,
            )
            manifest.write(work.model)
            if isinstance(recipe, (FolderRecipe, HubRecipe)):
                _probe(work.model, manifest, progress)
            put_in_place(self.path, recipe.name, work.model, trash=staging / "replaced")

    def _restated(
        self, model: InstalledModel, manifest: Manifest, recipe: "Recipe", progress: Progress
    ) -> InstalledModel:
        """Gives a model of the catalogue the card that it has there now: defaults may have changed since the pull."""
        from trivium_models.catalog_recipe import CatalogRecipe

        if not isinstance(recipe, CatalogRecipe) or manifest.source != recipe.entry.describe_sources():
            return model
        card = recipe.entry.card
        if manifest.card == card or model.name != card.name:
            return model
        with self._staging(model.name) as staging:
            replace(manifest, card=card, digest="").write(staging)
            (staging / MANIFEST_NAME).replace(model.folder / MANIFEST_NAME)
        progress.note(f"{model.name}: its description and defaults are those of the catalogue again")
        return _read_installed(model.folder)

    def _settle_if_abandoned(self, name: str) -> None:
        """Ends a replacement that a kill cut off; one that is under way, or on a disk for reading only, is left."""
        with contextlib.suppress(StoreBusyError, UsageError, OSError), self._locked(valid_name(name), NoProgress(), 0):
            pass

    @contextmanager
    def _staging(self, name: str) -> Iterator[Path]:
        """An empty folder for work on one model, gone afterwards; call it under the model's lock."""
        staging = self.path / ".staging" / name
        shutil.rmtree(staging, ignore_errors=True)  # what a killed process left
        staging.mkdir(parents=True)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def _locked(self, name: str, progress: Progress, wait_s: float | None = None) -> Iterator[None]:
        """Holds the model's lock, with nothing half replaced. wait_s: instead of the store's own."""
        from filelock import FileLock, Timeout

        limit_s = self._lock_wait_s if wait_s is None else wait_s
        locks = self.path / ".locks"
        try:
            locks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if is_full_disk(error):
                raise
            raise UsageError(f"{self.path} cannot be used as the model store: {error.strerror}") from error
        lock = FileLock(locks / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note(f"another process is changing {name}; waiting for it")
            try:
                lock.acquire(timeout=limit_s)
            except Timeout as error:
                raise StoreBusyError(f"another process has been changing {name} for {limit_s:.0f} s") from error
        try:
            if name in unsettled(self.path):
                with self._staging(name) as staging:
                    settle(self.path, name, trash=staging / "replaced")
            yield
        finally:
            lock.release()


def _read_installed(folder: Path) -> InstalledModel:
    try:
        manifest = Manifest.read(folder)
        if manifest.card.name != folder.name:
            raise InvalidModelError(
                f"{MANIFEST_NAME} names it {manifest.card.name!r}, but the folder is {folder.name!r}"
            )
        return InstalledModel(name=folder.name, folder=folder, manifest=manifest, problem=None)
    except InvalidModelError as error:
        return InstalledModel(name=folder.name, folder=folder, manifest=None, problem=str(error))


def _probe(folder: Path, manifest: Manifest, progress: Progress) -> None:
    if not can_probe():
        progress.note("onnxruntime is not installed here, so the model is installed without being loaded once")
        return
    # A model of several graphs has no default one.
    graphs = manifest.graphs or [entry.path for entry in manifest.files if entry.path.endswith(GRAPH_SUFFIXES)]
    if not graphs:
        return
    progress.note("loading the model once in a process of its own")
    probe_graphs([folder / graph for graph in graphs], weights_bytes=manifest.size_bytes)
