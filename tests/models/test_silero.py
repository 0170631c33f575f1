"""Silero VAD's folder: it tells speech from what is none, and rows of a batch do not touch one another."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models.graph_session import GraphSession
from tests.models.published import published_weights
from tests.recordings import load_speech
from trivium_models.errors import InvalidModelError
from trivium_models.speech.silero import export_silero
from trivium_models.store import Store

NAME = "silero-vad"


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder in the machine's own store; pulled when it is missing."""
    return Store().pull(NAME).folder


def probabilities(folder: Path, streams: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probability of speech in each window of each stream; streams: shape (streams, samples)."""
    config = json.loads((folder / "config.json").read_text())
    window, context = config["window"], config["context"]
    session = GraphSession(folder / "model.onnx")
    rate = np.array(config["sampling_rate"], np.int64)
    state = np.zeros((2, len(streams), 128), np.float32)
    before = np.zeros((len(streams), context), np.float32)
    found = []
    for start in range(0, streams.shape[1] - window + 1, window):
        heard = np.concatenate([before, streams[:, start : start + window]], axis=1)
        results = session.run(input=heard, state=state, sr=rate)
        state, before = results["stateN"], heard[:, -context:]
        found.append(results["output"][:, 0])
    return np.stack(found, axis=1)


def streams() -> dict[str, NDArray[np.float32]]:
    """Eight seconds each, at 16 kHz."""
    size, chance = 8 * 16000, np.random.default_rng(3)
    chime = np.zeros(size, np.float32)
    sound = load_speech("success.wav")
    chime[: len(sound)] = sound
    hum = np.sin(np.arange(size) * (2 * np.pi * 50 / 16000)) * 0.1
    return {
        "speech": load_speech("two_cities.wav")[:size],
        "other speech": load_speech("endgame_nagg_nell.wav")[-size:],
        "silence": np.zeros(size, np.float32),
        "noise": chance.normal(0, 0.03, size).astype(np.float32),
        "hum": hum.astype(np.float32),
        "chime": chime,
    }


def test_speech_is_told_from_what_is_none(folder: Path) -> None:
    given = streams()
    found = dict(zip(given, probabilities(folder, np.stack(list(given.values()))), strict=True))
    for name in ("speech", "other speech"):
        assert np.mean(found[name] > 0.5) > 0.5, name
        assert found[name].max() > 0.95, name
    for name in ("silence", "noise", "hum", "chime"):
        assert found[name].max() < 0.5, name


def test_batched_equals_single(folder: Path) -> None:
    given = np.stack(list(streams().values()))
    batched = probabilities(folder, given)
    assert batched.shape == (len(given), 250)
    for row, stream in zip(batched, given, strict=True):
        np.testing.assert_allclose(row, probabilities(folder, stream[None])[0], rtol=0, atol=1e-6)


def test_window_without_its_context_is_heard_worse(folder: Path) -> None:
    # The reason for `context` in config.json.
    speech = streams()["speech"][None]
    heard = probabilities(folder, speech)
    session, state = GraphSession(folder / "model.onnx"), np.zeros((2, 1, 128), np.float32)
    alone = []
    for start in range(0, speech.shape[1] - 511, 512):
        window = np.concatenate([np.zeros((1, 64), np.float32), speech[:, start : start + 512]], axis=1)
        results = session.run(input=window, state=state, sr=np.array(16000, np.int64))
        state = results["stateN"]
        alone.append(results["output"][0, 0])
    assert np.mean(np.array(alone) > 0.5) < np.mean(heard > 0.5)


def test_graph_is_that_of_the_package(folder: Path) -> None:
    assert (folder / "model.onnx").read_bytes() == published_weights(NAME).read_bytes()


def test_another_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\xff")
    for other in (published_weights("hibari-heart"), tmp_path / "damaged.onnx"):
        with pytest.raises(InvalidModelError):
            export_silero(other, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.onnx"]
