"""Whisper, in small."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.architectures.hearing import soon
from tests.architectures.tiny_speech import sound, write_json
from tests.architectures.tiny_whisper import write_whisper
from trivium_server.architectures import speech
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech_capabilities import (
    Heard,
    RecognitionOptions,
    RecognitionTask,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
)
from trivium_server.config import Config, SpeechConfig
from trivium_server.errors import UnsupportedFeature

Floats = NDArray[np.float32]

ENGLISH = RecognitionOptions(language_codes=("en",))
LEVELS = st.lists(st.sampled_from([0.1, 0.2, 0.4, 0.7, 1.0]), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[speech.WhisperModel]:
    model = speech.load(
        write_whisper(tmp_path_factory.mktemp("whisper") / "tiny"),
        Config(speech=SpeechConfig(runners=2)),
        lambda _: None,
    )
    assert isinstance(model, speech.WhisperModel)
    loop.run(model.warm_up())
    yield model
    assert model.stats.num_accepted == 0
    loop.run(model.close(grace_s=0.0))


def spoken(*levels: float) -> Floats:
    """A second of each level."""
    return sound([level for level in levels for _ in range(10)])


async def hear(model: speech.WhisperModel, samples: Floats, options: RecognitionOptions = ENGLISH) -> Heard:
    return await model.recognize_speech(samples, options, urgency=Urgency.LIVE, deadline_s=soon(), meter=SpeechMeter())


def test_says_what_it_can(model: speech.WhisperModel) -> None:
    assert isinstance(model, SpeechRecognizer)
    info = model.recognizer_info
    assert info.language_codes == ("en", "de")
    assert info.tasks == (RecognitionTask.TRANSCRIBE, RecognitionTask.TRANSLATE)
    assert info.max_segment_s == 30.0
    assert info.gives_word_timings
    assert info.honors_prompt


def test_english_alone_has_no_choice(tmp_path: Path) -> None:
    folder = write_whisper(tmp_path, is_multilingual=False, has_aligner=False)
    model = speech.load(folder, Config(), lambda _: None)
    assert isinstance(model, speech.WhisperModel)
    assert model.recognizer_info.language_codes == ("en",)
    assert model.recognizer_info.tasks == (RecognitionTask.TRANSCRIBE,)
    assert not model.recognizer_info.gives_word_timings


def test_hears_a_word_in_each_second(model: speech.WhisperModel, loop: asyncio.Runner) -> None:
    heard = loop.run(hear(model, spoken(0.5, 0.25, 1.0)))
    assert len(heard.text.split()) == 3
    assert heard.language_code == "en"
    assert heard.confidence == pytest.approx(1.0, abs=1e-3)
    assert heard.no_speech == pytest.approx(0.0, abs=1e-3)
    assert heard.words == ()


def test_words_have_their_times(model: speech.WhisperModel, loop: asyncio.Runner) -> None:
    options = RecognitionOptions(language_codes=("en",), with_words=True)
    heard = loop.run(hear(model, spoken(0.5, 0.25, 1.0), options))
    assert " ".join(word.text for word in heard.words) == heard.text
    for second, word in enumerate(heard.words):
        assert (word.start_s, word.end_s) == pytest.approx((second, second + 1), abs=0.15)
        assert word.confidence == pytest.approx(1.0, abs=1e-3)


def test_language_is_found_among_the_candidates(model: speech.WhisperModel, loop: asyncio.Runner) -> None:
    loud, soft = spoken(*[1.0] * 28), spoken(0.3)
    for candidates, wanted in (((), "de"), (("en", "de"), "de"), (("en",), "en")):
        assert loop.run(hear(model, loud, RecognitionOptions(language_codes=candidates))).language_code == wanted
    assert loop.run(hear(model, soft, RecognitionOptions())).language_code == "en"


def test_prompt_and_task_are_read_before(model: speech.WhisperModel, loop: asyncio.Runner) -> None:
    plain = loop.run(hear(model, spoken(0.5, 0.25)))
    for options in (
        RecognitionOptions(language_codes=("en",), prompt="w3 w4 " * 40),
        RecognitionOptions(language_codes=("de",), task=RecognitionTask.TRANSLATE),
    ):
        assert loop.run(hear(model, spoken(0.5, 0.25), options)).text == plain.text


@pytest.mark.parametrize("num_samples", [0, 1, 1599])
def test_less_than_a_word_is_nothing(model: speech.WhisperModel, loop: asyncio.Runner, num_samples: int) -> None:
    assert loop.run(hear(model, np.full(num_samples, 0.5, np.float32))).text == ""


@given(sounds=st.lists(st.tuples(LEVELS, st.booleans(), st.sampled_from(["", "w1 w2"])), min_size=2, max_size=10))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_equals_alone(
    model: speech.WhisperModel, loop: asyncio.Runner, sounds: list[tuple[list[float], bool, str]]
) -> None:
    asked = [
        (spoken(*levels), RecognitionOptions(language_codes=("en",), with_words=with_words, prompt=prompt))
        for levels, with_words, prompt in sounds
    ]

    async def compare() -> None:
        alone = [await hear(model, samples, options) for samples, options in asked]
        together = await asyncio.gather(*(hear(model, samples, options) for samples, options in asked))
        assert together == alone

    loop.run(compare())


def test_sound_that_is_no_number_fails_alone(model: speech.WhisperModel, loop: asyncio.Runner) -> None:
    async def ask() -> None:
        bad = spoken(0.5)
        bad[100] = np.nan
        sounds = [spoken(0.2), spoken(0.4), bad, spoken(0.2), spoken(0.4), spoken(0.7)]
        ended = await asyncio.gather(*(hear(model, samples) for samples in sounds), return_exceptions=True)
        assert isinstance(ended[2], UnsupportedFeature)
        assert ended[0] == ended[3]
        assert ended[1] == ended[4]

    loop.run(ask())


@pytest.mark.parametrize(
    ("file", "content", "wanted"),
    [
        ("generation_config.json", {"eos_token_id": 1}, "must have no_timestamps_token_id"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "sampling_rate must be 16000"),
    ],
)
def test_folder_that_cannot_be_served(tmp_path: Path, file: str, content: dict[str, object], wanted: str) -> None:
    write_whisper(tmp_path)
    write_json(tmp_path / file, content)
    with pytest.raises(ModelFolderError, match=wanted):
        speech.load(tmp_path, Config(), lambda _: None)
