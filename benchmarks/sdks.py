"""What each SDK costs its caller beside that language's bare gRPC stub: a call, a streamed token, 64 streams at once.

    python -m benchmarks.sdks [LANGUAGE…]

Runs `make bench` of each SDK, which measures both in turns against a server of fixed answers in the same language, and
makes one table of what they print.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from benchmarks import machine
from benchmarks.report import DEFAULT_FOLDER, Report, Table

_LANGUAGES = ("python", "go", "typescript", "java", "rust", "cpp")
_WORKLOADS = {
    "unary_call": "A call with one response, us",
    "streamed_token": "A streamed token, us",
    "streamed_token_64_at_once": "A streamed token, 64 streams at once from one client, us",
}
_FIGURES = {"p50_us": "p50", "p99_us": "p99", "cpu_us": "processor time"}
_NOTES = """\
- Stub: the generated stub on a bare channel. SDK: the same call through the client. Both in one process, in turns;
  medians over rounds. The server answers at once and shares the two processors: compare stub and SDK of a language, not
  languages.
- A token's p50 and p99 are of the time from one event to the next; many arrive together, so p99 is a round trip of the
  connection's window. Processor time is the client's, for each call or token.
"""


class Sides(TypedDict):
    """Figures by name, in microseconds."""

    stub: dict[str, float]
    sdk: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=f"of {', '.join(_LANGUAGES)}")
    parser.add_argument("--results", type=Path, default=DEFAULT_FOLDER, help="folder for the tables")
    given = parser.parse_args()
    facts = machine.describe()
    printed = {language: _measured(language) for language in given.languages or _LANGUAGES}
    facts |= {language: str(said["runtime"]) for language, said in printed.items()}
    report = Report(name="sdks", title="What the SDKs cost", notes=_NOTES, facts=facts)
    report.tables.extend(_table(workload, title, printed) for workload, title in _WORKLOADS.items())
    report.samples = dict(printed)
    report.write(given.results)


def _measured(language: str) -> Mapping[str, object]:
    command = [sys.executable, "-m", "benchmarks.sdk_python"]
    if language != "python":
        folder = machine.REPOSITORY / "clients" / language
        command = ["make", "--silent", "--no-print-directory", "--directory", str(folder), "bench"]
    print(f"measuring {language}", file=sys.stderr, flush=True)
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    said: Mapping[str, object] = json.loads(lines[-1])
    return said


def _table(workload: str, title: str, printed: Mapping[str, Mapping[str, object]]) -> Table:
    columns = [
        "",
        *(f"{name}, {side}" for name in _FIGURES.values() for side in ("stub", "SDK")),
        "SDK / stub, processor time",
    ]
    rows = []
    for language, said in printed.items():
        sides = cast(Sides, said[workload])  # as this module's docstring asks for
        cells = [f"{sides[side][key]:.1f}" for key in _FIGURES for side in ("stub", "sdk")]
        rows.append([language, *cells, f"{sides['sdk']['cpu_us'] / sides['stub']['cpu_us']:.2f}"])
    return Table(title=title, columns=columns, rows=rows)


if __name__ == "__main__":
    main()
