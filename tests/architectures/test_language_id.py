"""The family of models that tell languages: what it loads, what it refuses, and how calls share it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any  # arrays of every type

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.text.tiny_languages import COLUMNS, tiny_model
from trivium_server.architectures import language_id
from trivium_server.architectures.language_id import LanguageIdFolderError, LanguageIdModel
from trivium_server.architectures.text_capabilities import EncoderMeter, LanguageDetector
from trivium_server.config import Config, EncodingConfig
from trivium_server.errors import CallAborted, QueueFull, QueueTimeout

SHORT = ["the", "da da", "12", "the da"]
# A tenth of a second and more.
LONG = ["the da " * 1200] * 512


def write_folder(folder: Path) -> Path:
    model = tiny_model()
    folder.mkdir()
    np.save(folder / "ngrams.npy", model.ngrams)
    np.save(folder / "weights.npy", model.weights)
    np.save(folder / "prior.npy", model.prior)
    (folder / "language_id.json").write_text(json.dumps({"column_languages": COLUMNS}))
    return folder


def load(folder: Path, max_callers: int = 8) -> LanguageIdModel:
    return language_id.load(folder, Config(encoding=EncodingConfig(max_callers=max_callers)), lambda _: None)


@asynccontextmanager
async def ready(tmp_path: Path, max_callers: int = 8) -> AsyncIterator[LanguageIdModel]:
    model = load(write_folder(tmp_path / "tiny"), max_callers)
    await model.warm_up()
    try:
        yield model
    finally:
        await model.close(grace_s=0.0)
        stats = model.stats
        assert (stats.num_callers, stats.num_accepted) == (0, 0)


async def detect(model: LanguageIdModel, texts: list[str], seconds: float = 60.0) -> list[list[float]]:
    rows = await model.detect(texts, deadline_s=time.monotonic() + seconds, meter=EncoderMeter())
    return [np.asarray(row).tolist() for row in rows]


async def test_many_texts_give_what_few_give(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        assert isinstance(model, LanguageDetector)
        assert model.language_codes == ("en", "sr", "zxx")
        few = await detect(model, SHORT)
        assert await detect(model, SHORT * 100) == few * 100
        assert await detect(model, []) == []


async def test_the_meter_says_what_was_used(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        for texts in (SHORT, LONG[:50]):
            meter = EncoderMeter()
            await model.detect(texts, deadline_s=time.monotonic() + 60, meter=meter)
            assert meter.input_characters == sum(map(len, texts))
            assert 0 < meter.compute_s <= meter.inference_s * 1.01
            assert meter.input_tokens == 0


async def test_long_texts_do_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        task = asyncio.create_task(detect(model, LONG))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        await task
        assert turns > 100


async def test_closing_aborts_what_waits(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        task = asyncio.create_task(detect(model, LONG))
        await asyncio.sleep(0)
        await model.close(grace_s=0.0)
        with pytest.raises(CallAborted, match="tiny"):
            await task


async def test_closing_with_grace_finishes_what_waits(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        task = asyncio.create_task(detect(model, LONG))
        await asyncio.sleep(0)
        await model.close(grace_s=60.0)
        assert len(await task) == len(LONG)


async def test_too_many_callers_are_refused_and_short_calls_still_answered(tmp_path: Path) -> None:
    async with ready(tmp_path, max_callers=1) as model:
        task = asyncio.create_task(detect(model, LONG))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await detect(model, LONG)
        assert len(await detect(model, SHORT)) == len(SHORT)
        assert len(await task) == len(LONG)


async def test_a_deadline_ends_what_waits(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        first = asyncio.create_task(detect(model, LONG))
        await asyncio.sleep(0)
        with pytest.raises(QueueTimeout):
            await detect(model, LONG, seconds=0.0)
        assert len(await first) == len(LONG)


async def test_a_cancelled_call_leaves_nothing_waiting(tmp_path: Path) -> None:
    async with ready(tmp_path) as model:
        task = asyncio.create_task(detect(model, LONG))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (model.stats.num_callers, model.stats.num_waiting) == (0, 0)


def save(name: str, make: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        np.save(folder / name, make(np.load(folder / name)))

    return change


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("language_id.json is missing", lambda folder: (folder / "language_id.json").unlink()),
        ("language_id.json: ", write("language_id.json", "{")),
        ("list of language codes", write("language_id.json", "[]")),
        ("list of language codes", write("language_id.json", '{"column_languages": ["en", ""]}')),
        ("must be (6, 0), and not empty", write("language_id.json", '{"column_languages": []}')),
        ("weights.npy is missing", lambda folder: (folder / "weights.npy").unlink()),
        ("prior.npy is not an array", write("prior.npy", "text")),
        ("prior.npy is not an array", save("prior.npy", lambda array: array.astype(object))),
        ("holds float32; it must hold float16", save("weights.npy", lambda array: array.astype(np.float32))),
        ("weights.npy has shape", save("weights.npy", lambda array: array[:5])),
        ("ngrams.npy has shape (6, 1)", save("ngrams.npy", lambda array: array[:, np.newaxis])),
        ("ngrams.npy has shape ()", save("ngrams.npy", lambda array: np.asarray(array[0]))),
        ("no finite number", save("prior.npy", lambda array: array * np.float32(np.nan))),
        ("ngrams.npy: n-grams must have 1 to 7 bytes", save("ngrams.npy", lambda array: array & np.uint64(255))),
        ("model.toml: ngrams.npy is not among its files", write("model.toml", '[files]\n"prior.npy" = {}\n')),
    ],
)
def test_a_broken_folder_is_refused(tmp_path: Path, message: str, change: Callable[[Path], object]) -> None:
    folder = write_folder(tmp_path / "tiny")
    change(folder)
    with pytest.raises(LanguageIdFolderError) as caught:
        load(folder)
    assert message in str(caught.value)
