"""Makes docs/reliability.md of what the trials found: `python -m trials.table`."""

import json
from collections.abc import Mapping, Sequence

from trials.results import FOLDER

_DOCUMENT = FOLDER.parent.parent / "docs" / "reliability.md"
_WHAT = {
    "R1": (
        "A replica is killed under calls",
        "no call fails; none takes longer than the p99 before the first kill, one more call's time, and 0.1 s",
    ),
    "R2": ("A replica is killed under streams", "each text is that of an unbroken stream, to the byte"),
    "R3": ("All replicas are restarted in turn, under calls and streams", "none fails; each replica is gone in time"),
    "R4": ("Envoys are drained, or killed, and restarted, under calls", "no call fails"),
    "R6": ("Callers cancel streams of text", "the place is free within a step"),
    "R7": (
        "Callers cancel, or run out of time, inside one run of a model",
        "99 of 100 runs are back within 50 ms",
    ),
    "R10": (
        "Readers take one message a second",
        "a stream costs the server 8 MB at most, the p99 of others grows by 10 % at most, the streams end",
    ),
    "R11": ("Messages and headers are far too large", "they are refused, and the event loop answers on"),
    "R12": (
        "A second model is loaded while the first serves",
        "no call and no health check fails, p99 grows by 20 % at most",
    ),
    "R13": ("A replica is stuck", "no call fails; it is left out within 3 s; few calls are sent again"),
    "S8": (
        "Callers abuse HTTP/2",
        "no call of others fails, p99 grows by 20 % at most; who merely cancels 200 calls/s is not cut",
    ),
}
_INTRO = """\
# Reliability

Made by `python -m trials.table` of what `make trials` kept in [trials/results](../trials/results), a line for each
run. Every trial makes sure that its load was there when the fault came, and has a control, a run of the same probe
without what it proves, that must fail. A trial that is changed in earnest begins anew: what its earlier forms, or runs
beside other work, left was removed. All ran on two processors with everything on them: servers, Envoy and callers.
Where callers must not wait for what others do to the server (R10, R12, S8), their calls take no processor: two
processors would else show how they are shared, not whether the server holds anybody up.

R12 allows for what is known: the library that reads a tokenizer keeps the interpreter meanwhile, so loading a model
holds up all others for as long: 50 ms for the vocabulary of Whisper.
"""


def table(runs: Mapping[str, Sequence[Mapping[str, object]]]) -> str:
    """Returns the document. runs: of each trial, the oldest first."""
    lines = [
        _INTRO,
        "| trial | what happens | passes when | runs | load and faults | the latest run |",
        "|" + "---|" * 6,
    ]
    for trial in sorted(runs, key=lambda name: (name[0], int(name[1:]))):
        happens, passes = _WHAT[trial]
        done = runs[trial]
        num_passed = sum(run["passed"] is True for run in done)
        latest = done[-1]
        count = f"{num_passed} of {len(done)} pass"
        facts = f"{latest['load']}; {latest['faults']}"
        lines.append(f"| {trial} | {happens} | {passes} | {count} | {facts} | {latest['outcome']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    runs = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in FOLDER.glob("*.jsonl")}
    _DOCUMENT.write_text(table(runs))
    print(f"wrote {_DOCUMENT.name}")


if __name__ == "__main__":
    main()
