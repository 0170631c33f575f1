"""The options that all measurements share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from benchmarks.contenders import PEERS_PYTHON, require_peers


def parse(
    description: str | None,
    *,
    rounds: int,
    uses_peers: bool = True,
    require: Callable[[], object] = require_peers,
    add: Callable[[argparse.ArgumentParser], object] = lambda _: None,
) -> argparse.Namespace:
    """Returns threads, rounds, quick, peers and results.

    rounds: the default number of them; 1 for --quick. require: ends the program where the peers that take part are not
    installed. add: gives the parser a measurement's own options.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cpus, help=f"threads of every contender (default: {cpus})")
    parser.add_argument("--rounds", type=int, default=None, help=f"rounds (default: {rounds})")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: one round of short work; its figures mean little"
    )
    if uses_peers:
        parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave the peers out")
    else:
        parser.set_defaults(peers=False)
    parser.add_argument(
        "--results", type=Path, default=None, help="folder for the tables (default: benchmarks/results)"
    )
    add(parser)
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else rounds)
    # A smoke run must not replace real figures.
    given.results = given.results or (report.DEFAULT_FOLDER / "quick" if given.quick else report.DEFAULT_FOLDER)
    if given.peers:
        require()
    return given


def peers_python(given: argparse.Namespace) -> Path | None:
    """The peers' interpreter, where they take part."""
    return PEERS_PYTHON if given.peers else None
