"""The voice: what it says, when, and that nothing is left of calls that ended."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_models.store import Store
from trivium_server.architectures import speech
from trivium_server.architectures.model_folder import DESCRIPTION_FILE, ModelFolderError
from trivium_server.architectures.speech.synthesizer import Synthesizer
from trivium_server.architectures.speech_capabilities import SpeechMeter, SpeechSynthesizer, Spoken
from trivium_server.config import Config, SpeechConfig
from trivium_server.errors import CallAborted, DeadlineExceeded, QueueTimeout
from trivium_server.runtime.session import SessionError

SENTENCE = "On 2024-10-12, Dr. Smith paid $9.99 for a well-known book."
RATE_HZ = 24_000


def load(folder: Path, runners: int = 2) -> Synthesizer:
    model = speech.load(folder, Config(speech=SpeechConfig(runners=runners)), lambda _: None)
    assert isinstance(model, Synthesizer)
    return model


@pytest.fixture(scope="module")
def folder() -> Path:
    return Store().pull("hibari-heart").folder


@pytest.fixture(scope="module")
def voice(loop: asyncio.Runner, folder: Path) -> Iterator[Synthesizer]:
    model = load(folder)
    loop.run(model.warm_up())
    try:
        yield model
        assert model.stats.num_accepted == 0
    finally:
        loop.run(model.close(grace_s=0.0))


async def spoken(model: Synthesizer, text: str, *, speaking_rate: float = 1.0, timeout_s: float = 60.0) -> Spoken:
    return await model.speak_sentence(
        text,
        voice="heart",
        speaking_rate=speaking_rate,
        deadline_s=time.monotonic() + timeout_s,
        meter=SpeechMeter(),
    )


def level(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def between(said: Spoken, start_s: float, end_s: float) -> NDArray[np.float32]:
    return said.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


def test_it_is_a_synthesizer(voice: Synthesizer) -> None:
    assert isinstance(voice, SpeechSynthesizer)
    assert voice.sample_rate_hz == RATE_HZ
    (only,) = voice.voices
    assert (only.name, only.display_name, only.language_codes) == ("heart", "Heart", ("en-US",))
    assert only.traits == (("gender", "female"),)


def test_every_word_has_its_time(loop: asyncio.Runner, voice: Synthesizer) -> None:
    said = loop.run(spoken(voice, SENTENCE))
    assert [word.piece.text for word in said.words] == [
        *("On", "2024-10-12", "Dr", "Smith", "paid", "$9.99", "for", "a", "well-known", "book")
    ]
    place_s = 0.0
    for word in said.words:
        assert SENTENCE[word.piece.start : word.piece.end] == word.piece.text
        assert place_s <= word.start_s < word.end_s
        assert level(between(said, word.start_s, word.end_s)) > 0.005
        place_s = word.end_s
    # The pause after the sentence, and no more.
    assert 0.3 < len(said.samples) / RATE_HZ - place_s < 0.6
    assert said.words[0].start_s < 0.15


def test_between_words_that_a_comma_parts_is_silence(loop: asyncio.Runner, voice: Synthesizer) -> None:
    said = loop.run(spoken(voice, "Wait a moment, please."))
    moment, please = said.words[-2:]
    assert moment.piece.text == "moment"
    quietest = min(
        level(between(said, start_s, start_s + 0.02))
        for start_s in np.arange(moment.end_s, please.start_s - 0.02, 0.01).tolist()
    )
    assert quietest < 0.2 * level(between(said, please.start_s, please.end_s))


def test_the_same_text_has_the_same_sound_in_any_company(
    loop: asyncio.Runner, voice: Synthesizer, folder: Path
) -> None:
    texts = [SENTENCE, "Hello.", "A quite different sentence, with Zyxqua in it!", SENTENCE] * 3
    alone = {text: loop.run(spoken(voice, text)) for text in texts}

    async def together() -> list[Spoken]:
        return await asyncio.gather(*(spoken(voice, text) for text in texts))

    for text, said in zip(texts, loop.run(together()), strict=True):
        np.testing.assert_array_equal(said.samples, alone[text].samples)
        assert said.words == alone[text].words


@pytest.mark.parametrize("speaking_rate", [0.5, 0.75, 1.05, 1.25, 1.5, 2.0])
def test_the_rate_is_that_of_speech_and_of_pauses(
    loop: asyncio.Runner, voice: Synthesizer, speaking_rate: float
) -> None:
    usual, other = (loop.run(spoken(voice, SENTENCE, speaking_rate=rate)) for rate in (1.0, speaking_rate))
    assert len(other.samples) * speaking_rate == pytest.approx(len(usual.samples), rel=0.05)
    assert [word.piece for word in other.words] == [word.piece for word in usual.words]


@pytest.mark.parametrize("text", ["", " ", "...", "世界", "😀 👍🏽", "\x00\u202e", "—", "()", '"', "שלום"])
def test_what_nobody_can_speak_is_no_sound(loop: asyncio.Runner, voice: Synthesizer, text: str) -> None:
    said = loop.run(spoken(voice, text))
    assert said.samples.shape == (0,)
    assert said.samples.dtype == np.float32
    assert said.words == ()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.text(alphabet="aB1 .,'-/&@$%:()[]½°—=…", max_size=80))
def test_any_text_can_be_spoken(loop: asyncio.Runner, voice: Synthesizer, text: str) -> None:
    said = loop.run(spoken(voice, text))
    assert np.abs(said.samples).max(initial=0.0) <= 1.0
    assert bool(len(said.samples)) or not said.words
    ends_s = [0.0, *(each for word in said.words for each in (word.start_s, word.end_s)), len(said.samples) / RATE_HZ]
    assert ends_s == sorted(ends_s)


def test_a_word_that_is_far_too_long_is_spoken(loop: asyncio.Runner, voice: Synthesizer) -> None:
    said = loop.run(spoken(voice, "a" * 1000))
    assert "".join(word.piece.text for word in said.words) == "a" * 1000
    assert len(said.samples) > 10 * RATE_HZ


def test_sentences_are_alike_in_loudness_and_join_without_clicks(loop: asyncio.Runner, voice: Synthesizer) -> None:
    texts = ["Yes.", SENTENCE, "Who is there?", "It was the best of times, it was the worst of times!", "Go, now!"]
    sounds = [loop.run(spoken(voice, text)).samples for text in texts]
    levels = [level(sound[np.abs(sound) > 0.01]) for sound in sounds]
    assert max(levels) / min(levels) < 2.0
    for sound in sounds:
        assert 0.1 < np.abs(sound).max() < 0.99
        assert sound[0] == sound[-1] == 0.0


def test_after_a_paragraph_is_a_longer_pause(loop: asyncio.Runner, voice: Synthesizer) -> None:
    sentence, paragraph = (
        loop.run(
            voice.speak_sentence(
                "Yes.",
                voice="heart",
                speaking_rate=1.0,
                deadline_s=time.monotonic() + 60,
                meter=SpeechMeter(),
                ends_paragraph=ends_paragraph,
            )
        )
        for ends_paragraph in (False, True)
    )
    assert len(paragraph.samples) - len(sentence.samples) == round(0.35 * RATE_HZ)
    np.testing.assert_array_equal(paragraph.samples[: len(sentence.samples)], sentence.samples)
    assert not paragraph.samples[len(sentence.samples) :].any()


def test_a_call_that_is_cancelled_leaves_nothing(loop: asyncio.Runner, voice: Synthesizer) -> None:
    async def cancelled() -> None:
        calls = [asyncio.create_task(spoken(voice, SENTENCE)) for _ in range(6)]
        await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(10):
            while voice.stats.num_accepted:
                await asyncio.sleep(0.002)

    loop.run(cancelled())


def test_a_call_ends_at_its_deadline(loop: asyncio.Runner, voice: Synthesizer) -> None:
    with pytest.raises((QueueTimeout, DeadlineExceeded)):
        loop.run(spoken(voice, SENTENCE * 20, timeout_s=0.001))

    async def idle() -> None:
        async with asyncio.timeout(30):
            while voice.stats.num_accepted:
                await asyncio.sleep(0.002)

    loop.run(idle())


def test_closing_ends_calls(loop: asyncio.Runner, folder: Path) -> None:
    model = load(folder, runners=1)

    async def closed() -> None:
        await model.warm_up()
        calls = [asyncio.create_task(spoken(model, SENTENCE)) for _ in range(8)]
        await asyncio.sleep(0.01)
        await model.close(grace_s=0.0)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, CallAborted | Spoken) for each in ended)
        assert isinstance(ended[-1], CallAborted)

    loop.run(closed())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sampling_rate": None}, "sampling_rate and hop must be there"),
        ({"hop": "300"}, "hop must be a whole number"),
        ({"n_fft": 1024}, "n_fft must be four hops, 1200"),
        ({"vocab": {}}, "vocab must have"),
        ({"vocab": {"ab": 1}}, "vocab must have"),
        ({"voices": []}, "voices must be a list of one object"),
        ({"voices": [{"name": "a"}]}, "a language that is English"),
        ({"voices": [{"name": "a", "language": "de-DE"}]}, "a language that is English"),
    ],
)
def test_a_folder_that_is_wrong_is_refused(
    tmp_path: Path, folder: Path, changes: dict[str, object], problem: str
) -> None:
    copy = tmp_path / "voice"
    shutil.copytree(folder, copy)
    (copy / DESCRIPTION_FILE).unlink()
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(ModelFolderError, match=problem):
        load(copy)


def test_a_folder_without_its_graphs_is_refused(tmp_path: Path, folder: Path) -> None:
    copy = tmp_path / "voice"
    shutil.copytree(folder, copy)
    (copy / DESCRIPTION_FILE).unlink()
    (copy / "oov.onnx").unlink()
    with pytest.raises(ModelFolderError, match=r"oov\.onnx is missing"):
        load(copy)
    (copy / "oov.onnx").write_bytes(b"no graph")
    with pytest.raises(SessionError):
        load(copy)
