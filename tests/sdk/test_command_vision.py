"""`trivium see` and `trivium read`: what they print, draw and refuse."""

import json
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image

from tests.sdk.command import TRIVIUM, Command
from tests.sdk.scripted import ScriptedServer, fail, reply
from tests.sdk.vision_script import analyze, served
from trivium import _calls
from trivium.v1 import models_pb2, vision_pb2


@pytest.fixture
def seeing(tmp_path: Path, faults: ScriptedServer) -> Command:
    faults.script(_calls.ANALYZE_IMAGE, analyze)
    faults.script(_calls.LIST_MODELS, reply(served("seer")))
    return Command(tmp_path, faults.target)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    Image.fromarray(np.full((100, 200, 3), 90, np.uint8)).save(file)
    return file


def sent_features(server: ScriptedServer) -> list[vision_pb2.VisionFeature]:
    (call,) = (call for call in server.received if call.path == _calls.ANALYZE_IMAGE.path)
    return list(call.request.features)


def test_table(seeing: Command, faults: ScriptedServer, image: Path) -> None:
    done = seeing.run("see", str(image), "-f", "classify,detect,faces,read,embed")
    assert (done.returncode, done.stderr) == (0, "")
    heading, columns, *rows = [line.split() for line in done.stdout.splitlines()]
    assert " ".join(heading).endswith("200 x 100, image/png, turned upright")
    assert columns == ["FEATURE", "SCORE", "WHAT", "LEFT", "TOP", "RIGHT", "BOTTOM"]
    assert rows == [
        ["classify", "0.7500", "cat"],
        ["classify", "0.2500", "dog"],
        ["detect", "0.5000", "cat", "50", "50", "100", "100"],
        ["faces", "0.5000", "face", "50", "50", "100", "100"],
        ["read", "0.5000", "Hello", "50", "50", "150", "75"],
        ["embed", "1", "numbers:", "0.5000", "…"],
    ]
    assert faults.received[-1].request.image.content == image.read_bytes()


def test_default_is_what_the_server_can_do(seeing: Command, faults: ScriptedServer, image: Path) -> None:
    models = served("seer", "other")
    del models.models[1].capabilities[2:]  # classifies and detects, as the first does
    models.models.add(name="idle", state=models_pb2.MODEL_STATE_AVAILABLE, capabilities=models.models[0].capabilities)
    faults.script(_calls.LIST_MODELS, reply(models))
    done = seeing.run("see", str(image), "--model", "detect=other", "--model", "classify=seer", "--min-score", "0.25")
    assert (done.returncode, done.stderr) == (0, "")
    sent = sent_features(faults)
    kinds = [(str(feature.WhichOneof("feature")), feature.model) for feature in sent]
    assert kinds == [
        ("classification", "seer"),
        ("detection", "other"),
        ("faces", "seer"),
        ("text_recognition", "seer"),
    ]
    assert [getattr(feature, kind).min_score for feature, (kind, _) in zip(sent, kinds, strict=True)] == [0.25] * 4


@pytest.mark.parametrize("features", [[], ["-f", "detect,faces"]])
def test_of_several_models_the_one_with_most_labels(
    seeing: Command, faults: ScriptedServer, image: Path, features: list[str]
) -> None:
    models = served("b-layout", "d-photos", "c-photos", "a-idle")
    for model, num_labels in zip(models.models, (10, 80, 80, 90), strict=True):
        model.capabilities[:] = [models_pb2.CAPABILITY_DETECT_OBJECTS]
        model.labels.extend(map(str, range(num_labels)))
    models.models[3].state = models_pb2.MODEL_STATE_AVAILABLE
    models.models.extend(
        models_pb2.Model(
            name=name, state=models_pb2.MODEL_STATE_READY, capabilities=[models_pb2.CAPABILITY_DETECT_FACES]
        )
        for name in ("f", "e")
    )
    faults.script(_calls.LIST_MODELS, reply(models))
    done = seeing.run("see", str(image), *features)
    assert done.returncode == 0, done.stderr
    detect, faces = done.stderr.splitlines()
    others = "d-photos (80 labels), b-layout (10 labels)"
    assert detect == f"trivium: detect: taking c-photos (80 labels); --model detect=NAME takes another: {others}"
    assert faces == "trivium: faces: taking e; --model faces=NAME takes another: f"
    assert [feature.model for feature in sent_features(faults)] == ["c-photos", "e"]


