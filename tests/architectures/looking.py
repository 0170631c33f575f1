"""Loads and calls models that look at images, in tests."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from trivium_server.architectures import image
from trivium_server.architectures.image import ImageModel
from trivium_server.config import Config, ImagesConfig

_M = TypeVar("_M", bound=ImageModel)


def load(folder: Path, kind: type[_M], runners: int = 2) -> _M:
    """Loads a folder that must hold a model of this kind."""
    model = image.load(folder, Config(images=ImagesConfig(runners=runners)), lambda _: None)
    assert isinstance(model, kind)
    return model


@contextlib.contextmanager
def running(loop: asyncio.Runner, folder: Path, kind: type[_M]) -> Iterator[_M]:
    """A warmed model; nothing may be left in it at the end."""
    model = load(folder, kind)
    loop.run(model.warm_up())
    try:
        yield model
        assert model.stats.num_accepted == model.stats.num_callers == 0
    finally:
        loop.run(model.close(grace_s=0.0))


def soon() -> float:
    return time.monotonic() + 60.0
