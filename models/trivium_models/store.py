"""The store: one folder per installed model, changed only by whole steps.

A pull works in a staging folder inside the store and becomes visible by one rename, so a reader sees a complete model
or none, and a killed pull leaves only what the next one cleans up. Processes may use one store at once: those that
change the same model wait for each other.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from trivium_models.catalog import Catalog, load_catalog, unknown_model
from trivium_models.disk import full_disk_named
from trivium_models.errors import InvalidModelError, StoreBusyError, UsageError
from trivium_models.folder_check import check_folder
from trivium_models.manifest import MANIFEST_NAME, Manifest, describe_files, hash_file, list_files
from trivium_models.progress import NoProgress, Progress
from trivium_models.recipes import CatalogRecipe, FolderRecipe, GgufRecipe, HubRecipe, Recipe, Workspace, require_pinned
from trivium_models.sources.hub import HubSource

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
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

    def installed(self) -> list[InstalledModel]:
        """Every model of the store, by name; damaged ones too, with the reason."""
        if not self.path.is_dir():
            return []
        folders = sorted(path for path in self.path.iterdir() if path.is_dir() and not path.name.startswith("."))
        return [_read_installed(folder) for folder in folders]

    def find(self, name: str) -> InstalledModel | None:
        """The installed model of that name, or None. UsageError when the name cannot be a model's."""
        folder = self.path / _valid_name(name)
        return _read_installed(folder) if folder.is_dir() else None

    def pull(
        self,
        spec: str,
        *,
        name: str | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> InstalledModel:
        """Installs a model and returns it; one that is installed already is returned as it is.

        spec: a name of the catalogue, "hf:owner/name[/folder][@revision]", a model folder, or a .gguf file.
        name: under which to install it, by default the catalogue's name or the last part of the path. force: install
        anew. Raises a ModelError that says what went wrong; the store is then as it was before, except that a partial
        download is kept for the next try.
        """
        told = progress if progress is not None else NoProgress()
        recipe = self._recipe(spec, name)
        with full_disk_named(self.path), self._locked(recipe.name, told):
            present = self.find(recipe.name)
            if present is not None and present.problem is None and not force:
                return present
            self._install(recipe, told)
        installed = self.find(recipe.name)
        assert installed is not None
        return installed

    def verify(self, name: str, *, progress: Progress | None = None) -> Verification:
        """Hashes every file of an installed model against its model.toml and checks its graphs.

        Raises UnknownModelError when no such model is installed; what is wrong with one that is stands in the result.
        """
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
            if model.folder.is_symlink():
                model.folder.unlink()
            elif model.folder.is_dir():
                # First out of sight in one step, so that a kill in the middle leaves no half a model.
                model.folder.rename(staging / "removed")

    def _require(self, name: str) -> InstalledModel:
        model = self.find(name)
        if model is None:
            raise unknown_model(name, [one.name for one in self.installed()], "the store")
        return model

    def _recipe(self, spec: str, name: str | None) -> Recipe:
        if spec.startswith("hf:"):
            hub = HubSource.parse(spec)
            default = hub.folder or hub.repository
            return HubRecipe(name=_name_for(name, default), hub=hub)
        path = Path(spec).expanduser()
        if spec.endswith(".gguf") or "/" in spec or os.sep in spec or spec in (".", ".."):
            if not path.exists():
                raise UsageError(
                    f"{spec} does not exist (and is no name of the catalogue: {', '.join(self.catalog.names())})"
                )
            path = path.resolve()
            if path.is_dir():
                source = f"folder: {path.name}"
                return FolderRecipe(name=_name_for(name, path.name), folder=path, root=path, source=source)
            return GgufRecipe(name=_name_for(name, path.stem), path=path)
        entry = self.catalog.get(spec)
        return CatalogRecipe(name=_valid_name(name) if name else spec, entry=entry)

    def _install(self, recipe: Recipe, progress: Progress) -> None:
        target, downloads = self.path / recipe.name, self.path / ".downloads"
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
            if target.exists():
                target.rename(staging / "replaced")
            work.model.rename(target)

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
    def _locked(self, name: str, progress: Progress) -> Iterator[None]:
        locks = self.path / ".locks"
        try:
            locks.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise UsageError(f"{self.path} cannot be used as the model store: {error.strerror}") from error
        lock = FileLock(locks / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note(f"another process is changing {name}; waiting for it")
            try:
                lock.acquire(timeout=self._lock_wait_s)
            except Timeout as error:
                raise StoreBusyError(
                    f"another process has been changing {name} for {self._lock_wait_s:.0f} s"
                ) from error
        try:
            yield
        finally:
            lock.release()


def _read_installed(folder: Path) -> InstalledModel:
    try:
        return InstalledModel(name=folder.name, folder=folder, manifest=Manifest.read(folder), problem=None)
    except InvalidModelError as error:
        return InstalledModel(name=folder.name, folder=folder, manifest=None, problem=str(error))


def _valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a model name: use 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            "starting with a letter or digit"
        )
    return name


def _name_for(chosen: str | None, default: str) -> str:
    return _valid_name(chosen if chosen is not None else default.rsplit("/", 1)[-1].lower())
