"""How many live streams a core takes while what is heard still comes at once.

Recordings are played at the pace of speech over gRPC, 1, 2, 4, … streams at a time, until interim results are late
(95 % within 300 ms of the sending of the sound that they heard) or final ones are (95 % within 600 ms of the end of
speech).
"""

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from benchmarks import command_line, machine
from benchmarks.report import Report, Table, percentile, spread
from benchmarks.speech_contenders import DETECTOR, MOONSHINE, Served, started
from benchmarks.speech_ladder import Rung, climb
from benchmarks.speech_talk import Talkers

_LADDER = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
_INTERIM_S, _FINAL_S = 0.3, 0.6
# From so many streams on none plays longer.
_MANY = 3

_NOTES = """\
- Sound: prompts of a telephone exchange, one woman in a studio, all those of 1 to 10 s (half are shorter than 2.4 s,
  95 of 100 than 5.9 s), with pauses of 0.8 to 1.5 s between them: about seven tenths is speech. Every stream has other
  prompts. 16-bit samples at 16 kHz, in chunks of {chunk} ms, each sent when its last sample would have been spoken;
  every stream has a connection of its own.
- Asked for: interim results after every {period} s of speech; an utterance ends after {silence} ms of silence.
- Interim: from sending the chunk that holds the last sample which the result heard, to its arrival.
- Final after the end of speech: from the moment at which the speaker ceased, to the arrival of the final result. The
  moment is taken from the sound (the level stays 35 dB below its loudest), on the clock at which it is played, not from
  what the server says. So it has all: the {silence} ms, up to {chunk} ms until the chunk is full, and the work.
- Final after the silence: the same without what was asked for: from sending the chunk with which the silence was long
  enough, to the arrival. It also counts utterances that end within a prompt.
- No end: ends of speech at which the server found no utterance to end (the pause was taken for speech, or the other way
  round); they are in no latency.
- Holds: interim p95 under 300 ms, and final p95 under 600 ms: with all of it, after the end of speech; and without what
  was asked for, after the silence. The ladder is climbed once, until two rungs do not hold even so; the other rounds
  repeat these and the one below. Medians, with the range.
- The caller shares the processors with the server. Cores: processor time by the clock, of the server and of the caller.
"""


def main() -> None:
    given = command_line.parse(__doc__, rounds=3, uses_peers=False, add=_options)
    models: list[str] = given.model or [MOONSHINE]
    report = Report(
        name="speech_live",
        title="Live streams for each core",
        notes=_NOTES.format(chunk=given.chunk_ms, period=given.period_ms / 1000, silence=given.trailing_silence_ms),
        facts=machine.describe() | {"threads": str(given.threads)},
    )
    ours = Served([*models, DETECTOR], threads=given.threads)
    talkers = Talkers()
    rungs: list[Rung] = []

    def run(model: str, num_streams: int, number: int) -> Rung:
        # Of few streams too there are to be enough results.
        seconds = 4.0 if given.quick else given.seconds * max(1.0, _MANY / num_streams)
        talks = [talkers.talk(seconds, seed=100 * number + place) for place in range(num_streams)]
        rung = climb(
            ours,
            model,
            talks,
            number,
            chunk_s=given.chunk_ms / 1000,
            period_s=given.period_ms / 1000,
            trailing_silence_s=given.trailing_silence_ms / 1000,
        )
        rungs.append(rung)
        print(f"{model}, {num_streams}: {_words(rung)}", flush=True)
        return rung

    with started(ours):
        for model in models:
            about = _limit(run, model, _LADDER[:2] if given.quick else _LADDER)
            for number in range(1, given.rounds):
                for num_streams in about:
                    run(model, num_streams, number)
    for model in models:
        own = [rung for rung in rungs if rung.model == model]
        report.tables.append(_table(model, own))
        report.tables.append(_answer(model, own, given.threads))
    report.samples = {"rungs": [dataclasses.asdict(rung) for rung in rungs]}
    report.write(given.results)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", help=f"may be repeated (default: {MOONSHINE})")
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="of each rung; longer with 1 or 2 streams (default: 15)"
    )
    parser.add_argument("--chunk-ms", type=int, default=40, help="sound in a message (default: 40)")
    parser.add_argument("--period-ms", type=int, default=500, help="from interim to interim result (default: 500)")
    parser.add_argument("--trailing-silence-ms", type=int, default=400, help="that ends an utterance (default: 400)")


