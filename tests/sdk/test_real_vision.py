"""Both clients and the command against the real service, the real models, and real photos."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.photos import photo
from tests.sdk.command import Command
from tests.sdk.faces import Face
from tests.serving import RunningServer, wait_until
from trivium import Capability, errors, vision
from trivium_models.store import Store

Connect = Callable[..., Face]
MODELS = ("efficientnet-lite0", "nanodet-coco", "centerface", "pp-ocrv6-small")
LIMIT_BYTES = 2 * 1024 * 1024


@pytest.fixture(scope="module")
def seer() -> Iterator[RunningServer]:
    folders = [Store().pull(name).folder for name in MODELS]
    limits = {"limits__max_request_bytes": LIMIT_BYTES}
    with RunningServer(folders[0].parent, models__load=",".join(MODELS), **limits) as running:
        yield running


@pytest.fixture
def face(connect: Connect, seer: RunningServer) -> Face:
    return connect(seer.address)


def test_every_form_of_an_image_gets_the_same_answer(face: Face) -> None:
    file = photo("astronaut.png")
    pixels = np.asarray(Image.open(file))
    forms = (file, str(file), file.read_bytes(), pixels, Image.open(file))
    answers = [face.call("vision.analyze", form, ["detect", "faces", "embed"]) for form in forms]
    assert answers[0].detection.objects[0].label == "person"
    for answer in answers[1:]:
        assert answer.image.size == (512, 512)
        assert answer.detection.objects == answers[0].detection.objects
        assert answer.faces.faces == answers[0].faces.faces
        assert np.array_equal(answer.embedding.vector, answers[0].embedding.vector)


def test_orientation_of_a_file_and_of_its_pil_image_count_alike(face: Face, tmp_path: Path) -> None:
    exif, file = Image.Exif(), tmp_path / "turned.png"
    exif[0x0112] = 8
    with Image.open(photo("astronaut.png")) as upright:
        upright.resize((512, 256)).rotate(-90, expand=True).save(file, exif=exif)
    from_file = face.call("vision.faces", file)
    with Image.open(file) as picture:
        from_picture = face.call("vision.faces", picture)
    assert (from_file.image.size, from_file.image.orientation_applied) == ((512, 256), True)
    assert (from_picture.image.size, from_picture.image.orientation_applied) == ((512, 256), False)
    assert from_file.faces == from_picture.faces
    assert from_file.draw().size == from_picture.draw().size == (1024, 512)


def test_one_call_answers_as_each_alone(face: Face) -> None:
    file = photo("coffee.png")
    whole = face.call("vision.analyze", file, ["classify", "detect", "faces", "embed"])
    assert whole.failed == ()
    assert whole.classification.best.label == "espresso"
    assert whole.classification.labels == face.call("vision.classify", file).labels
    assert whole.detection.objects == face.call("vision.detect", file).objects
    assert whole.faces.faces == face.call("vision.faces", file).faces == ()
    alone = face.call("vision.embed", file)
    assert alone.vector.shape == (face.call("models.get", "efficientnet-lite0").embedding.dimensions,)
    assert np.array_equal(whole.embedding.vector, alone.vector)
    assert np.linalg.norm(alone.vector) == pytest.approx(1, abs=1e-5)
    assert whole.info.usage.image_count == 1
    assert whole.info.usage.pixel_count == 600 * 400


def test_landmarks_lie_in_the_face(face: Face) -> None:
    (found,) = face.call("vision.faces", photo("astronaut.png"), include_landmarks=True).faces
    named = {mark.name: mark.point for mark in found.landmarks}
    assert list(named) == list(face.call("models.get", "centerface").vision.landmark_names)
    assert found.box.left < named["left_eye"].x < named["right_eye"].x < found.box.right
    assert found.box.top < named["nose"].y < found.box.bottom


def test_scan_is_read(face: Face) -> None:
    text = face.call("vision.read_text", photo("page.png"), include_word_boxes=True)
    assert text.lines[0].text == "Region-based segmentation"
    assert "markers of the coins and the" in text.text
    words = [word.text for line in text.lines for word in line.words]
    assert words[:2] == ["Region-based", "segmentation"]
    drawn = text.draw()
    assert drawn.size == (2 * 768, 382)


def test_wrong_model_fails_its_feature_alone(face: Face) -> None:
    asked = ["classify", vision.DetectObjects(model="centerface"), vision.DetectFaces(model="unknown")]
    analysis = face.call("vision.analyze", photo("coffee.png"), asked)
    assert analysis.classification.best.label == "espresso"
    kinds = [type(result.error) for result in analysis.results]
    assert kinds == [type(None), errors.UnsupportedFeature, errors.ModelNotFound]
    with pytest.raises(errors.InvalidArgumentField, match="top_k"):
        face.call("vision.classify", photo("coffee.png"), top_k=100_000)


def test_unreadable_image(face: Face) -> None:
    for content in (b"no image", photo("coffee.png").read_bytes()[:2000]):
        with pytest.raises(errors.UndecodableMedia, match="image"):
            face.call("vision.classify", content)


def test_image_that_only_the_server_finds_too_large(face: Face) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (1000, 1000, 3), np.uint8)
    with pytest.raises(errors.ResourceExhaustedError, match="larger than"):
        face.call("vision.classify", noise)
    assert face.call("vision.classify", vision.jpeg(noise, max_side=400)).best is not None


def test_stream_answers_as_single_calls(face: Face) -> None:
    files = [photo("coffee.png"), photo("astronaut.png"), photo("rocket.jpg")] * 3
    frames = [vision.VideoFrame(image=file, media_time_s=0.25 * place) for place, file in enumerate(files)]
    results, opened = face.events("vision.analyze_stream", frames, ["detect", "classify"])
    assert [result.frame_number for result in results] == list(range(9))
    assert [result.media_time_s for result in results] == [0.25 * place for place in range(9)]
    assert (opened.analyzed_count, opened.dropped_count) == (9, 0)
    assert opened.info.usage.image_count == 9
    for result, file in zip(results[:3], files, strict=False):
        single = face.call("vision.analyze", file, ["detect", "classify"])
        assert result.image.size == single.image.size
        assert result.detection.objects == single.detection.objects
        assert result.classification.labels == single.classification.labels
        assert result.sent == file.read_bytes()


def test_live_stream_drops_and_says_so(face: Face) -> None:
    file = photo("astronaut.png").read_bytes()
    frames = [vision.VideoFrame(image=file, frame_number=10 * place) for place in range(60)]
    results, opened = face.events(
        "vision.analyze_stream", frames, ["faces", "detect"], frame_policy=vision.FramePolicy.LATEST_ONLY
    )
    assert opened.analyzed_count == len(results)
    assert opened.analyzed_count + opened.dropped_count == 60
    assert opened.dropped_count > 0
    numbers = [result.frame_number for result in results]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 590  # the newest is never dropped
    gaps = np.diff([-10, *numbers]) // 10 - 1
    assert [result.dropped_before for result in results] == gaps.tolist()
    assert all(result.sent == file for result in results)


def test_broken_frame_fails_alone(face: Face) -> None:
    good = photo("coffee.png")
    results, opened = face.events("vision.analyze_stream", [good, b"no image", good], "classify")
    assert [type(result.error) for result in results] == [type(None), errors.UndecodableMedia, type(None)]
    assert opened.analyzed_count == 3
    with pytest.raises(LookupError, match="not among"):
        _ = results[1].classification


def test_stopped_reader_frees_the_server(face: Face, seer: RunningServer) -> None:
    def camera() -> Iterator[Path]:
        while True:
            yield photo("coffee.png")

    assert face.first("vision.analyze_stream", camera(), "detect").frame_number == 0
    assert wait_until(lambda: not seer.app._admission.in_flight), "the call goes on at the server"


def test_models_tell_what_they_do(face: Face) -> None:
    detector = face.call("models.get", "nanodet-coco")
    assert detector.capabilities == (Capability.DETECT_OBJECTS,)
    assert len(detector.labels) == 80
    assert 0 < detector.vision.default_min_score < 1
    assert detector.limits.max_image_pixels > 1_000_000
    names = [model.name for model in face.call("models.list", Capability.EMBED_IMAGE)]
    assert names == ["efficientnet-lite0"]


def test_commands(tmp_path: Path, seer: RunningServer) -> None:
    command, out = Command(tmp_path, seer.address), tmp_path / "drawn.png"
    done = command.run("see", str(photo("astronaut.png")), "--draw", str(out), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [result["feature"] for result in found["results"]] == ["classify", "detect", "faces", "read"]
    assert found["results"][1]["objects"][0]["label"] == "person"
    with Image.open(out) as drawn:
        assert drawn.width >= 1024
    assert command.run("read", str(photo("page.png"))).stdout.startswith("Region-based segmentation\n")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    done = command.run("see", str(broken), str(photo("coffee.png")), "-f", "classify")
    assert done.returncode == 1
    assert "UNDECODABLE_MEDIA" in done.stderr
    assert "espresso" in done.stdout
