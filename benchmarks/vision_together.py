"""Four features of an image in one call, against a call for each."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.report import Table, paired, spread
from benchmarks.vision_client import Asked, Done, closed_loop, request
from benchmarks.vision_contenders import Served, awake
from benchmarks.vision_images import Pictures

_SETS = (
    ("classification", "detection", "faces", "embedding"),
    ("classification", "detection", "faces", "text recognition"),
)
_ONE, _AT_ONCE, _IN_TURN = "one call", "four calls at once", "four calls in turn"
_WAYS = (_ONE, _AT_ONCE, _IN_TURN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One burst of a single caller. durations_s: of each image, until it has all four answers."""

    features: str
    picture: str
    way: str
    round: int
    count: int
    cpu_s: float
    durations_s: list[float]

    @property
    def core_ms(self) -> float:
        """Processor time of the server for an image."""
        return 1000 * self.cpu_s / self.count

    @property
    def latency_ms(self) -> float:
        return 1000 * median(self.durations_s)


class Together:
    """Measures round by round; the order of the ways rotates."""

    def __init__(self, ours: Served, pictures: Pictures, *, burst_s: float) -> None:
        """burst_s: about how long a burst is to take."""
        self._ours = ours
        self._burst_s = burst_s
        self._pictures = {"photos": pictures.photos, "12 MP photo": pictures.large}
        self.samples: list[Sample] = []

    def run(self, number: int) -> None:
        """Runs a round."""
        for place, (picture, files) in enumerate(self._pictures.items()):
            for features in _SETS:
                with awake(self._ours):
                    self._compare(features, picture, files, number, first=(number + place) % len(_WAYS))

    def _compare(
        self, features: Sequence[str], picture: str, files: Sequence[Path], number: int, *, first: int
    ) -> None:
        warm_up = self._burst(_images(files, features, _ONE), len(files))
        count = max(len(files), round(self._burst_s * len(files) / warm_up.elapsed_s))
        for way in _WAYS[first:] + _WAYS[:first]:
            images = _images(files, features, way)
            # One after the other, an image is as many turns as it has calls.
            turns = len(features) if way == _IN_TURN else 1
            done = self._burst(images, count * turns)
            durations = done.durations_s
            self.samples.append(
                Sample(
                    features=", ".join(features),
                    picture=picture,
                    way=way,
                    round=number,
                    count=count,
                    cpu_s=done.cpu_s,
                    durations_s=[sum(durations[at : at + turns]) for at in range(0, len(durations), turns)],
                )
            )

    def _burst(self, images: Sequence[Asked], count: int) -> Done:
        return asyncio.run(closed_loop(self._ours, images, count=count, callers=1))

    def tables(self) -> Iterator[Table]:
        yield self._table("Core-milliseconds of the server for an image", lambda sample: sample.core_ms)
        yield self._table("Milliseconds until an image has all answers", lambda sample: sample.latency_ms)

    def raw(self) -> list[dict[str, object]]:
        return [asdict(sample) for sample in self.samples]

    def _table(self, title: str, value: Callable[[Sample], float]) -> Table:
        rows = []
        for features in map(", ".join, _SETS):
            for picture in self._pictures:
                one, *four = (self._values(features, picture, way, value) for way in _WAYS)
                cells = [spread(one), *(spread(each) for each in four), *(paired(each, one) for each in four)]
                rows.append([features, picture, *cells])
        columns = ["features", "of", *_WAYS, *(f"{way} / {_ONE}" for way in _WAYS[1:])]
        return Table(title=title, columns=columns, rows=rows)

    def _values(self, features: str, picture: str, way: str, value: Callable[[Sample], float]) -> list[float]:
        """One value for each round."""
        return [value(one) for one in self.samples if (one.features, one.picture, one.way) == (features, picture, way)]


def _images(files: Sequence[Path], features: Sequence[str], way: str) -> list[Asked]:
    """Returns what to ask of the files; in turn, as an image of its own for each feature."""
    images: list[Asked] = []
    for file in files:
        content = file.read_bytes()
        single = [request(content, feature) for feature in features]
        if way == _ONE:
            images.append([request(content, *features)])
        elif way == _AT_ONCE:
            images.append(single)
        else:
            images.extend([one] for one in single)
    return images
