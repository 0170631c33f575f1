"""Weights of the catalogue's models as their authors published them. Fetched once and kept in the user's cache."""

import functools
import os
import tempfile
from pathlib import Path

from filelock import FileLock

from trivium_models.catalog import load_catalog
from trivium_models.catalog_recipe import CatalogRecipe
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.recipes import Workspace


@functools.cache
def published(name: str) -> dict[str, Path]:
    """The weights of a model and their parts, by their names in the package. Raises a ModelError.

    Processes that ask at once wait for each other, so that one of them fetches.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "tests"
    cache.mkdir(parents=True, exist_ok=True)
    entry = load_catalog().get(name)
    # As the recipe names what it unpacks.
    wanted = [entry.weights, *(member for member in entry.members if member.role == "part")]
    kept = {member: cache / member.sha256 for member in wanted}
    with FileLock(cache / f"{name}.lock"):
        if not all(path.is_file() and hash_file(path) == member.sha256 for member, path in kept.items()):
            recipe = CatalogRecipe(name=name, entry=entry)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                work = Workspace(model=Path(folder) / "model", scratch=Path(folder), downloads=cache)
                recipe.fetch_weights(work, NoProgress())
                recipe.forget_archives(work)
                for path in kept.values():
                    (work.scratch / path.name).replace(path)
    return {Path(member.path).name: path for member, path in kept.items()}


def published_weights(name: str) -> Path:
    """The one file with the weights."""
    return published(name)[Path(load_catalog().get(name).weights.path).name]
