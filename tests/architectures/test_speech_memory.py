"""A model that was closed leaves memory at once, not when somebody collects garbage."""

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from tests.architectures.tiny_speech import write_detector, write_recognizer
from tests.serving import wait_until
from trivium_models.store import Store
from trivium_server.architectures import speech
from trivium_server.config import Config


@pytest.mark.parametrize("kind", ["recognizer", "detector", "synthesizer", "whisper"])
def test_closed_model_is_gone(kind: str, tmp_path: Path, loop: asyncio.Runner) -> None:
    folders = {
        "recognizer": lambda: write_recognizer(tmp_path / "model"),
        "detector": lambda: write_detector(tmp_path / "model"),
        "synthesizer": lambda: Store().pull("hibari-heart").folder,
        "whisper": lambda: Store().pull("whisper-tiny-en").folder,
    }
    model = speech.load(folders[kind](), Config(), lambda _: None)
    loop.run(model.warm_up())
    loop.run(model.close(0.0))
    left = weakref.ref(model)
    gc.disable()
    try:
        del model
        # Threads that end may hold it for a moment more.
        assert wait_until(lambda: left() is None)
    finally:
        gc.enable()
