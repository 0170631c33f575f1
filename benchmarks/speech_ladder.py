"""A number of live streams at a time, and how late what is heard of them comes."""

import asyncio
import bisect
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.report import percentile
from benchmarks.speech_client import LiveStream, hearing, listen
from benchmarks.speech_contenders import Served, awake
from benchmarks.speech_sounds import RATE_HZ
from benchmarks.speech_talk import Talk

# How much earlier and later than by the level of the sound an utterance may end by the server's word, which has the
# silence that it adds to each.
_EARLIER_S, _LATER_S = 0.3, 0.7
# Offsets are told in whole nanoseconds.
_ROUNDING_S = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """So many streams at a time, in one round. All times in seconds, of all streams together.

    interim_s: from sending the chunk that has the last sample that an interim result heard, to its arrival. final_s:
    from the end of speech, by the level of the sound, to the arrival of the final result. decision_s: from sending the
    chunk with which the silence was long enough, to the same. num_missed: ends of speech at which no utterance ended.
    """

    model: str
    num_streams: int
    round: int
    audio_s: float
    elapsed_s: float
    server_cpu_s: float
    client_cpu_s: float
    late_s: float
    num_missed: int
    interim_s: list[float]
    final_s: list[float]
    decision_s: list[float]

    @property
    def interim_p95_s(self) -> float:
        return percentile(self.interim_s, 0.95)

    @property
    def final_p95_s(self) -> float:
        return percentile(self.final_s, 0.95)

    @property
    def decision_p95_s(self) -> float:
        return percentile(self.decision_s, 0.95)


def climb(
    ours: Served,
    model: str,
    talks: Sequence[Talk],
    number: int,
    *,
    chunk_s: float,
    period_s: float,
    trailing_silence_s: float,
) -> Rung:
    """Plays all talks at the same time, each on a connection of its own; they begin one by one, in a period."""
    with awake(ours):
        server, client, begun = ours.process.cpu_s(), time.process_time(), time.monotonic()
        streams = asyncio.run(_play(ours.address, model, talks, chunk_s, period_s, trailing_silence_s))
        elapsed = time.monotonic() - begun
        server, client = ours.process.cpu_s() - server, time.process_time() - client
    finals = [list(_finals(stream, talk)) for stream, talk in zip(streams, talks, strict=True)]
    return Rung(
        model=model,
        num_streams=len(talks),
        round=number,
        audio_s=sum(talk.duration_s for talk in talks),
        elapsed_s=elapsed,
        server_cpu_s=server,
        client_cpu_s=client,
        late_s=max(stream.late_s for stream in streams),
        num_missed=sum(len(talk.ends_s) - len(found) for talk, found in zip(talks, finals, strict=True)),
        interim_s=[late for stream in streams for late in _since_sent(stream, is_final=False)],
        final_s=[late for found in finals for late in found],
        decision_s=[late for stream in streams for late in _since_sent(stream, is_final=True)],
    )


async def _play(
    address: str, model: str, talks: Sequence[Talk], chunk_s: float, period_s: float, trailing_silence_s: float
) -> list[LiveStream]:
    play = partial(
        listen,
        model=model,
        rate_hz=RATE_HZ,
        chunk_s=chunk_s,
        period_s=period_s,
        trailing_silence_s=trailing_silence_s,
    )
    async with contextlib.AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(hearing(address)) for _ in talks]
        return await asyncio.gather(
            *(
                play(stub, sound=talk.sound, delay_s=place * period_s / len(talks))
                for place, (stub, talk) in enumerate(zip(stubs, talks, strict=True))
            )
        )


def _since_sent(stream: LiveStream, *, is_final: bool) -> Iterator[float]:
    ends = [end_s for end_s, _ in stream.sent]
    for update in stream.updates:
        if update.is_final is is_final:
            place = bisect.bisect_left(ends, update.processed_s - _ROUNDING_S)
            yield update.arrived_s - stream.sent[min(place, len(ends) - 1)][1]


def _finals(stream: LiveStream, talk: Talk) -> Iterator[float]:
    """Yields how long after each end of speech the final result came. Prompts that pause have some in their midst."""
    finals = [update for update in stream.updates if update.is_final]
    for end_s in talk.ends_s:
        for update in finals:
            if update.start_s < end_s and -_EARLIER_S < update.end_s - end_s < _LATER_S:
                yield update.arrived_s - (stream.begun_s + end_s)
                break
