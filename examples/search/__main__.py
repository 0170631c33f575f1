"""Searches the World Factbook by meaning: 7,578 passages about 261 countries and places.

First `index`, once; it may be interrupted and goes on where it was. Then `ask`.
"""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

import trivium
from examples.search import display
from examples.search.factbook import cache_folder, distinct_passages, fetch_archive, read_passages
from examples.search.passage_index import PassageIndex
from examples.search.searching import Searcher
from examples.search.serving import serving


def main(arguments: list[str] | None = None) -> None:
    """Runs a command line; None is the program's own. Leaves with SystemExit for what a user can mend."""
    given = _parse(arguments)
    console = Console(highlight=False)
    try:
        with console.status("Reading the corpus"):
            passages = distinct_passages(read_passages(fetch_archive()))[: given.limit]
        models = [given.model] if given.command == "index" else [given.model, given.rerank_model or given.model]
        with serving(given.target, models, console) as client:
            # Vectors of another model, or of another version of it, are not comparable.
            digest = client.models.get(given.model).digest
            index = PassageIndex.open(given.index, model_digest=digest, passages=passages)
            if given.command == "index":
                display.fill(index, client, console, model=given.model, save_every=given.save_every)
            elif not len(index):
                raise SystemExit(f"search: {given.index} has no index of this model; run the command `index` first")
            else:
                searcher = Searcher(client, index, model=given.model, rerank_model=given.rerank_model or given.model)
                display.answer(searcher.ask(given.question, candidates=given.candidates, top=given.top), console)
    except (trivium.TriviumError, RuntimeError, OSError) as error:
        raise SystemExit(f"search: {error}") from error


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--target", help="a running server; without it, one is started for as long as needed")
    shared.add_argument(
        "--model", default="all-minilm-l6-v2-int8", help="the sentence encoder of the index (default: %(default)s)"
    )
    shared.add_argument(
        "--index", type=Path, default=cache_folder() / "index", help="the index's folder (default: %(default)s)"
    )
    shared.add_argument("--limit", type=int, metavar="N", help="only the first N passages of the corpus")

    parser = argparse.ArgumentParser(
        prog="python -m examples.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    index = commands.add_parser("index", parents=[shared], help="embed the passages and store their vectors")
    index.add_argument(
        "--save-every", type=int, default=512, metavar="N", help="a kill costs at most so many (default: %(default)s)"
    )
    ask = commands.add_parser("ask", parents=[shared], help="answer a question with passages")
    ask.add_argument("question")
    ask.add_argument("--rerank-model", help="what ranks anew, such as a cross-encoder (default: the index's model)")
    ask.add_argument("--candidates", type=int, default=40, help="passages to rank anew (default: %(default)s)")
    ask.add_argument("--top", type=int, default=5, help="passages to show (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # A run that a shell started in the background ignores Ctrl-C unless told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
