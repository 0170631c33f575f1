"""Reading pages beside rapidocr, with the same models on the same files: how much is read, how well, and how fast.

Each contender is a process that reads all files one after the other, with one thread, with its own default of threads,
and eight at a time. Processes take turns, round by round.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import command_line, machine
from benchmarks.contenders import PEERS_PYTHON
from benchmarks.ocr_pages import Page, pages
from benchmarks.ocr_score import Score, scored
from benchmarks.report import Report, Table

_NOTES = """\
- Pages: rendered, in nine languages; benchmarks/ocr_pages.py says how. Found: characters but for spaces, in any order.
  Distance: edit distance to the whole page in reading order, per character.
- Time: of whole files, decoding included, in one process without a network. Ratio: of rapidocr's time to ours, each
  the median of the rounds.
- rapidocr has the scores and sizes of its defaults. Upright: without its look at which way up each line is, which turns
  some lines that are right; it cannot read pages that are turned then.
"""
_OURS, _RAPID, _UPRIGHT = "trivium", "rapidocr", "rapidocr, upright"
_QUICK_KINDS = ("small", "tables")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How files are read. threads: of one run for rapidocr, -1 for its default; runs at the same time for ours."""

    title: str
    concurrency: int
    own_threads: int
    rapid_threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process measured: seconds, and the lines of each file."""

    wall_s: float
    cpu_s: float
    texts: Sequence[Sequence[str]]


def run(contender: str, files: Sequence[Path], setting: Setting) -> Run:
    """Starts a contender and waits for it. Raises CalledProcessError with what it said."""
    if contender == _OURS:
        command, threads = [sys.executable, "-m", "benchmarks.ocr_ours"], setting.own_threads
    else:
        script = machine.REPOSITORY / "benchmarks" / "peers" / "ocr_rapid.py"
        command, threads = [str(PEERS_PYTHON), str(script)], setting.rapid_threads
    options = ["--upright"] if contender == _UPRIGHT else []
    options += [f"--concurrency={setting.concurrency}", f"--threads={threads}"]
    done = subprocess.run(
        [*command, *options, *map(str, files)], cwd=machine.REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def _scores(seen: Sequence[Page], texts: Sequence[Sequence[str]]) -> dict[str, Score]:
    """Adds up the scores of the pages by kind, and of all."""
    each = [(page.kind, scored(page.lines, lines)) for page, lines in zip(seen, texts, strict=True)]
    kinds = dict.fromkeys(kind for kind, _ in each)
    return {
        kind: Score(
            characters=sum(score.characters for own, score in each if kind in {own, "all"}),
            found=sum(score.found for own, score in each if kind in {own, "all"}),
            distance=sum(score.distance for own, score in each if kind in {own, "all"}),
        )
        for kind in (*kinds, "all")
    }


def _quality_table(found: Mapping[str, dict[str, Score]]) -> Table:
    names = list(found)
    rows = [
        [
            kind,
            str(score.characters),
            *(f"{100 * found[name][kind].found / score.characters:.2f}" for name in names),
            *(f"{100 * found[name][kind].distance / score.characters:.2f}" for name in names),
        ]
        for kind, score in found[names[0]].items()
    ]
    columns = ["pages", "characters", *(f"found %, {name}" for name in names), *(f"distance %, {n}" for n in names)]
    return Table(title="What was read", columns=columns, rows=rows)


def _speed_rows(setting: Setting, runs: Mapping[str, Sequence[Run]], num_pages: int) -> list[list[str]]:
    rows = []
    for name, measured in runs.items():
        wall, cpu = (median(getattr(run, field) for run in measured) for field in ("wall_s", "cpu_s"))
        ratios = [median(run.wall_s for run in runs[_OURS]) / wall, median(run.cpu_s for run in runs[_OURS]) / cpu]
        shown = ["1", "1"] if name == _OURS else [f"{1 / ratio:.2f}" for ratio in ratios]
        rows.append([setting.title, name, f"{num_pages / wall:.2f}", f"{num_pages / cpu:.2f}", *shown])
    return rows


def main() -> None:
    given = command_line.parse(__doc__, rounds=3)
    report = Report(
        name="ocr",
        title="Reading pages",
        notes=_NOTES,
        facts=machine.describe(command_line.peers_python(given), peers=("rapidocr", "onnxruntime")),
    )
    settings = [
        Setting(title="one by one, one thread", concurrency=1, own_threads=1, rapid_threads=1),
        Setting(title="one by one", concurrency=1, own_threads=given.threads, rapid_threads=-1),
        Setting(title="eight at a time", concurrency=8, own_threads=given.threads, rapid_threads=-1),
        Setting(title="eight at a time, one thread each", concurrency=8, own_threads=given.threads, rapid_threads=1),
    ]
    seen = list(pages(_QUICK_KINDS if given.quick else None))
    contenders = [_OURS, _RAPID, _UPRIGHT] if given.peers else [_OURS]
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{page.name}.png" for page in seen]
        for file, page in zip(files, seen, strict=True):
            file.write_bytes(page.png())
        for setting in settings:
            runs: dict[str, list[Run]] = {name: [] for name in contenders}
            for _, name in itertools.product(range(given.rounds), contenders):
                runs[name].append(run(name, files, setting))
            rows += _speed_rows(setting, runs, len(files))
            report.samples[setting.title] = {
                name: [{"wall_s": run.wall_s, "cpu_s": run.cpu_s} for run in measured]
                for name, measured in runs.items()
            }
            if not report.tables:
                report.tables.append(
                    _quality_table({name: _scores(seen, measured[0].texts) for name, measured in runs.items()})
                )
    columns = ["", "", "pages/s", "pages per core-s", "ratio of time", "ratio of processor time"]
    report.tables.append(Table(title="How fast", columns=columns, rows=rows))
    report.write(given.results)


if __name__ == "__main__":
    main()
