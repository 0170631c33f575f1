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
from tests.recordings import FASTER_WHISPER, SPOKEN, load_speech
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
