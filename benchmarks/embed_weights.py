"""The weights that our graph was exported from, as sentence-transformers reads them, for infinity-emb."""

import os
import tempfile
from pathlib import Path

from trivium_models.catalog import load_catalog
from trivium_models.catalog_recipe import CatalogRecipe
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.recipes import Workspace

_MODEL = "all-minilm-l6-v2"


def torch_folder() -> Path:
    """Returns the folder, fetched into the cache on first use. Raises a ModelError when it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "benchmarks"
    folder = cache / _MODEL
    entry = load_catalog().get(_MODEL)
    weights = folder / "model.safetensors"
    if weights.exists() and hash_file(weights) == entry.weights.sha256:
        return folder
    print(f"fetching {entry.describe_sources()}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = CatalogRecipe(name=_MODEL, entry=entry)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        work = Workspace(model=folder, scratch=Path(scratch), downloads=Path(scratch))
        recipe.fetch_weights(work, NoProgress()).replace(weights)
    return folder
