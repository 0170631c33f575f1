"""What holds of every model that looks at images, whoever else asks."""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.architectures.looking import load, running, soon
from tests.architectures.tiny_vision import picture, write_classifier
from trivium_server.architectures.image.classifier import EmbeddingClassifier
from trivium_server.architectures.vision_capabilities import Image, VisionMeter
from trivium_server.errors import CallAborted, QueueFull, QueueTimeout, UnsupportedFeature

Floats = NDArray[np.float32]

BRIGHT = (255, 255, 255)
COLORS = st.tuples(st.integers(0, 220), st.integers(0, 220), st.integers(0, 220))
PICTURES = st.builds(picture, COLORS, st.integers(1, 90), st.integers(1, 90))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[EmbeddingClassifier]:
    folder = write_classifier(tmp_path_factory.mktemp("image") / "tiny", breaks_when_bright=True)
    with running(loop, folder, EmbeddingClassifier) as started:
        yield started


def asked(model: EmbeddingClassifier, seen: Image, deadline_s: float | None = None) -> asyncio.Task[Floats]:
    call = model.classify_image(seen, deadline_s=deadline_s or soon(), meter=VisionMeter())
    return asyncio.ensure_future(call)


async def idle(model: EmbeddingClassifier) -> None:
    async with asyncio.timeout(30):
        while model.stats.num_accepted or model.stats.num_callers:
            await asyncio.sleep(0.005)


@given(seen=st.lists(PICTURES, min_size=1, max_size=20))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_equals_alone(model: EmbeddingClassifier, loop: asyncio.Runner, seen: list[Image]) -> None:
    async def compare() -> None:
        alone = [await asked(model, each) for each in seen]
        together = await asyncio.gather(*(asked(model, each) for each in seen))
        for wanted, got in zip(alone, together, strict=True):
            np.testing.assert_array_equal(got, wanted)

    loop.run(compare())


def test_image_of_which_the_model_makes_no_number_fails_alone(model: EmbeddingClassifier, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        tasks = [asked(model, picture(BRIGHT if index % 3 == 0 else (9, index, 99))) for index in range(30)]
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for index, each in enumerate(ended):
            assert isinstance(each, UnsupportedFeature if index % 3 == 0 else np.ndarray)
        bad = next(each for each in ended if isinstance(each, UnsupportedFeature))
        assert bad.message == "image: what the model makes of it is not finite"

    loop.run(ask())


def test_cancelled_calls_leave_nothing(model: EmbeddingClassifier, loop: asyncio.Runner) -> None:
    rng = random.Random(0)

    async def storm() -> None:
        for _ in range(5):
            # More than may be open at once: some are refused, and none may stay.
            seen = picture((9, 9, 99), 400, 300)
            tasks = [asked(model, seen) for _ in range(300)]
            for task in tasks:
                asyncio.get_running_loop().call_later(rng.uniform(0, 0.05), task.cancel)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            kinds = {type(each) for each in ended}
            assert asyncio.CancelledError in kinds
            assert kinds <= {asyncio.CancelledError, np.ndarray, QueueFull}
            await idle(model)
        assert (await asked(model, picture((200, 0, 0)))).argmax() == 0

    loop.run(storm())


def test_deadline_that_has_passed_runs_nothing(model: EmbeddingClassifier, loop: asyncio.Runner) -> None:
    async def late() -> None:
        before = model.stats.num_batches
        with pytest.raises(QueueTimeout):
            await asked(model, picture((1, 2, 3)), deadline_s=time.monotonic() - 1)
        assert model.stats.num_batches == before

    loop.run(late())


def test_meter_is_filled(model: EmbeddingClassifier, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        meter = VisionMeter()
        await model.classify_image(picture((1, 2, 3), 2000, 1500), deadline_s=soon(), meter=meter)
        first = meter.compute_s
        assert min(meter.preprocess_s, meter.inference_s, meter.compute_s) > 0
        assert meter.compute_s >= meter.preprocess_s
        # Another question about the same image adds to it.
        await model.embed_image(picture((1, 2, 3), 2000, 1500), deadline_s=soon(), meter=meter)
        assert meter.compute_s > first

    loop.run(ask())


def test_unloading_ends_running_calls(tmp_path: Path, loop: asyncio.Runner) -> None:
    async def unload() -> None:
        model = load(write_classifier(tmp_path / "m"), EmbeddingClassifier)
        await model.warm_up()
        large = picture((9, 9, 99), 3000, 2000)
        tasks = [asked(model, large) for _ in range(200)]
        await asyncio.sleep(0.01)
        await model.close(grace_s=0.0)
        kinds = [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)]
        assert set(kinds) <= {np.ndarray, CallAborted}
        assert kinds.count(CallAborted) > 100
        with pytest.raises(CallAborted):
            await asked(model, picture((1, 2, 3)))
        assert model.stats.num_accepted == 0

    loop.run(unload())


def test_unloading_with_grace_lets_calls_finish(tmp_path: Path, loop: asyncio.Runner) -> None:
    async def unload() -> None:
        model = load(write_classifier(tmp_path / "m"), EmbeddingClassifier)
        await model.warm_up()
        tasks = [asked(model, picture((200, 9, 99))) for _ in range(50)]
        await asyncio.sleep(0)
        await model.close(grace_s=30.0)
        assert all(each.argmax() == 0 for each in await asyncio.gather(*tasks))

    loop.run(unload())


def test_a_model_that_was_never_warmed_closes(tmp_path: Path, loop: asyncio.Runner) -> None:
    model = load(write_classifier(tmp_path / "m"), EmbeddingClassifier)
    loop.run(model.close(grace_s=0.0))
    assert model.stats.num_callers == 0
