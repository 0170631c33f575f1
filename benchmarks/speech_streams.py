"""Live streams at the pace of speech: processor time for a second of sound, interim results included."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.report import Table, paired, spread
from benchmarks.speech_client import LiveStream, hearing, listen
from benchmarks.speech_contenders import Loop, Served, awake
from benchmarks.speech_sounds import RATE_HZ, Clip, joined, pcm, wav

CHUNK_S = 0.1
PERIOD_S = 0.5
TRAILING_SILENCE_S = 0.4
# Between two recordings somebody breathes.
_PAUSES_S = (0.6, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one contender did with all streams. num_updates: interim results. is_live: at the pace of speech."""

    model: str
    contender: str
    round: int
    audio_s: float
    cpu_s: float
    num_updates: int

    @property
    def core_factor(self) -> float:
        """Seconds of processor time for a second of sound."""
        return self.cpu_s / self.audio_s

    @property
    def update_rate(self) -> float:
        """Interim results in a second of sound."""
        return self.num_updates / self.audio_s


class Streams:
    """Measures round by round; the order of contenders rotates."""

    def __init__(
        self,
        ours: Served,
        limit: Loop,
        peers: Mapping[str, Sequence[Loop]],
        clips: Sequence[Clip],
        folder: Path,
        *,
        num_streams: int,
    ) -> None:
        """peers: by model. folder: for the sound of each stream, all clips, each time in another order."""
        self._ours, self._limit, self._peers = ours, limit, peers
        self._sounds = [
            joined([clip.samples() for clip in (*clips[number:], *clips[:number])], seed=number, pauses_s=_PAUSES_S)
            for number in range(num_streams)
        ]
        self._audio_s = sum(map(len, self._sounds)) / RATE_HZ
        self._files = [folder / f"stream-{number}.wav" for number in range(num_streams)]
        for file, sound in zip(self._files, self._sounds, strict=True):
            file.write_bytes(wav(sound))
        self.samples: list[Sample] = []

    def run(self, number: int) -> None:
        """Runs a round."""
        for model, peers in self._peers.items():
            ways = [partial(self._served, model, number)]
            ways += [partial(self._loop, loop, model, number) for loop in (self._limit, *peers)]
            first = number % len(ways)
            self.samples += [way() for way in ways[first:] + ways[:first]]

    def _served(self, model: str, number: int) -> Sample:
        with awake(self._ours):
            cpu = self._ours.process.cpu_s()
            streams = asyncio.run(self._play(model))
            used = self._ours.process.cpu_s() - cpu
        return Sample(
            model=model,
            contender=self._ours.name,
            round=number,
            audio_s=self._audio_s,
            cpu_s=used,
            num_updates=sum(stream.num_interims for stream in streams),
        )

    async def _play(self, model: str) -> list[LiveStream]:
        async with contextlib.AsyncExitStack() as stack:
            stubs = [await stack.enter_async_context(hearing(self._ours.address)) for _ in self._sounds]
            play = partial(
                listen,
                model=model,
                rate_hz=RATE_HZ,
                chunk_s=CHUNK_S,
                period_s=PERIOD_S,
                trailing_silence_s=TRAILING_SILENCE_S,
            )
            return await asyncio.gather(
                *(
                    play(stub, sound=pcm(sound), delay_s=place * PERIOD_S / len(stubs))
                    for place, (stub, sound) in enumerate(zip(stubs, self._sounds, strict=True))
                )
            )

    def _loop(self, loop: Loop, model: str, number: int) -> Sample:
        files = list(map(str, self._files))
        asked = {"model": model, "files": files, "live": True, "chunk_s": CHUNK_S, "period_s": PERIOD_S}
        with awake(loop):
            cpu = loop.process.cpu_s()
            answer = loop.ask(asked)
            used = loop.process.cpu_s() - cpu
        num_updates = answer["num_updates"]
        assert isinstance(num_updates, int)
        return Sample(
            model=model,
            contender=loop.name,
            round=number,
            audio_s=self._audio_s,
            cpu_s=used,
            num_updates=num_updates,
        )

    def tables(self) -> Iterator[Table]:
        rows = []
        for model, peers in self._peers.items():
            limit = [sample.core_factor for sample in self._of(model, self._limit.name)]
            for name in (self._ours.name, self._limit.name, *(loop.name for loop in peers)):
                samples = self._of(model, name)
                factors = [sample.core_factor for sample in samples]
                rates = [sample.update_rate for sample in samples]
                rows.append([model, name, spread(factors, 4), paired(factors, limit), spread(rates, 2)])
        yield Table(
            title=f"Live, {len(self._sounds)} streams at a time: seconds of processor time for a second of sound",
            columns=["model", "", "s for a second", "of the bare models", "interim results in a second"],
            rows=rows,
        )

    def raw(self) -> list[dict[str, object]]:
        return [asdict(sample) for sample in self.samples]

    def _of(self, model: str, contender: str) -> list[Sample]:
        return [one for one in self.samples if (one.model, one.contender) == (model, contender)]
