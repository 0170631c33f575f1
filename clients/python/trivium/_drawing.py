"""Pictures with what was found in them. Needs Pillow; imported where a result is drawn."""

import math
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw

from trivium._canvas import Canvas, Pixel, letter_height
from trivium._fonts import Font, font_for
from trivium._pictures import open_picture
from trivium._text_panel import text_panel
from trivium.vision import (
    BoundingBox,
    DetectedFaces,
    DetectedObjects,
    ImageLabels,
    ImagePoint,
    RecognizedText,
    TextLine,
)

_SMALL = 640
"""An image whose sides are all below it is enlarged, so that labels fit."""

_CAPTION_LABELS = 5

_SPARSE = 0.05
"""Text on less than this part of an image is a sign in a scene, and not a page."""


def draw(sent: bytes, outcomes: Iterable[object]) -> Image.Image:
    """Returns the upright image of a file with outcomes drawn into it, RGB; an outcome without a place is left out.

    Raises LookupError for an empty file, OSError for one that Pillow cannot read.
    """
    if not sent:
        raise LookupError("the stream did not keep this frame, so there is nothing to draw on")
    picture = _enlarged(open_picture(sent))
    canvas, captions, panels = Canvas(picture), [], []
    for outcome in outcomes:
        match outcome:
            case ImageLabels():
                captions += [f"{entry.label} {entry.score:.2f}" for entry in outcome.labels[:_CAPTION_LABELS]]
            case DetectedObjects():
                _draw_objects(canvas, outcome)
            case DetectedFaces():
                _draw_faces(canvas, outcome)
            case RecognizedText() if _covered(outcome.lines) < _SPARSE:
                _label_lines(canvas, outcome)
            case RecognizedText():
                _tint_lines(canvas, outcome)
                panels.append(text_panel(picture.size, outcome.lines))
    canvas.finish()
    whole = _side_by_side([picture, *panels])
    return _captioned(whole, captions, letter_height(picture.size)) if captions else whole


def _enlarged(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest >= _SMALL:
        return picture
    factor = math.ceil(_SMALL / longest)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)


def _draw_objects(canvas: Canvas, found: DetectedObjects) -> None:
    for entry in sorted(found.objects, key=lambda entry: _area(entry.box), reverse=True):  # small ones stay visible
        canvas.outline(_corners(entry.box, canvas.size), entry.label, f"{entry.label} {entry.score:.2f}")


def _draw_faces(canvas: Canvas, found: DetectedFaces) -> None:
    for face in found.faces:
        canvas.outline(_corners(face.box, canvas.size), "face", f"face {face.score:.2f}")
        for landmark in face.landmarks:
            canvas.dot(landmark.point.pixels(canvas.size), "face")


def _covered(lines: Iterable[TextLine]) -> float:
    """Returns which part of the image lines take, as if none overlapped."""
    return sum(_polygon_area(line.polygon) for line in lines)


def _polygon_area(polygon: Sequence[ImagePoint]) -> float:
    """Source: the shoelace formula."""
    pairs = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return abs(sum(one.x * other.y - other.x * one.y for one, other in pairs)) / 2


def _label_lines(canvas: Canvas, found: RecognizedText) -> None:
    for line in found.lines:
        canvas.outline(_pixels(line.polygon, canvas.size), "text", f"{line.text} {line.score:.2f}")


def _tint_lines(canvas: Canvas, found: RecognizedText) -> None:
    for line in found.lines:
        block = f"block {line.block_index}"
        for part in line.words or (line,):
            canvas.tint(_pixels(part.polygon, canvas.size), block)


def _area(box: BoundingBox) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


def _corners(box: BoundingBox, size: tuple[int, int]) -> list[Pixel]:
    left, top, right, bottom = box.pixels(size)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _pixels(polygon: Sequence[ImagePoint], size: tuple[int, int]) -> list[Pixel]:
    return [point.pixels(size) for point in polygon]


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    if len(pictures) == 1:
        return pictures[0]
    whole = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    return whole


def _captioned(picture: Image.Image, captions: Sequence[str], letters: int) -> Image.Image:
    """Returns the picture with a black band below it, which has the captions one after the other."""
    font, row_height = font_for("".join(captions), letters), 1.5 * letters
    rows = _wrapped(captions, font, picture.width - letters)
    whole = Image.new("RGB", (picture.width, picture.height + math.ceil(row_height * len(rows))))
    whole.paste(picture)
    pen = ImageDraw.Draw(whole)
    for number, row in enumerate(rows):
        pen.text((letters / 2, picture.height + (number + 0.5) * row_height), row, "white", font, anchor="lm")
    return whole


def _wrapped(captions: Sequence[str], font: Font, width: float) -> list[str]:
    rows = [captions[0]]
    for caption in captions[1:]:
        longer = f"{rows[-1]}   {caption}"
        if font.getlength(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(caption)
    return rows
