"""The three graphs of a model that reads text: finds lines, says which way up they are, reads them.

Each has `prepare`, from pixels of a page to the graph's input, and `infer`, from there to what it means. Both may be
called concurrently; infer raises SessionError and NotFiniteError.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.image.graph import ImageGraph
from trivium_server.architectures.image.text_folder import InputNumbers, TextFolder
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.numerics import finite
from trivium_server.vision.ctc import Reading, decode, joined
from trivium_server.vision.resizing import normalized
from trivium_server.vision.text_regions import cut_out, find_regions
from trivium_server.vision.text_search import Look

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# The recognizer's input is at least so wide for its height, and a longer line is read in pieces: memory and time of a
# run grow with it.
_LEAST_RATIO, _MOST_RATIO = 0.5, 64
_WIDTH_STEP = 8
# A line this much higher than the input is made smaller by averaging.
_AVERAGED_FROM = 1.5
_TRIAL_SIDE = 64


class LineDetector:
    """Finds lines."""

    def __init__(self, graph: ImageGraph, folder: TextFolder) -> None:
        """Raises ModelFolderError for a graph that puts out no map."""
        self._graph = graph
        self._folder = folder
        side = -(-_TRIAL_SIDE // folder.multiple) * folder.multiple
        self._output = _only_output(graph, side, side, wanted=(1, 1, side, side))

    def prepare(self, pixels: Pixels, look: Look) -> Floats:
        """Returns what a look at a page is to see, shape (1, 3, height, width)."""
        seen = look.bands.of(pixels)
        width, height = look.size
        how = cv2.INTER_AREA if look.scale < 1 else cv2.INTER_LINEAR
        if (width, height) != (seen.shape[1], seen.shape[0]):
            seen = np.asarray(cv2.resize(seen, (width, height), interpolation=how), np.uint8)
        right, bottom = -width % self._folder.multiple, -height % self._folder.multiple
        seen = np.asarray(cv2.copyMakeBorder(seen, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        return _input(seen, self._folder.detection_numbers)

    def infer(self, prepared: Floats) -> list[Floats]:
        """Returns the quads of the lines, in pixels of the input."""
        probabilities = self._graph.run(prepared, [self._output])[self._output]
        return find_regions(finite(probabilities)[0, 0], self._folder.regions)


class LineOrientation:
    """Says how likely lines are upside down."""

    def __init__(self, graph: ImageGraph, folder: TextFolder) -> None:
        """Raises ModelFolderError for a graph that does not tell two ways up."""
        self._graph = graph
        self._folder = folder
        self._output = _only_output(graph, *folder.orientation_size, wanted=(1, 2))

    def prepare(self, pixels: Pixels, quads: Sequence[Floats]) -> list[Floats]:
        """Returns an input for each line: its beginning, as far as it fits."""
        width, height = self._folder.orientation_size
        beginnings = [_scaled(cut_out(pixels, quad), height)[:, :width] for quad in quads]
        return [_padded(_input(seen, self._folder.orientation_numbers), width) for seen in beginnings]

    def infer(self, prepared: Sequence[Floats]) -> list[float]:
        """Returns for each line the probability that it is upside down."""
        return [float(finite(self._graph.run(each, [self._output])[self._output])[0, 1]) for each in prepared]


class LineRecognizer:
    """Reads lines."""

    def __init__(self, graph: ImageGraph, folder: TextFolder) -> None:
        """Raises ModelFolderError for a graph that knows another number of characters than the folder."""
        self._graph = graph
        self._folder = folder
        width = folder.line_height * 4
        self._output = _only_output(graph, width, folder.line_height, wanted=(1, None, len(folder.characters)))

    def width(self, line_width: float, line_height: float) -> int:
        """Returns the width of the input for a line of that size."""
        ratio = max(_LEAST_RATIO, line_width / max(1.0, line_height))
        return -(-round(self._folder.line_height * ratio) // _WIDTH_STEP) * _WIDTH_STEP

    def prepare(self, pixels: Pixels, quad: Floats) -> list[Floats]:
        """Returns the inputs for the pieces of a line, mostly one."""
        height = self._folder.line_height
        seen = _scaled(cut_out(pixels, quad), height)
        cuts = _cuts(seen, _MOST_RATIO * height)
        pieces = [seen[:, start:end] for start, end in itertools.pairwise(cuts)]
        return [
            _padded(_input(piece, self._folder.recognition_numbers), self.width(piece.shape[1], height))
            for piece in pieces
        ]

    def infer(self, prepared: Sequence[Floats]) -> Reading:
        """Returns what the line says."""
        # The classes are many: the probabilities of one piece are dropped before the next is read.
        readings = [
            decode(self._graph.run(each, [self._output])[self._output][0], self._folder.characters) for each in prepared
        ]
        return readings[0] if len(readings) == 1 else joined(readings, [each.shape[3] for each in prepared])


def _only_output(graph: ImageGraph, width: int, height: int, *, wanted: tuple[int | None, ...]) -> str:
    outputs = graph.trial(width, height)
    if len(outputs) != 1:
        raise ModelFolderError(f"{graph.file}: must have one output; it has {', '.join(outputs) or 'none'}")
    ((name, array),) = outputs.items()
    fits = len(array.shape) == len(wanted) and all(
        want in {None, have} for want, have in zip(wanted, array.shape, strict=False)
    )
    if not fits:
        shape = ", ".join("any" if side is None else str(side) for side in wanted)
        raise ModelFolderError(
            f"{graph.file}: output {name} must have the shape ({shape}) for an image of {width}x{height}; it has "
            f"{array.shape}"
        )
    return name


def _input(pixels: Pixels, numbers: InputNumbers) -> Floats:
    return normalized(pixels, scale=numbers.scale, offset=numbers.offset, bgr=numbers.is_bgr)


def _scaled(line: Pixels, height: int) -> Pixels:
    """Returns a line at this height, its proportions kept."""
    own_height, own_width = line.shape[:2]
    width = max(1, round(own_width * height / own_height))
    how = cv2.INTER_AREA if own_height > _AVERAGED_FROM * height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(line, (width, height), interpolation=how), np.uint8)


def _padded(prepared: Floats, width: int) -> Floats:
    """Fills up to a width with zeros, which is grey, as the graphs were trained."""
    missing = width - prepared.shape[3]
    return prepared if missing <= 0 else np.pad(prepared, ((0, 0), (0, 0), (0, 0), (0, missing)))


def _cuts(line: Pixels, most: int) -> list[int]:
    """Returns where to cut a line into pieces of at most that width: where it is most alike from top to bottom."""
    width = line.shape[1]
    num_pieces = -(-width // most)
    cuts = [0]
    for number in range(1, num_pieces):
        middle, reach = width * number // num_pieces, most // 8
        near = line[:, middle - reach : middle + reach].astype(np.float32)
        cuts.append(middle - reach + int(near.std(axis=0).sum(axis=1).argmin()))
    return [*cuts, width]
