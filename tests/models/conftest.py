"""Fixtures that are slow: exported folders, and the real model, fetched once and kept."""

import os
from pathlib import Path

import pytest

from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.catalog import load_catalog
from trivium_models.genai_folder import export_gguf
from trivium_models.progress import NoProgress
from trivium_models.recipes import CatalogRecipe, Workspace
from trivium_models.store import InstalledModel, Store

SMOLLM2 = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def smollm2() -> InstalledModel:
    """SmolLM2 from the machine's own store; pulled when it is missing."""
    return Store().pull(SMOLLM2)


@pytest.fixture(scope="session")
def smollm2_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF file that SmolLM2 is exported from, in the user's cache; fetched when it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "tests"
    entry = load_catalog().get(SMOLLM2)
    (member,) = [member for member in entry.source.members if member.role == "gguf"]
    kept = cache / f"{member.sha256}.gguf"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        work = Workspace(model=tmp_path_factory.mktemp("model"), scratch=cache, downloads=cache)
        recipe = CatalogRecipe(name=SMOLLM2, entry=entry)
        recipe.fetch_weights(work, NoProgress()).replace(kept)
        recipe.forget_archive(work)
    return kept


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as another exporter would leave it: onnxruntime-genai layout, no model.toml."""
    root = tmp_path_factory.mktemp("exported")
    folder = root / "theirs"
    folder.mkdir()
    export_gguf(write_tiny_gguf(root / "tiny.gguf"), folder)
    return folder