def _limit(run: Callable[[str, int, int], Rung], model: str, ladder: Sequence[int]) -> Sequence[int]:
    """Climbs until two rungs in a row do not hold; returns them and the one below, or the last one."""
    held: list[bool] = []
    for num_streams in ladder:
        held.append(_holds([run(model, num_streams, 0)]))
        if held[-2:] == [False, False]:
            return ladder[max(0, len(held) - 3) : len(held)]
    return ladder[-1:]


def _holds(rungs: Sequence[Rung]) -> bool:
    """Whether results are in time once the silence was long enough."""
    return _interims_hold(rungs) and median(rung.decision_p95_s for rung in rungs) < _FINAL_S


def _holds_in_all(rungs: Sequence[Rung]) -> bool:
    """Whether results are in time after the end of speech, the silence included."""
    return _interims_hold(rungs) and median(rung.final_p95_s for rung in rungs) < _FINAL_S


def _interims_hold(rungs: Sequence[Rung]) -> bool:
    return median(rung.interim_p95_s for rung in rungs) < _INTERIM_S


def _by_streams(rungs: Sequence[Rung]) -> Iterator[tuple[int, list[Rung]]]:
    for num_streams in sorted({rung.num_streams for rung in rungs}):
        yield num_streams, [rung for rung in rungs if rung.num_streams == num_streams]


def _table(model: str, rungs: Sequence[Rung]) -> Table:
    rows = []
    for num_streams, own in _by_streams(rungs):
        kinds = ([r.interim_s for r in own], [r.final_s for r in own], [r.decision_s for r in own])
        latencies = [
            spread([1000 * percentile(late_s, share) for late_s in kind], 0) for kind in kinds for share in (0.5, 0.95)
        ]
        rows.append(
            [
                str(num_streams),
                *latencies,
                spread([len(rung.interim_s) / rung.audio_s for rung in own], 2),
                str(sum(rung.num_missed for rung in own)),
                spread([rung.server_cpu_s / rung.elapsed_s for rung in own], 2),
                spread([rung.client_cpu_s / rung.elapsed_s for rung in own], 2),
                *("yes" if holds else "no" for holds in (_holds_in_all(own), _holds(own))),
            ]
        )
    names = ("interim", "final after the end of speech", "final after the silence")
    columns = ["streams", *(f"{name}, {share}" for name in names for share in ("p50", "p95"))]
    columns += ["interim results in a second", "no end", "cores, server", "cores, caller"]
    columns += ["holds after the end of speech", "holds after the silence"]
    return Table(title=f"{model}: ms", columns=columns, rows=rows)


def _answer(model: str, rungs: Sequence[Rung], cores: int) -> Table:
    rows = []
    by_streams = list(_by_streams(rungs))
    for name, holds in (
        ("after the end of speech", _holds_in_all),
        ("after the silence", _holds),
        ("interim results alone", _interims_hold),
    ):
        most = max((num_streams for num_streams, own in by_streams if holds(own)), default=0)
        rows.append([name, str(most), f"{most / cores:g}"])
    columns = ["finals counted", "most streams that hold", "for each core"]
    return Table(title=f"{model}: streams at the same time", columns=columns, rows=rows)


def _words(rung: Rung) -> str:
    return (
        f"interim p95 {1000 * rung.interim_p95_s:.0f} ms, final p95 {1000 * rung.final_p95_s:.0f} ms, "
        f"after the silence {1000 * rung.decision_p95_s:.0f} ms"
    )


if __name__ == "__main__":
    main()
