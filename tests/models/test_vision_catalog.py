"""The catalogue's models that look at images; published graphs are changed in nothing but names and sizes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.models.graph_session import GraphSession
from tests.models.image_reference import load_rgb, pixels, squash
from tests.models.published import published_weights
from tests.photos import photo
from trivium_models.catalog import load_catalog
from trivium_models.errors import InvalidModelError
from trivium_models.exporters import EXPORTERS
from trivium_models.store import Store
from trivium_models.vision.centerface import export_centerface
from trivium_models.vision.picodet import export_picodet
from trivium_models.vision.pp_ocr import export_pp_ocr

NAMES = {
    "efficientnet-lite0": "classify_image",
    "nanodet-coco": "detect_objects",
    "centerface": "detect_faces",
    "picodet-layout": "detect_objects",
    "pp-ocrv6-small": "recognize_text",
}
FACE_OUTPUTS = {"heatmap": "537", "scale": "538", "offset": "539", "landmarks": "540"}


def pulled(name: str) -> Path:
    """The folder in the machine's own store; pulled when it is missing."""
    return Store().pull(name).folder


def test_every_weights_role_has_an_exporter() -> None:
    catalog = load_catalog()
    entries = [catalog.get(name) for name in catalog.names()]
    assert {entry.weights_role for entry in entries} == set(EXPORTERS)


@pytest.mark.parametrize(("name", "task"), NAMES.items())
def test_model_is_installed_as_its_card_says(name: str, task: str) -> None:
    pulled(name)
    model, entry = Store().find(name), load_catalog().get(name)
    assert model is not None
    assert model.manifest is not None
    card = model.manifest.card
    assert (card.task, card.architecture) == (task, "image")
    assert card.good_at
    assert card.bad_at
    assert any(file.path.startswith("LICENSE") for file in model.manifest.files)
    assert Store().verify(name).problems == ()
    assert model.manifest.size_bytes == pytest.approx(entry.installed_size_bytes, rel=0.02)


def test_faces_are_those_of_the_published_graph() -> None:
    session, theirs = GraphSession(pulled("centerface") / "model.onnx"), GraphSession(published_weights("centerface"))
    # The one size that theirs declares: ten images of 32 by 32 pixels.
    images = np.random.default_rng(5).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    got, wanted = session.run(pixel_values=images), theirs.run(**{"input.1": images})
    for name, their_name in FACE_OUTPUTS.items():
        np.testing.assert_allclose(got[name], wanted[their_name], rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("width", "height"), [(512, 512), (480, 320), (320, 480), (32, 64)])
def test_faces_are_found_in_images_of_any_size(width: int, height: int) -> None:
    image = pixels(squash(load_rgb(photo("astronaut.png")), width, height), [0] * 3, [1] * 3)
    got = GraphSession(pulled("centerface") / "model.onnx").run(pixel_values=image)
    assert {name: values.shape[1:] for name, values in got.items()} == {
        "heatmap": (1, height // 4, width // 4),
        "scale": (2, height // 4, width // 4),
        "offset": (2, height // 4, width // 4),
        "landmarks": (10, height // 4, width // 4),
    }
    if min(width, height) > 64:
        row, column = np.unravel_index(got["heatmap"][0, 0].argmax(), got["heatmap"].shape[2:])
        assert got["heatmap"].max() > 0.7
        # The astronaut's face is around 44 % of the width and 23 % of the height.
        assert column * 4 / width == pytest.approx(0.44, abs=0.04)
        assert row * 4 / height == pytest.approx(0.23, abs=0.04)


def test_photo_of_a_cat_has_no_face() -> None:
    image = pixels(squash(load_rgb(photo("chelsea.png")), 480, 320), [0] * 3, [1] * 3)
    assert GraphSession(pulled("centerface") / "model.onnx").run(pixel_values=image)["heatmap"].max() < 0.2


def test_layout_is_that_of_the_published_graph() -> None:
    folder = pulled("picodet-layout")
    page = Image.new("RGB", (760, 1000), "white")
    page.paste(squash(load_rgb(photo("page.png")), 700, 348), (30, 80))
    page.paste(squash(load_rgb(photo("coffee.png")), 400, 266), (180, 480))
    ImageDraw.Draw(page).text((250, 760), "Figure 1: a cup of coffee", fill="black", font_size=20)
    page = squash(page, 608, 800)
    image = pixels(page, [0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255], bgr=True)
    got = GraphSession(folder / "model.onnx").run(pixel_values=image)
    wanted = GraphSession(published_weights("picodet-layout")).run(image=image)
    assert list(got) == [f"{kind}_{stride}" for kind in ("cls", "reg") for stride in (8, 16, 32, 64)]
    for name, values in zip(got, wanted.values(), strict=True):
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    labels = json.loads((folder / "config.json").read_text())["id2label"]
    best = np.concatenate([got[f"cls_{stride}"][0] for stride in (8, 16, 32, 64)]).max(axis=0)
    found = {labels[str(index)] for index in np.flatnonzero(best > 0.5)}
    # It calls the heading a header as well as a title; its card says that it gives two names now and then.
    assert {"text", "figure", "figure_caption"} <= found <= {"text", "figure", "figure_caption", "title", "header"}


def test_characters_read_a_line_of_the_scan() -> None:
    folder = pulled("pp-ocrv6-small")
    assert (folder / "recognition.onnx").read_bytes() == published_weights("pp-ocrv6-small").read_bytes()
    content = (folder / "characters.txt").read_bytes().decode()
    classes = ["", *content.split("\n")[:-1], " "]
    assert len(classes) == 18710
    line = load_rgb(photo("page.png")).crop((0, 42, 384, 62))
    image = pixels(squash(line, 922, 48), [127.5] * 3, [127.5] * 3, bgr=True)
    (scores,) = GraphSession(folder / "recognition.onnx").run(x=image).values()
    best = scores[0].argmax(axis=1)
    kept = [index for place, index in enumerate(best) if index and (place == 0 or index != best[place - 1])]
    assert "".join(classes[index] for index in kept) == "Let us first determine markers of the coins and the"


def test_settings_of_the_text_reader_fit_its_graphs() -> None:
    settings = json.loads((pulled("pp-ocrv6-small") / "config.json").read_text())["trivium"]
    assert (settings["recognition"]["height"], settings["orientation"]["width"]) == (48, 192)
    assert settings["detection"]["multiple"] == 32


@pytest.mark.parametrize(
    ("export", "others"),
    [
        (export_centerface, ("picodet-layout", "pp-ocrv6-small")),
        (export_picodet, ("centerface", "pp-ocrv6-small")),
        (export_pp_ocr, ("centerface", "picodet-layout")),
    ],
)
def test_another_graph_is_refused(
    tmp_path: Path, export: Callable[[Path, Path], None], others: tuple[str, ...]
) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"\x08\xff")
    for other in (*(published_weights(name) for name in others), tmp_path / "damaged.onnx"):
        with pytest.raises(InvalidModelError):
            export(other, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.onnx"]
