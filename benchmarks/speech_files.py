"""Files: how long they take, and how much processor time, for a second of sound."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.report import Table, paired, spread
from benchmarks.speech_client import hearing, recognize, shared_out
from benchmarks.speech_contenders import Loop, Served, awake
from benchmarks.speech_sounds import Clip, load

MANY_CALLERS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One burst. audio_s: sound in all files together. cpu_s: of the contender."""

    model: str
    contender: str
    round: int
    audio_s: float
    elapsed_s: float
    cpu_s: float

    @property
    def factor(self) -> float:
        """Seconds by the clock for a second of sound."""
        return self.elapsed_s / self.audio_s

    @property
    def core_factor(self) -> float:
        """Seconds of processor time for a second of sound."""
        return self.cpu_s / self.audio_s


class Files:
    """Measures round by round: all contenders of a model one after the other, in an order that rotates."""

    def __init__(
        self, ours: Served, limit: Loop, peers: Mapping[str, Sequence[Loop]], clips: Sequence[Clip], *, threads: int
    ) -> None:
        """peers: by model, in the order of the tables."""
        self._ours, self._limit, self._peers = ours, limit, peers
        self._files = [clip.file for clip in clips]
        self._contents = [clip.file.read_bytes() for clip in clips]
        self._audio_s = sum(len(load(file, 16_000)) for file in self._files) / 16_000
        self._threads = threads
        self.samples: list[Sample] = []
        self.texts: dict[str, dict[str, list[str]]] = {}

    def prepare(self) -> None:
        """Warms all up. Raises RuntimeError where the server's texts are not those of the bare models."""
        for model, peers in self._peers.items():
            with awake(self._ours):
                own = asyncio.run(self._transcribe(model, callers=1))
            texts = {self._ours.name: own}
            for loop in (self._limit, *peers):
                with awake(loop):
                    texts[loop.name] = _texts(loop.ask(self._burst(model)))
            self.texts[model] = texts
            if own != texts[self._limit.name]:
                raise RuntimeError(f"{model}: the server hears {own}, the bare model {texts[self._limit.name]}")

    def run(self, number: int) -> None:
        """Runs a round."""
        for model, peers in self._peers.items():
            ways: list[Callable[[], Sample]] = [
                partial(self._loop, loop, model, number) for loop in (self._limit, *peers)
            ]
            ways += [partial(self._served, model, number, callers) for callers in (1, MANY_CALLERS)]
            first = number % len(ways)
            self.samples += [way() for way in ways[first:] + ways[:first]]

    def tables(self) -> Iterator[Table]:
        yield self._table("Files: seconds by the clock for a second of sound", lambda sample: sample.factor)
        yield self._table("Files: seconds of processor time for a second of sound", lambda sample: sample.core_factor)

    def raw(self) -> dict[str, object]:
        return {"bursts": [asdict(sample) for sample in self.samples], "texts": self.texts}

    def _served(self, model: str, number: int, callers: int) -> Sample:
        with awake(self._ours):
            cpu, started = self._ours.process.cpu_s(), time.monotonic()
            asyncio.run(self._transcribe(model, callers=callers))
            elapsed, used = time.monotonic() - started, self._ours.process.cpu_s() - cpu
        return Sample(
            model=model,
            contender=_served_name(self._ours, callers),
            round=number,
            audio_s=self._audio_s,
            elapsed_s=elapsed,
            cpu_s=used,
        )

    def _loop(self, loop: Loop, model: str, number: int) -> Sample:
        with awake(loop):
            cpu, started = loop.process.cpu_s(), time.monotonic()
            loop.ask(self._burst(model))
            elapsed, used = time.monotonic() - started, loop.process.cpu_s() - cpu
        return Sample(
            model=model, contender=loop.name, round=number, audio_s=self._audio_s, elapsed_s=elapsed, cpu_s=used
        )

    async def _transcribe(self, model: str, *, callers: int) -> list[str]:
        async with contextlib.AsyncExitStack() as stack:
            stubs = [await stack.enter_async_context(hearing(self._ours.address)) for _ in range(callers)]
            answers = await shared_out(self._contents, [partial(recognize, stub, model) for stub in stubs])
        return [answer.text for answer in answers]

    def _burst(self, model: str) -> dict[str, object]:
        return {"model": model, "files": list(map(str, self._files)), "threads": self._threads}

    def _table(self, title: str, value: Callable[[Sample], float]) -> Table:
        rows = []
        for model, peers in self._peers.items():
            limit = self._values(model, self._limit.name, value)
            own = [_served_name(self._ours, callers) for callers in (1, MANY_CALLERS)]
            for name in (*own, self._limit.name, *(loop.name for loop in peers)):
                values = self._values(model, name, value)
                rows.append([model, name, spread(values, 4), paired(values, limit)])
        return Table(title=title, columns=["model", "", "s for a second", "of the bare models"], rows=rows)

    def _values(self, model: str, contender: str, value: Callable[[Sample], float]) -> list[float]:
        """One value for each round."""
        return [value(one) for one in self.samples if (one.model, one.contender) == (model, contender)]


def _served_name(ours: Served, callers: int) -> str:
    return f"{ours.name}, {callers} caller" + "s" * (callers > 1)


def _texts(answer: Mapping[str, object]) -> list[str]:
    texts = answer["texts"]
    assert isinstance(texts, list)
    return texts
