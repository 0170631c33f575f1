"""The default model, loaded once for the tests of this folder."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from trivium_models.store import Store
from trivium_server.architectures import genai
from trivium_server.architectures.genai import GenaiModel
from trivium_server.config import Config, GenerationConfig, RuntimeConfig

SLOTS = 8
QUEUE = 8


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """The folder of the default model, fetched if the store does not have it."""
    return Store().pull("smollm2-135m-instruct").folder


@pytest.fixture(scope="session")
def smollm2_tokenizer(smollm2_folder: Path) -> Tokenizer:
    """The default model's tokenizer as its file defines it, control tokens recognised."""
    return Tokenizer.from_file(str(smollm2_folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for a module, on which its model's engine lives."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def model(smollm2_folder: Path, loop: asyncio.Runner) -> Iterator[GenaiModel]:
    """The default model in default precision."""
    generation = GenerationConfig(slots=SLOTS, queue_size=QUEUE, max_context_tokens=512, prefill_chunk_tokens=32)
    config = Config(runtime=RuntimeConfig(intra_op_threads=2), generation=generation)
    loaded = genai.load(smollm2_folder, config, lambda _: None)
    loop.run(loaded.warm_up())
    yield loaded
    loop.run(loaded.close(grace_s=0.0))
    assert loaded.engine.num_accepted == 0
    assert loaded.engine.num_live_slots == 0
