"""Whisper as others run it: our graphs, features and rules write what faster-whisper writes with the same weights.

The server itself hears silence behind short sounds, in shorter windows, and scores tokens by a table of 8 bits; see
docs/decisions/0009. Here all three are as in faster-whisper.
"""

import asyncio
import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.architectures.hearing import soon
from tests.recordings import SPOKEN, load_speech
from trivium_models.catalog import Catalog, load_catalog
from trivium_models.store import Store
from trivium_server.architectures import speech
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    RecognitionOptions,
    SpeechMeter,
    Urgency,
)
from trivium_server.config import Config, SpeechConfig
from trivium_server.speech.log_mel import LogMel

Floats = NDArray[np.float32]

MODEL = "whisper-tiny-en"
HOP = 160
FRAMES = 3000
# Of a longer recording the beginning: where a window ends in mid-speech, faster-whisper goes on after its last segment.
LONGEST = 28 * SAMPLE_RATE_HZ

# What faster-whisper 1.2.1 writes: compute_type="float32", beam_size=1, best_of=1, condition_on_previous_text=False,
# vad_filter=False.
FASTER_WHISPER = {
    "beckett.wav": "Ever tried, ever failed. No matter, try again. Fail again. Fail better.",
    "endgame_nagg_nell.wav": (
        "Do you hear me? Yes. Do you hear me? Yes. We laugh less heartily so we have still that resource. Laugh less "
        "heartily so. We have still that resource. No, not heartily, just less heartily. Are that's a good story. Are "
        "that's a good story? What are you talking about? Laughing. You thought you were in pain. Not now. Do you "
        "remember the day I went and fetched you from that ditch? No."
    ),
    "two_cities.wav": (
        "It was the best of times, it was the worst of times. It was the age of wisdom, it was the age of foolishness. "
        "It was the epoch of belief, it was the epoch of incredulity. It was the season of light, it was the season of "
        "darkness. It was the spring of hope, it was the winter of despair. We had everything before us, we had "
        "nothing before us. We're all going direct to heaven. We were all going direct the other one."
    ),
    "sense_and_sensibility_01_austen_64kb-0870.wav": (
        "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do for "
        "them."
    ),
    "sense_and_sensibility_01_austen_64kb-0880.wav": "He was not an old-sposed young man.",
    "sense_and_sensibility_01_austen_64kb-0890.wav": (
        "Unless to be rather cold-hearted and rather selfish is to be ill-disposed."
    ),
    "sense_and_sensibility_01_austen_64kb-0920.wav": (
        "Had he married a more amiable woman, he might have been made still more respectable than he was."
    ),
    "sense_and_sensibility_01_austen_64kb-0930.wav": "He might even have been made amiable himself.",
}


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.Runner) -> Iterator[speech.WhisperModel]:
    """The model with all of its weights in 32 bits."""
    entry = dataclasses.replace(load_catalog().get(MODEL), precision="fp32")
    folder = Store(tmp_path_factory.mktemp("store"), catalog=Catalog([entry])).pull(MODEL).folder
    model = speech.load(folder, Config(speech=SpeechConfig(runners=1)), lambda _: None)
    assert isinstance(model, speech.WhisperModel)
    loop.run(model.warm_up())
    yield model
    loop.run(model.close(0.0))


def test_every_recording_is_here() -> None:
    assert FASTER_WHISPER.keys() >= SPOKEN.keys()


@pytest.mark.parametrize("name", FASTER_WHISPER)
def test_text_is_that_of_faster_whisper(
    exact: speech.WhisperModel, loop: asyncio.Runner, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = LogMel.__call__

    def padded(self: LogMel, samples: Floats, num_frames: int) -> Floats:
        features = heard(self, samples, num_frames).copy()
        features[:, len(samples) // HOP :] = 0.0
        return features

    monkeypatch.setattr(LogMel, "__call__", padded)
    monkeypatch.setattr(speech.WhisperModel, "_num_frames", lambda _self, _samples: FRAMES)
    samples = load_speech(name)
    if len(samples) > FRAMES * HOP:
        samples = samples[:LONGEST]
    answer = exact.recognize_speech(
        samples, RecognitionOptions(), urgency=Urgency.FILE, deadline_s=soon(), meter=SpeechMeter()
    )
    assert loop.run(answer).text == FASTER_WHISPER[name]
