"""Moonshine, in small."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.architectures.hearing import Ears, idle, running, soon
from tests.architectures.tiny_speech import EOS, MAX_SEGMENT_S, sound, write_detector, write_json, write_recognizer
from trivium_server.architectures import speech
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech_capabilities import (
    Heard,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
)
from trivium_server.config import Config
from trivium_server.errors import QueueTimeout, UnsupportedFeature

Floats = NDArray[np.float32]

LEVELS = st.lists(st.sampled_from([0.1, 0.2, 0.4, 0.7, 1.0]), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[Ears]:
    folder = tmp_path_factory.mktemp("speech")
    recognizer, detector = write_recognizer(folder / "hears"), write_detector(folder / "detects")
    with running(loop, recognizer=recognizer, detector=detector) as ears:
        yield ears


async def hear(ears: Ears, samples: Floats, urgency: Urgency = Urgency.LIVE, meter: SpeechMeter | None = None) -> Heard:
    return await ears.recognizer.recognize_speech(
        samples, RecognitionOptions(), urgency=urgency, deadline_s=soon(), meter=meter or SpeechMeter()
    )


def test_says_what_it_can(ears: Ears) -> None:
    assert isinstance(ears.recognizer, SpeechRecognizer)
    info = ears.recognizer.recognizer_info
    assert info.language_codes == ("en",)
    assert info.max_segment_s == MAX_SEGMENT_S
    assert not info.gives_word_timings
    assert not info.honors_prompt


def test_hears_each_step_and_how_sure_it_is(ears: Ears, loop: asyncio.Runner) -> None:
    meter = SpeechMeter()
    heard = loop.run(hear(ears, sound([0.1, 0.5, 0.9, 0.3]), meter=meter))
    assert heard.text == "w1 w5 w9 w3"
    assert heard.language_code == "en"
    # The tiny model puts 12 on its word, and 0 on each of the 13 others.
    assert heard.confidence == pytest.approx(1 / (1 + 13 * np.exp(-12.0)), abs=1e-6)
    assert meter.compute_s > 0
    assert meter.inference_s == pytest.approx(meter.compute_s, rel=0.5)


@pytest.mark.parametrize("num_samples", [0, 1, 1599])
def test_less_than_a_word_is_nothing(ears: Ears, loop: asyncio.Runner, num_samples: int) -> None:
    assert loop.run(hear(ears, np.full(num_samples, 0.5, np.float32))).text == ""


def test_loop_is_left_after_its_first_round(ears: Ears, loop: asyncio.Runner) -> None:
    heard = loop.run(hear(ears, sound([0.1, 0.2] + [0.5, 0.6] * 15)))
    assert heard.text == "w1 w2 w5 w6"


def test_answers_are_no_longer_than_people_speak(tmp_path: Path) -> None:
    config = {"model_type": "moonshine", "trivium": {"max_segment_seconds": 4, "max_tokens_per_second": 5}}
    folder = write_recognizer(tmp_path / "hears", config=config)
    with asyncio.Runner() as loop, running(loop, recognizer=folder, detector=write_detector(tmp_path / "d")) as ears:
        heard = loop.run(hear(ears, sound([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] * 2)))
    assert heard.text == "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w1 w2"


@given(sounds=st.lists(st.tuples(LEVELS, st.sampled_from(list(Urgency))), min_size=1, max_size=20))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_equals_alone(ears: Ears, loop: asyncio.Runner, sounds: list[tuple[list[float], Urgency]]) -> None:
    async def compare() -> None:
        alone = [await hear(ears, sound(levels)) for levels, _ in sounds]
        together = await asyncio.gather(*(hear(ears, sound(levels), urgency) for levels, urgency in sounds))
        assert together == alone

    loop.run(compare())


def test_cancelled_and_late_calls_leave_nothing(ears: Ears, loop: asyncio.Runner) -> None:
    rng = random.Random(0)

    async def storm() -> None:
        tasks = [asyncio.ensure_future(hear(ears, sound([0.1, 0.2, 0.3, 0.4] * 10))) for _ in range(100)]
        for task in tasks:
            asyncio.get_running_loop().call_later(rng.uniform(0, 0.05), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(QueueTimeout):
            await ears.recognizer.recognize_speech(
                sound([0.3]),
                RecognitionOptions(),
                urgency=Urgency.LIVE,
                deadline_s=soon() - 120,
                meter=SpeechMeter(),
            )
        await idle(ears)

    loop.run(storm())


def test_sound_that_is_no_number_fails_alone(ears: Ears, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        bad = sound([0.3] * 5)
        bad[100] = np.nan
        ended = await asyncio.gather(
            hear(ears, sound([0.2])), hear(ears, bad), hear(ears, sound([0.2])), return_exceptions=True
        )
        assert isinstance(ended[1], UnsupportedFeature)
        assert ended[0] == ended[2]

    loop.run(ask())


@pytest.mark.parametrize(
    ("file", "content", "wanted"),
    [
        ("generation_config.json", {"eos_token_id": EOS}, "must have decoder_start_token_id and eos_token_id"),
        (
            "config.json",
            {"model_type": "moonshine", "trivium": {"max_segment_seconds": 0}},
            "max_segment_seconds must be from 1 to 60",
        ),
        ("tokenizer.json", {"nothing": 0}, "tokenizer.json: "),
    ],
)
def test_folder_that_cannot_be_served(tmp_path: Path, file: str, content: dict[str, object], wanted: str) -> None:
    write_recognizer(tmp_path)
    write_json(tmp_path / file, content)
    with pytest.raises(ModelFolderError, match=wanted):
        speech.load(tmp_path, Config(), lambda _: None)


@pytest.mark.parametrize("file", ["encoder_model.onnx", "decoder_model_merged.onnx", "tokenizer.json", "config.json"])
def test_missing_file_is_named(tmp_path: Path, file: str) -> None:
    (write_recognizer(tmp_path) / file).unlink()
    with pytest.raises(ModelFolderError, match=f"{file} is missing"):
        speech.load(tmp_path, Config(), lambda _: None)


def test_swapped_graphs_are_told(tmp_path: Path) -> None:
    write_recognizer(tmp_path)
    (tmp_path / "decoder_model_merged.onnx").write_bytes((tmp_path / "encoder_model.onnx").read_bytes())
    with pytest.raises(ModelFolderError, match=r"decoder_model_merged\.onnx: has no input_ids"):
        speech.load(tmp_path, Config(), lambda _: None)
