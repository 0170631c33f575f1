"""How soon a voice is heard, and what a second of its sound costs."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.report import Table, paired, percentile, spread
from benchmarks.speech_client import Speech, shared_out, speak, speaking
from benchmarks.speech_contenders import VOICE, Loop, Served, awake

_CALLERS = (1, 8)
_SENTENCES_OF_PARAGRAPH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One burst. first_s: of each text, from sending it to its first sound; whole_s: to its end, for a second of it."""

    contender: str
    texts: str
    round: int
    audio_s: float
    elapsed_s: float
    cpu_s: float
    first_s: list[float]
    whole_s: list[float]

    @property
    def factor(self) -> float:
        """Seconds by the clock for a second of sound, all callers together."""
        return self.elapsed_s / self.audio_s

    @property
    def core_factor(self) -> float:
        """Seconds of processor time for a second of sound."""
        return self.cpu_s / self.audio_s


class Voices:
    """Measures round by round, in an order that rotates."""

    def __init__(self, ours: Served, limit: Loop, peers: Sequence[Loop], sentences: Sequence[str]) -> None:
        """sentences: of which all are spoken in each burst, alone and in paragraphs."""
        self._ours, self._limit, self._peers = ours, limit, peers
        step = _SENTENCES_OF_PARAGRAPH
        paragraphs = [" ".join(sentences[at : at + step]) for at in range(0, len(sentences) - step + 1, step)]
        self._texts = {"sentence": list(sentences), f"paragraph of {step} sentences": paragraphs}
        self.samples: list[Sample] = []

    def prepare(self) -> None:
        """Warms all up."""
        few = self._texts["sentence"][:4]
        with awake(self._ours):
            asyncio.run(self._speak(few, 1))
        for loop in (self._limit, *self._peers):
            with awake(loop):
                loop.ask({"model": VOICE, "speak": few})

    def run(self, number: int) -> None:
        """Runs a round."""
        for texts in self._texts:
            ways: list[Callable[[], Sample]] = [partial(self._served, texts, callers, number) for callers in _CALLERS]
            ways += [partial(self._loop, loop, texts, number) for loop in (self._limit, *self._peers)]
            first = number % len(ways)
            self.samples += [way() for way in ways[first:] + ways[:first]]

    def _served(self, texts: str, callers: int, number: int) -> Sample:
        with awake(self._ours):
            cpu, started = self._ours.process.cpu_s(), time.monotonic()
            spoken = asyncio.run(self._speak(self._texts[texts], callers))
            elapsed, used = time.monotonic() - started, self._ours.process.cpu_s() - cpu
        return Sample(
            contender=self._name(callers),
            texts=texts,
            round=number,
            audio_s=sum(one.audio_s for one in spoken),
            elapsed_s=elapsed,
            cpu_s=used,
            first_s=[one.first_s - one.sent_s for one in spoken],
            whole_s=[(one.ended_s - one.sent_s) / one.audio_s for one in spoken],
        )

    async def _speak(self, texts: Sequence[str], callers: int) -> list[Speech]:
        async with contextlib.AsyncExitStack() as stack:
            stubs = [await stack.enter_async_context(speaking(self._ours.address)) for _ in range(callers)]
            return await shared_out(texts, [partial(speak, stub, VOICE) for stub in stubs])

    def _loop(self, loop: Loop, texts: str, number: int) -> Sample:
        with awake(loop):
            cpu, started = loop.process.cpu_s(), time.monotonic()
            audio_s = loop.ask({"model": VOICE, "speak": self._texts[texts]})["audio_s"]
            elapsed, used = time.monotonic() - started, loop.process.cpu_s() - cpu
        assert isinstance(audio_s, float)
        return Sample(
            contender=loop.name,
            texts=texts,
            round=number,
            audio_s=audio_s,
            elapsed_s=elapsed,
            cpu_s=used,
            first_s=[],
            whole_s=[],
        )

    def tables(self) -> Iterator[Table]:
        rows = []
        for texts in self._texts:
            for callers in _CALLERS:
                own = self._of(self._name(callers), texts)
                first = [one for sample in own for one in sample.first_s]
                whole = [one for sample in own for one in sample.whole_s]
                cells = [f"{1000 * percentile(first, share):.1f}" for share in (0.5, 0.95, 1.0)]
                cells += [f"{percentile(whole, share):.4f}" for share in (0.5, 0.95)]
                rows.append([texts, str(callers), str(len(first)), *cells])
        columns = ["text", "callers", "texts", *(f"first sound, ms, {name}" for name in ("p50", "p95", "max"))]
        columns += [f"s for a second of sound, {name}" for name in ("p50", "p95")]
        yield Table(title="From sending the text", columns=columns, rows=rows)
        rows = []
        for texts in self._texts:
            limit = self._of(self._limit.name, texts)
            names = [*map(self._name, _CALLERS), self._limit.name, *(loop.name for loop in self._peers)]
            for name in names:
                own = self._of(name, texts)
                cores = [sample.core_factor for sample in own]
                rows.append(
                    [
                        texts,
                        name,
                        spread([sample.factor for sample in own], 4),
                        spread(cores, 4),
                        paired(cores, [sample.core_factor for sample in limit]),
                    ]
                )
        columns = ["text", "", "by the clock", "processor time", "of the bare model's"]
        yield Table(title="All callers together: seconds for a second of sound", columns=columns, rows=rows)

    def raw(self) -> list[dict[str, object]]:
        return [asdict(sample) for sample in self.samples]

    def _name(self, callers: int) -> str:
        return f"{self._ours.name}, {callers} caller" + "s" * (callers > 1)

    def _of(self, contender: str, texts: str) -> list[Sample]:
        return [sample for sample in self.samples if (sample.contender, sample.texts) == (contender, texts)]
