"""Fixtures that are slow: exported folders, and the real model, fetched once and kept."""

from pathlib import Path

import pytest

from tests.models.published import published_weights
from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.genai_folder import export_gguf
from trivium_models.store import InstalledModel, Store

SMOLLM2 = "smollm2-135m-instruct"


@pytest.fixture(scope="session")
def smollm2() -> InstalledModel:
    """SmolLM2 from the machine's own store; pulled when it is missing."""
    return Store().pull(SMOLLM2)


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """The GGUF file that SmolLM2 is exported from, in the user's cache; fetched when it is missing."""
    return published_weights(SMOLLM2)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as another exporter would leave it: onnxruntime-genai layout, no model.toml."""
    root = tmp_path_factory.mktemp("exported")
    folder = root / "theirs"
    folder.mkdir()
    export_gguf(write_tiny_gguf(root / "tiny.gguf"), folder)
    return folder
