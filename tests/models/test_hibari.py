"""hibari's folder: the voice is the published one, and durations tell where each phoneme is."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.models.graph_session import GraphSession
from tests.models.published import published
from trivium_models.errors import InvalidModelError
from trivium_models.speech.hibari import export_hibari
from trivium_models.store import Store

NAME = "hibari-heart"
# "Hello there. How are you, my friend?" in the alphabet of the model.
PHONEMES = "həlˈO ðˈɛɹ. hˌW ˈɑɹ ju, mI fɹˈɛnd?"  # noqa: RUF001 - phonetic letters
SPECTRUM = ("lh", "theta", "ln", "lr", "phi")


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder in the machine's own store; pulled when it is missing."""
    return Store().pull(NAME).folder


@pytest.fixture(scope="module")
def config(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "config.json").read_text())
    assert isinstance(content, dict)
    return content


def ids(config: dict[str, object]) -> NDArray[np.int64]:
    vocab, pad = config["vocab"], config["pad_id"]
    assert isinstance(vocab, dict)
    return np.array([[pad, *(vocab[phoneme] for phoneme in PHONEMES), pad]], np.int64)


def speed(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)


def test_configuration_is_what_the_voice_needs(config: dict[str, object]) -> None:
    assert (config["model_type"], config["sampling_rate"]) == ("hibari", 24000)
    assert (config["n_fft"], config["hop"]) == (1200, 300)
    assert config["voices"] == [{"name": "heart", "language": "en-US", "gender": "female"}]


@pytest.mark.parametrize("value", [0.5, 1.0, 1.37, 2.0])
def test_voice_is_the_published_one(folder: Path, config: dict[str, object], value: float) -> None:
    session, theirs = GraphSession(folder / "model.onnx"), GraphSession(published(NAME)["hibari.onnx"])
    given = ids(config)
    got, wanted = session.run(ids=given, speed=speed(value)), theirs.run(ids=given, speed=speed(value))
    assert set(got) - set(wanted) == {"durations"}
    for name, values in wanted.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.mark.parametrize("value", [0.5, 1.0, 1.37, 2.0])
def test_durations_add_up_to_the_frames(folder: Path, config: dict[str, object], value: float) -> None:
    given = ids(config)
    got = GraphSession(folder / "model.onnx").run(ids=given, speed=speed(value))
    num_frames = got["f0"].shape[1]
    assert got["durations"].dtype == np.int64
    assert got["durations"].shape == given.shape
    assert got["durations"].min() >= 1
    assert got["durations"].sum() == num_frames
    assert all(got[name].shape == (1, 601, num_frames) for name in SPECTRUM)


def test_durations_follow_the_speed(folder: Path, config: dict[str, object]) -> None:
    session, given = GraphSession(folder / "model.onnx"), ids(config)
    slow, fast = (session.run(ids=given, speed=speed(value))["durations"][0] for value in (1.0, 2.0))
    assert slow.sum() / fast.sum() == pytest.approx(2, rel=0.1)
    # 80 frames a second; seven words take two to three seconds.
    assert 1.5 < slow.sum() / 80 < 4


def test_vowels_have_a_pitch_and_pauses_have_none(folder: Path, config: dict[str, object]) -> None:
    got = GraphSession(folder / "model.onnx").run(ids=ids(config), speed=speed(1.0))
    ends = np.cumsum(got["durations"][0])
    starts = ends - got["durations"][0]
    pitch = got["f0"][0]

    def voiced(phoneme: str) -> float:
        places = [place + 1 for place, other in enumerate(PHONEMES) if other == phoneme]
        return float(np.mean([np.mean(pitch[starts[place] : ends[place]] > 40) for place in places]))

    for vowel in "OɛWɑ":  # noqa: RUF001 - phonetic letters
        assert voiced(vowel) > 0.8, vowel
    for pause in ".?":
        assert voiced(pause) < 0.2, pause


def test_unknown_words_are_spelled_out(folder: Path) -> None:
    letters = json.loads((folder / "oov.json").read_text())
    known = {letter: index + 1 for index, letter in enumerate(letters["in"])}
    (found,) = (
        GraphSession(folder / "oov.onnx").run(chars=np.array([[known[one] for one in "trivium"]], np.int64)).values()
    )
    places = found[0]
    kept = [int(one) for place, one in enumerate(places) if one and (place == 0 or one != places[place - 1])]
    assert "".join(letters["out"][one - 1] for one in kept) == "tɹˈɪviəm"  # noqa: RUF001 - phonetic letters


def test_licence_and_notice_are_there(folder: Path) -> None:
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "Kokoro-82M" in (folder / "NOTICE").read_text()


def test_another_graph_or_vocabulary_is_refused(tmp_path: Path, folder: Path) -> None:
    theirs = published(NAME)
    (tmp_path / "given").mkdir()
    damaged, vocab = tmp_path / "given" / "damaged.onnx", tmp_path / "given" / "vocab.json"
    damaged.write_bytes(b"\x08\xff")
    for other in (damaged, folder / "oov.onnx", folder / "model.onnx"):
        with pytest.raises(InvalidModelError):
            export_hibari(other, theirs["vocab.json"], tmp_path)
    for content in ("{}", "[]", '{"a": 0}', '{"a": 5000}', '{"a": "1"}', '{"a": true}', "{"):
        vocab.write_text(content)
        with pytest.raises(InvalidModelError):
            export_hibari(theirs["hibari.onnx"], vocab, tmp_path)
    graph = onnx.load(theirs["hibari.onnx"])
    (sums,) = [node for node in graph.graph.node if node.op_type == "CumSum"]
    sums.op_type = "Identity"
    onnx.save(graph, damaged)
    with pytest.raises(InvalidModelError, match="summed up in 0 places"):
        export_hibari(damaged, theirs["vocab.json"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["given"]
