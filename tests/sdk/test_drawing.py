"""Drawn results: where ink is, what differs, and sizes; looked at pixel by pixel."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.sdk.vision_script import label
from trivium import _vision_calls, vision
from trivium._canvas import Canvas
from trivium.v1 import vision_pb2

GREY = 128


def sent(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), GREY).save(file, "PNG")
    return file.getvalue()


def analysis(
    size: tuple[int, int], features: Sequence[vision.Feature], results: Sequence[vision_pb2.VisionResult]
) -> vision.ImageAnalysis:
    raw = vision_pb2.AnalyzeImageResponse(
        image=vision_pb2.ImageInfo(width_pixels=size[0], height_pixels=size[1]), results=results
    )
    for index, result in enumerate(raw.results):
        result.feature_index = index
    return _vision_calls.analyze(sent(*size), features, "r").parse(raw)


def things(*found: tuple[str, tuple[float, float, float, float]]) -> vision_pb2.VisionResult:
    made = vision_pb2.VisionResult(detection=vision_pb2.DetectedObjects())
    for name, (left, top, right, bottom) in found:
        box = vision_pb2.BoundingBox(left=left, top=top, right=right, bottom=bottom)
        made.detection.objects.append(vision_pb2.DetectedObject(label=label(name, 0.5), box=box))
    return made


def lines(*found: tuple[str, Sequence[tuple[float, float]]]) -> vision_pb2.VisionResult:
    made = vision_pb2.VisionResult(text_recognition=vision_pb2.RecognizedText())
    for text, corners in found:
        polygon = [vision_pb2.NormalizedPoint(x=x, y=y) for x, y in corners]
        made.text_recognition.lines.append(vision_pb2.TextLine(text=text, score=0.9, polygon=polygon))
    return made


def rectangle(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ink(picture: Image.Image, ground: int = GREY) -> NDArray[np.bool_]:
    marks: NDArray[np.bool_] = (np.asarray(picture) != ground).any(axis=2)
    return marks


def test_box_is_drawn_where_it_is() -> None:
    drawn = analysis((1000, 800), [vision.DetectObjects()], [things(("cat", (0.2, 0.25, 0.6, 0.75)))]).draw()
    assert (drawn.size, drawn.mode) == ((1000, 800), "RGB")
    marks = ink(drawn)
    assert marks[200, 200:600].all()
    assert marks[600, 200:600].all()
    assert marks[200:600, 200].all()
    assert marks[200:600, 600].all()
    assert not marks[220:580, 220:580].any()
    outside = marks.copy()
    outside[165:610, 190:610] = False  # the box with its line, and the label above it
    assert not outside.any()


def test_labels_differ_in_colour_and_objects_of_one_share_it() -> None:
    found = [(f"kind {number % 12}", (0.0, number / 13, 0.1, (number + 1) / 13)) for number in range(13)]
    canvas = Canvas(Image.new("RGB", (100, 100)))
    colours = [np.array(canvas.colour(name), int) for name, _ in found]
    assert np.array_equal(colours[0], colours[12])
    apart = [np.abs(one - other).sum() for at, one in enumerate(colours[:12]) for other in colours[:at]]
    assert min(apart) > 60


def test_labels_do_not_cover_one_another() -> None:
    canvas = Canvas(Image.new("RGB", (1000, 1000)))
    for name in ("cat", "dog", "cow", "owl"):
        canvas.outline([(300, 300), (700, 300), (700, 700), (300, 700)], name, name)
    canvas.finish()
    taken = canvas._taken
    assert len(taken) == 4
    for at, (left, top, right, bottom) in enumerate(taken):
        for other in taken[:at]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (0.99, 0.0, 1.0, 0.01), (0.5, 0.5, 0.5, 0.5), (0.9, 0.95, 1.0, 1.0)])
def test_labels_stay_inside(box: tuple[float, float, float, float]) -> None:
    canvas = Canvas(Image.new("RGB", (800, 600)))
    left, top, right, bottom = (round(value * scale) for value, scale in zip(box, (800, 600, 800, 600), strict=True))
    canvas.outline([(left, top), (right, top), (right, bottom), (left, bottom)], "k", "a label")
    canvas.finish()
    ((left_edge, top_edge, right_edge, bottom_edge),) = canvas._taken
    assert 0 <= left_edge < right_edge <= 800
    assert 0 <= top_edge < bottom_edge <= 600


def test_letters_grow_with_the_picture() -> None:
    heights = []
    for side in (640, 1280, 2560):
        canvas = Canvas(Image.new("RGB", (side, side)))
        heights.append(canvas._measure("x")[1])
    assert heights[0] * 1.5 < heights[1] < heights[2] / 1.5


def test_small_picture_is_enlarged() -> None:
    drawn = analysis((200, 100), [vision.DetectObjects()], [things(("cat", (0.5, 0.5, 1, 1)))]).draw()
    assert drawn.size == (800, 400)
    assert ink(drawn)[200, 400:796].all()


def test_read_text_stands_beside_the_image() -> None:
    asked, box = [vision.ReadText()], rectangle(0.1, 0.4, 0.9, 0.5)
    drawn = analysis((1000, 500), asked, [lines(("What is written here", box))]).draw()
    assert drawn.size == (2000, 500)
    image, panel = np.asarray(drawn)[:, :1000], np.asarray(drawn)[:, 1000:]
    assert (image[200, 100:900] != GREY).any(axis=1).all()
    written = (panel != 255).any(axis=2)
    rows, columns = np.nonzero(written)
    assert 190 <= rows.min() <= rows.max() <= 260
    assert 100 <= columns.min() <= columns.max() <= 910
    for found in ([], [("a sign", rectangle(0.1, 0.4, 0.3, 0.5))]):  # no page, no panel
        assert analysis((1000, 500), asked, [lines(*found)]).draw().size == (1000, 500)


def test_turned_text_is_written_turned() -> None:
    upwards = [(0.2, 0.9), (0.2, 0.1), (0.3, 0.1), (0.3, 0.9)]
    drawn = analysis((800, 800), [vision.ReadText()], [lines(("upwards", upwards))]).draw()
    rows, columns = np.nonzero((np.asarray(drawn)[:, 800:] != 255).any(axis=2))
    assert rows.max() - rows.min() > 2 * (columns.max() - columns.min())


@pytest.mark.parametrize("text", ["", " ", "漢字かな", "\U0001f600", "a\nb", "ظهر", "x" * 500])
def test_any_text_can_be_drawn(text: str) -> None:
    box = rectangle(0.1, 0.4, 0.9, 0.5)
    analysis((700, 300), [vision.ReadText()], [lines((text, box))]).draw()
    analysis((700, 300), [vision.DetectObjects()], [things((text, (0.1, 0.1, 0.5, 0.5)))]).draw()


def test_labels_and_faces_are_drawn() -> None:
    labels = vision_pb2.VisionResult(classification=vision_pb2.ImageLabels(labels=[label("tabby", 0.75)]))
    nose = vision_pb2.FaceLandmark(name="nose", point=vision_pb2.NormalizedPoint(x=0.5, y=0.5))
    face = vision_pb2.DetectedFace(
        box=vision_pb2.BoundingBox(left=0.4, top=0.4, right=0.6, bottom=0.6), score=0.9, landmarks=[nose]
    )
    faces = vision_pb2.VisionResult(faces=vision_pb2.DetectedFaces(faces=[face]))
    made = analysis((800, 800), [vision.ClassifyImage(), vision.DetectFaces()], [labels, faces])
    marks = ink(made.draw())
    assert made.draw().height > 800  # the band with the label
    assert marks[800:, :100].any()
    assert marks[400, 400]  # the nose
    assert made.classification.draw().height > made.faces.draw().height == 800
    assert not ink(made.classification.draw())[:800].any()


def test_frame_that_was_not_kept_cannot_be_drawn() -> None:
    frame = vision.FrameAnalysis(
        frame_number=0,
        media_time_s=None,
        dropped_before=0,
        image=None,
        results=(),
        error=None,
        sent=b"",
        raw=vision_pb2.FrameResult(),
    )
    with pytest.raises(LookupError, match="did not keep"):
        frame.draw()