def test_json_says_the_same(seeing: Command, image: Path) -> None:
    done = seeing.run("see", str(image), str(image), "-f", "detect,embed", "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == second
    assert (first["file"], first["image"]["width"]) == (str(image), 200)
    detection, embedding = first["results"]
    assert detection["feature"] == "detect"
    assert detection["objects"] == [
        {
            "label": "cat",
            "score": 0.5,
            "box": {"left": 0.25, "top": 0.5, "right": 0.5, "bottom": 1.0},
            "class_index": 3,
        }
    ]
    assert (embedding["vector"], embedding["model"], embedding["error"]) == ([0.5], "seer", None)


def test_failing_feature_is_told_and_the_others_are_shown(seeing: Command, image: Path) -> None:
    done = seeing.run("see", str(image), "-f", "classify,detect", "-m", "detect=broken")
    assert done.returncode == 1
    assert "cat" in done.stdout
    assert f"{image}: detect: UNSUPPORTED_FEATURE: model: it is broken (request" in done.stderr


@pytest.mark.parametrize("command", ["see", "read"])
def test_unreadable_file_leaves_the_others(seeing: Command, faults: ScriptedServer, image: Path, command: str) -> None:
    refused = fail(grpc.StatusCode.INVALID_ARGUMENT, "no image", reason="UNDECODABLE_MEDIA")
    faults.script(_calls.ANALYZE_IMAGE, refused, analyze)
    done = seeing.run(command, str(image), str(image))
    assert done.returncode == 1
    assert f"trivium: {image}: UNDECODABLE_MEDIA: no image" in done.stderr
    assert "Hello" in done.stdout


def test_read(seeing: Command, faults: ScriptedServer, image: Path) -> None:
    assert seeing.run("read", str(image), "--min-score", "0.5").stdout == "Hello\n"
    (feature,) = sent_features(faults)
    assert (feature.model, feature.text_recognition.min_score) == ("seer", 0.5)
    assert not feature.text_recognition.include_word_boxes
    several = seeing.run("read", str(image), str(image)).stdout
    assert several == f"==> {image} <==\nHello\n" * 2
    words = seeing.run("read", str(image), "--words").stdout.splitlines()
    assert [row.split() for row in words][1] == ["1", "0.5000", "Hello", "50", "50", "150", "75"]
    assert faults.received[-1].request.features[0].text_recognition.include_word_boxes
    found = json.loads(seeing.run("read", str(image), "--json").stdout)
    assert (found["text"], found["lines"][0]["polygon"][0]) == ("Hello", {"x": 0.25, "y": 0.5})


def test_standard_input(seeing: Command, faults: ScriptedServer, image: Path) -> None:
    with image.open("rb") as stdin:
        done = subprocess.run(
            [TRIVIUM, "read", "-"], env=seeing.environment, stdin=stdin, capture_output=True, check=False
        )
    assert done.stdout == b"Hello\n"
    assert faults.received[-1].request.image.content == image.read_bytes()
    assert "standard input is empty" in seeing.run("see", "-").stderr


@pytest.mark.parametrize("command", ["see", "read"])
def test_drawing(seeing: Command, image: Path, tmp_path: Path, command: str) -> None:
    out, folder = tmp_path / "out.jpg", tmp_path / "drawn"
    done = seeing.run(command, str(image), "--draw", str(out))
    assert (done.returncode, done.stderr) == (0, f"drawn: {out}\n")
    with Image.open(out) as picture:
        assert picture.width == 1600  # four times as large, with a panel
    other = tmp_path / "other.png"
    other.write_bytes(image.read_bytes())
    assert seeing.run(command, str(image), str(other), "--draw", str(folder)).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["other.png", "photo.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["see"], "Missing argument"),
        (["see", "none.png"], "none.png: there is no such file"),
        (["see", "{folder}"], "it is a folder"),
        (["read", "{image}", "{empty}"], "empty.png: it is empty"),
        (["see", "{image}", "-f", "classify,smell"], "there is no feature 'smell'"),
        (["see", "{image}", "-f", ""], "there is no feature ''"),
        (["see", "{image}", "-m", "seer"], "say which feature 'seer' is for"),
        (["see", "{image}", "-f", "detect", "-m", "faces=seer"], "'faces' is not among the features detect"),
        (["see", "{image}", "-f", "detect", "-m", "detect="], "the name is missing"),
        (["see", "{image}", "--draw", "{image}"], "it would replace the file"),
        (["see", "{image}", "--draw", "{folder}"], "it would replace the file"),
        (["see", "{image}", "--draw", "out.txt"], "name it .png, .jpg or .webp"),
        (["read", "{image}", "{image}", "--draw", "{folder}/new"], "two files would both be drawn"),
        (["read", "{image}", "{image}", "--draw", "{image}"], "give a folder for several files"),
        (["read", "-", "-"], "standard input can be read once"),
        (["read", "{image}", "--min-score", "nan"], "must be finite"),
    ],
)
def test_wrong_usage_is_told(
    seeing: Command, faults: ScriptedServer, image: Path, arguments: list[str], says: str
) -> None:
    empty = image.with_name("empty.png")
    empty.touch()
    done = seeing.run(*(part.format(image=image, folder=image.parent, empty=empty) for part in arguments))
    assert done.returncode == 2
    assert says in done.stderr
    assert [call for call in faults.received if call.path == _calls.ANALYZE_IMAGE.path] == []


def test_server_without_such_models(seeing: Command, faults: ScriptedServer, image: Path) -> None:
    faults.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse()))
    done = seeing.run("see", str(image))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no model that looks at images and is ready" in done.stderr
    assert "faces: the server has no model that detects faces" in seeing.run("see", str(image), "-f", "faces").stderr
