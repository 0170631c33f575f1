"""Loads and calls text encoders in tests."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from trivium_server.architectures import encoder
from trivium_server.architectures.encoder.load import EncoderModel
from trivium_server.architectures.text_capabilities import (
    Embedded,
    EmbeddingOptions,
    EncoderMeter,
    Outcome,
    TextEmbedder,
    Truncation,
    VectorKind,
)
from trivium_server.config import Config, EncodingConfig

DENSE = EmbeddingOptions(kind=VectorKind.DENSE)
CUT_END = EmbeddingOptions(kind=VectorKind.DENSE, truncation=Truncation.KEEP_START)

_M = TypeVar("_M", bound=EncoderModel)


def load(folder: Path, kind: type[_M], **encoding: int) -> _M:
    """Loads a folder that must hold a model of this kind."""
    model = encoder.load(folder, Config(encoding=EncodingConfig(**{"runners": 2, **encoding})), lambda _: None)
    assert isinstance(model, kind)
    return model


@contextlib.contextmanager
def running(loop: asyncio.Runner, folder: Path, kind: type[_M], **encoding: int) -> Iterator[_M]:
    """A warmed model; nothing may be left in it at the end."""
    model = load(folder, kind, **encoding)
    loop.run(model.warm_up())
    try:
        yield model
        assert model.stats.num_accepted == model.stats.num_callers == 0
    finally:
        loop.run(model.close(grace_s=0.0))


def soon() -> float:
    return time.monotonic() + 60.0


async def embed(model: TextEmbedder, texts: Sequence[str], options: EmbeddingOptions = DENSE) -> list[Embedded]:
    """Embeds texts that must all succeed."""
    outcomes = await model.embed(texts, options, deadline_s=soon(), meter=EncoderMeter())
    return [embedded(outcome) for outcome in outcomes]


async def one(model: TextEmbedder, text: str, options: EmbeddingOptions = DENSE) -> Embedded:
    return (await embed(model, [text], options))[0]


def embedded(outcome: Outcome[Embedded]) -> Embedded:
    assert isinstance(outcome, Embedded), outcome
    return outcome


def vectors(outcome: Outcome[Embedded]) -> NDArray[np.float32]:
    found = embedded(outcome).vectors
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    return found


async def in_groups(texts: Sequence[str], sizes: Sequence[int]) -> AsyncIterator[Sequence[str]]:
    """Yields the texts in groups of these sizes; the last takes what is left."""
    start = 0
    for size in sizes:
        yield texts[start : start + size]
        start += size
    yield texts[start:]


def reference(folder: Path, output: str, ids: Sequence[int], types: Sequence[int] | None = None) -> NDArray[np.float32]:
    """What the graph makes of one text without padding."""
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    given = {
        "input_ids": np.array([ids], np.int64),
        "attention_mask": np.ones((1, len(ids)), np.int64),
        "token_type_ids": np.array([types or [0] * len(ids)], np.int64),
    }
    inputs = {item.name: given[item.name] for item in session.get_inputs()}
    result: NDArray[np.float32] = session.run([output], inputs)[0][0]
    return result
