"""Models that read what is written in an image: PP-OCR."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.image.base import cost_of
from trivium_server.architectures.image.graph import open_graph
from trivium_server.architectures.image.runner import ImageCall, ImageRunner, ImageWork
from trivium_server.architectures.image.text_folder import TextFolder, read_text_folder
from trivium_server.architectures.image.text_graphs import LineDetector, LineOrientation, LineRecognizer
from trivium_server.architectures.vision_capabilities import (
    FoundLine,
    FoundText,
    FoundWord,
    Image,
    Point,
    Quad,
    VisionMeter,
)
from trivium_server.config import Config, ImagesConfig
from trivium_server.runtime.batcher import BatcherStats
from trivium_server.runtime.workload import Workload
from trivium_server.vision.layout import PlacedLine, ReadLine, arranged, reading_order
from trivium_server.vision.text_regions import line_size, turned, turned_round, upward
from trivium_server.vision.text_search import TextSearch
from trivium_server.vision.words import words_of

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# What a pixel of a line costs the recognizer, in pixels of the detector (measured for PP-OCRv6 small).
_READING = 6
# A page with some lines; calls that ask for no more at a time go ahead of dense pages.
_USUAL_COST = 2000
# A line that is longer, for its height, counts as several: some 60 characters.
_COUNTED_RATIO = 32
# Lines that say which way up a page is, and how sure they are when they agree.
_NUM_ASKED = 12
_SURE = 0.15
# By how much a line must be read better to be taken to be the other way up than the rest of the page.
_MUCH_BETTER = 0.1


@dataclass(frozen=True, slots=True)
class _Way:
    """A line's quad from the corner where its text begins. is_doubtful: that may be the opposite one."""

    quad: Floats
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Lines that run along one axis, and how likely the longest of them are upside down."""

    quads: Sequence[Floats]
    share_down: float

    @property
    def is_down(self) -> bool:
        return self.share_down > 1 / 2

    @property
    def is_doubted(self) -> bool:
        return min(self.share_down, 1 - self.share_down) > _SURE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Oriented:
    """A line of a group: its quad as it was found, and from where its text begins if it is as its group is."""

    group: _Group
    as_found: Floats
    quad: Floats


_T = TypeVar("_T")

# A line's quad, and what the recognizer is to see of it.
_Seen: TypeAlias = tuple[Floats, list[Floats]]


class PageReader:
    """Implements capabilities.ServedModel and vision_capabilities.TextReader.

    Each look at a page and each line is a run of its own, in the same queue for all callers: their lines take turns.
    """

    def __init__(
        self,
        name: str,
        folder: TextFolder,
        *,
        detector: LineDetector,
        orientation: LineOrientation | None,
        recognizer: LineRecognizer,
        execution_provider: str,
        config: ImagesConfig,
    ) -> None:
        """name: the model's. orientation: None where text is always upright."""
        self.execution_provider = execution_provider
        self.enough_side: int | None = None
        self.default_min_line_score = folder.min_score
        self._folder = folder
        self._detector = detector
        self._orientation = orientation
        self._recognizer = recognizer
        self._max_lines = config.max_lines
        self._runner = ImageRunner(
            model=name, usual_cost=_USUAL_COST, num_runners=config.runners, max_callers=config.max_callers
        )

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry: what waits and runs."""
        return self._runner.stats

    @property
    def workload(self) -> Workload:
        return self._runner.workload

    async def warm_up(self) -> None:
        """Raises SessionError."""
        await self._runner.start(lambda: None)  # loading tried each graph

    async def close(self, grace_s: float) -> None:
        await self._runner.close(grace_s)

    async def read_text(
        self, image: Image, *, min_score: float, with_words: bool, deadline_s: float, meter: VisionMeter
    ) -> FoundText:
        pixels = image.pixels
        with self._runner.call(deadline_s, meter) as call:
            search = await self._find(call, pixels)
            ways = await self._right_way_up(call, pixels, search.lines)
            read = await call.all(self._works_of_reading(pixels, ways))
            lines = [line for line in read if line.reading.text and line.reading.score >= min_score]
            found: Sequence[FoundLine] = []
            if lines:
                found = await call.run(_work(lambda: _found(arranged(lines), pixels, with_words=with_words)))
            return FoundText(lines=found, num_left_out=len(search.lines) - len(ways), is_too_fine=search.is_too_fine)

    async def _find(self, call: ImageCall, pixels: Pixels) -> TextSearch:
        """Returns a search that is over: it has the quads of all lines, as if they were upright."""
        searches: list[TextSearch] = []
        settings = self._folder.search

        def prepare() -> Floats | None:
            if not searches:
                searches.append(TextSearch(pixels, settings))
            look = searches[0].next_look()
            return None if look is None else self._detector.prepare(pixels, look)

        def infer(prepared: Floats | None) -> bool:
            if prepared is None:
                return False
            searches[0].found(self._detector.infer(prepared))
            return searches[0].next_look() is not None

        cost = cost_of(min(settings.first_pixels, pixels.shape[0] * pixels.shape[1]))
        while await call.run(ImageWork(prepare=prepare, infer=infer, cost=cost)):
            look = searches[0].next_look()
            cost = cost_of(look.num_pixels) if look is not None else 1
        return searches[0]

    async def _right_way_up(self, call: ImageCall, pixels: Pixels, quads: Sequence[Floats]) -> list[_Way]:
        """Returns from where each line is read; the first ones in reading order where they are too many.

        Lines that run along one axis are taken to be as the longest of them are. Where these do not agree, a line that
        seems to be otherwise is doubtful.
        """
        if not quads:
            return []
        groups = [
            _Group(quads=group, share_down=await self._share_upside_down(call, pixels, group))
            for group in await call.run(_work(lambda: _by_axis(quads)))
        ]
        lines = await call.run(_work(lambda: _first(groups, self._max_lines)))
        doubted = [line for line in lines if line.group.is_doubted]
        chances = await self._chances_upside_down(call, pixels, [line.as_found for line in doubted])
        otherwise = {
            id(line)
            for line, chance in zip(doubted, chances, strict=True)
            if (chance >= self._folder.turn_threshold) is not line.group.is_down
        }
        return [_Way(line.quad, id(line) in otherwise) for line in lines]

    async def _share_upside_down(self, call: ImageCall, pixels: Pixels, quads: Sequence[Floats]) -> float:
        """Says how likely lines that run along one axis are upside down, by the longest, which come first."""
        if self._orientation is None:
            return 0.0
        longest = quads[:_NUM_ASKED]
        chances = await self._chances_upside_down(call, pixels, longest)
        return float(np.average(chances, weights=[max(1.0, line_size(quad)[0]) for quad in longest]))

    async def _chances_upside_down(self, call: ImageCall, pixels: Pixels, quads: Sequence[Floats]) -> list[float]:
        orientation = self._orientation
        if orientation is None:
            return []
        width, height = self._folder.orientation_size
        # In short runs, so that little is done for a call that has ended.
        parts = [quads[start : start + _NUM_ASKED] for start in range(0, len(quads), _NUM_ASKED)]
        works = [
            ImageWork(
                prepare=functools.partial(orientation.prepare, pixels, part),
                infer=orientation.infer,
                cost=cost_of(width * height * len(part)),
            )
            for part in parts
        ]
        return [chance for chances in await call.all(works) for chance in chances] if works else []

    def _works_of_reading(self, pixels: Pixels, ways: Sequence[_Way]) -> Iterator[ImageWork[list[_Seen], ReadLine]]:
        for way in ways:
            width = self._recognizer.width(*line_size(way.quad))
            yield ImageWork(
                prepare=functools.partial(self._prepare_line, pixels, way),
                infer=self._read_line,
                cost=_READING * cost_of(width * self._folder.line_height) * (1 + way.is_doubtful),
            )

    def _prepare_line(self, pixels: Pixels, way: _Way) -> list[_Seen]:
        quads = [way.quad, turned_round(way.quad)] if way.is_doubtful else [way.quad]
        return [(quad, self._recognizer.prepare(pixels, quad)) for quad in quads]

    def _read_line(self, seen: Sequence[_Seen]) -> ReadLine:
        """Reads a line; one that was seen both ways up the way of which more can be made."""
        lines = [ReadLine(quad=quad, reading=self._recognizer.infer(prepared)) for quad, prepared in seen]
        return max(enumerate(lines), key=lambda each: each[1].reading.score - _MUCH_BETTER * each[0])[1]


def load(folder: Path, config: Config, progress: Callable[[float], None]) -> PageReader:
    """Loads a model folder; takes seconds, so call it off the event loop. progress: called with 0 to 1.

    Raises ModelFolderError and SessionError with what is wrong.
    """
    description = read_text_folder(folder)
    detection = open_graph(description.detection, config)
    progress(0.4)
    recognition = open_graph(description.recognition, config)
    progress(0.8)
    orientation = open_graph(description.orientation, config) if description.orientation is not None else None
    model = PageReader(
        folder.name,
        description,
        detector=LineDetector(detection, description),
        orientation=LineOrientation(orientation, description) if orientation is not None else None,
        recognizer=LineRecognizer(recognition, description),
        execution_provider=detection.execution_provider,
        config=config.images,
    )
    progress(1.0)
    return model


def _work(do: Callable[[], _T]) -> ImageWork[None, _T]:
    """Returns work of numbers alone: on a page of many lines it takes longer than the event loop may be held."""
    return ImageWork(prepare=lambda: None, infer=lambda _: do(), cost=1)


def _by_axis(quads: Sequence[Floats]) -> list[list[Floats]]:
    """Returns the lines that run upwards or downwards, as if upwards, and those that run along; the longest first.

    None of the two is empty.
    """
    groups: dict[bool, list[Floats]] = {True: [], False: []}
    for quad, is_turned in zip(quads, turned(quads), strict=True):
        groups[is_turned].append(upward(quad) if is_turned else quad)
    return [sorted(group, key=lambda quad: -line_size(quad)[0]) for group in groups.values() if group]


def _first(groups: Sequence[_Group], most: int) -> list[_Oriented]:
    """Returns the lines of all groups; where they count as more than so many, the first ones in reading order."""
    lines = [
        _Oriented(group=group, as_found=quad, quad=turned_round(quad) if group.is_down else quad)
        for group in groups
        for quad in group.quads
    ]
    counts = [_count(line.quad) for line in lines]
    if sum(counts) <= most:
        return lines
    order = reading_order([line.quad for line in lines])
    so_far = np.cumsum([counts[place] for place in order])
    return [lines[place] for place in order[: max(1, int(np.searchsorted(so_far, most, side="right")))]]


def _count(quad: Floats) -> int:
    """Returns as how many lines one counts: reading takes time by its length in heights."""
    width, height = line_size(quad)
    return max(1, math.ceil(width / max(1.0, height) / _COUNTED_RATIO))


def _found(placed: Sequence[PlacedLine], pixels: Pixels, *, with_words: bool) -> list[FoundLine]:
    size = np.array(pixels.shape[1::-1], np.float32)
    return [
        FoundLine(
            text=each.line.reading.text,
            score=min(1.0, each.line.reading.score),
            quad=_fractions(each.line.quad, size),
            block=each.block,
            words=tuple(
                FoundWord(text=word.text, score=min(1.0, word.score), quad=_fractions(word.quad, size))
                for word in (words_of(each.line) if with_words else ())
            ),
        )
        for each in placed
    ]


def _fractions(quad: Floats, size: Floats) -> Quad:
    first, second, third, fourth = (Point(float(x), float(y)) for x, y in np.clip(quad / size, 0, 1))
    return first, second, third, fourth
