"""What was found in images, as tables for people and as JSON."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivium.cli._reporting import one_line, plain
from trivium.vision import (
    BoundingBox,
    DetectedFaces,
    DetectedObjects,
    ImageAnalysis,
    ImageEmbedding,
    ImageInfo,
    ImageLabels,
    ImagePoint,
    Outcome,
    RecognizedText,
)

_Row = tuple[str, float | None, str, tuple[int, int, int, int] | None]  # feature, score, what, where
_SHOWN_NUMBERS = 4
_ROOM = 100_000  # columns


def print_analysis(name: str, analysis: ImageAnalysis) -> None:
    """Prints a heading with the size of the image, and a row for everything that was found, places in pixels."""
    console = _console()
    console.print(Text(f"{one_line(name)}  {_image_line(analysis.image)}", style="bold"))
    table = _table(("FEATURE", "SCORE", "WHAT"))
    for result in analysis.results:
        if result.outcome is not None:
            _add(table, list(_rows(result.outcome)))
    console.print(table)


def print_words(text: RecognizedText) -> None:
    """Prints a row for each word, with its place in pixels."""
    console = _console()
    table = _table(("LINE", "SCORE", "WORD"))
    for number, line in enumerate(text.lines, start=1):
        _add(table, [(str(number), word.score, word.text, _bounds(word.polygon, text.image)) for word in line.words])
    console.print(table)


def _console() -> Console:
    """A terminal folds long texts; a file or a pipe has room for any."""
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = _ROOM
    return console


def _image_line(image: ImageInfo) -> str:
    turned = ", turned upright" if image.orientation_applied else ""
    return f"{image.width} x {image.height}, {image.mime_type}{turned}"


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading == "SCORE" else "left", overflow="fold")
    for heading in ("LEFT", "TOP", "RIGHT", "BOTTOM"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    return table


def _add(table: Table, rows: Sequence[_Row]) -> None:
    for feature, score, what, where in rows:
        places = [str(value) for value in where or ()]
        table.add_row(feature, "" if score is None else f"{score:.4f}", Text(one_line(what)), *places)


def _rows(outcome: Outcome) -> Iterator[_Row]:
    match outcome:
        case ImageLabels():
            found: list[_Row] = [("classify", entry.score, entry.label, None) for entry in outcome.labels]
        case DetectedObjects():
            found = [("detect", entry.score, entry.label, _box(entry.box, outcome.image)) for entry in outcome.objects]
        case DetectedFaces():
            found = [("faces", face.score, "face", _box(face.box, outcome.image)) for face in outcome.faces]
        case RecognizedText():
            found = [("read", line.score, line.text, _bounds(line.polygon, outcome.image)) for line in outcome.lines]
        case ImageEmbedding():
            shown = " ".join(f"{value:.4f}" for value in outcome.vector[:_SHOWN_NUMBERS].tolist())
            found = [("embed", None, f"{outcome.vector.size} numbers: {shown} …", None)]
    yield from found or [(feature_name(outcome), None, "(nothing)", None)]


def feature_name(outcome: Outcome) -> str:
    """Returns what a feature is called on the command line, by its outcome."""
    match outcome:
        case ImageLabels():
            return "classify"
        case DetectedObjects():
            return "detect"
        case DetectedFaces():
            return "faces"
        case RecognizedText():
            return "read"
        case ImageEmbedding():
            return "embed"


def _box(box: BoundingBox, image: ImageInfo) -> tuple[int, int, int, int]:
    return box.pixels(image)


def _bounds(polygon: Sequence[ImagePoint], image: ImageInfo) -> tuple[int, int, int, int] | None:
    """The upright rectangle around a polygon."""
    if not polygon:
        return None
    xs, ys = [point.x for point in polygon], [point.y for point in polygon]
    return BoundingBox(left=min(xs), top=min(ys), right=max(xs), bottom=max(ys)).pixels(image)


def analysis_json(name: str, analysis: ImageAnalysis) -> dict[str, object]:
    """Returns an analysis as what JSON knows. Places are fractions of width and height."""
    return {
        "file": name,
        "image": plain(analysis.image),
        "results": [
            {
                "model": result.model.name if result.model else None,
                "error": plain(result.error),
                **(outcome_json(result.outcome) if result.outcome else {}),
            }
            for result in analysis.results
        ],
    }


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """Returns an outcome as what JSON knows, with the name of its feature."""
    found: dict[str, object]
    match outcome:
        case ImageLabels():
            found = {"score_scale": outcome.score_scale, "labels": outcome.labels}
        case DetectedObjects():
            found = {"objects": outcome.objects}
        case DetectedFaces():
            found = {"faces": outcome.faces}
        case RecognizedText():
            found = {"text": outcome.text, "lines": outcome.lines}
        case ImageEmbedding():
            found = {"vector": outcome.vector.tolist()}
    return {"feature": feature_name(outcome)} | {key: plain(value) for key, value in found.items()}
