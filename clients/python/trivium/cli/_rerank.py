"""`trivium rerank`: which texts answer a query best."""

import sys
import tempfile
from pathlib import Path

import click

from trivium.cli import _options
from trivium.cli._errors import describe_item, tell
from trivium.cli._reporting import to_json
from trivium.cli._score_table import print_scores
from trivium.cli._text_files import Record, layout, read_records
from trivium.embeddings import RerankResponse, ScoreScale, TruncationPolicy

EPILOG = """\b
Examples:
  trivium rerank "capital of Japan" --document "Tokyo is big." --document "Rome is old."
  trivium rerank "capital of Japan" facts.txt --top-n 3
  trivium rerank "refund" mails.jsonl --field body --id-field key --json | jq -r '.results[0].document_id'
  grep -h water *.txt | trivium rerank "How hot is the sea?" -
"""


@click.command(epilog=EPILOG)
@click.argument("query", type=_options.TEXT)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "-d", "--document", "given", multiple=True, type=_options.TEXT, help="A text, in place of FILE. Repeatable."
)
@_options.task_model_option
@click.option("--format", "form", type=click.Choice(["txt", "jsonl"]), help="What FILE is.  [default: by its name]")
@click.option("--field", type=_options.TEXT, metavar="NAME", help="The text in a line of JSON.  [default: text]")
@click.option("--id-field", type=_options.TEXT, metavar="NAME", help="The id in a line of JSON.")
@click.option("--top-n", type=click.IntRange(min=1), help="Show this many of the best.  [default: all]")
@click.option(
    "--scale",
    type=click.Choice([value.lower() for value in ScoreScale if value != "UNSPECIFIED"]),
    help="The scale of the scores.  [default: what suits the model]",
)
@click.option(
    "--truncation",
    type=click.Choice([value.lower() for value in TruncationPolicy]),
    help="What to do with a long text.  [default: error]",
)
@_options.json_option
@_options.connection_options
def rerank(
    connection: _options.Connection,
    query: str,
    file: Path | None,
    given: tuple[str, ...],
    model: str | None,
    form: str | None,
    field: str | None,
    id_field: str | None,
    top_n: int | None,
    scale: str | None,
    truncation: str | None,
    as_json: bool,
) -> int:
    """Order texts by how well they answer QUERY, best first.

    The texts, up to 1000, are given with --document, or are the lines of FILE. FILE is plain text, or lines of JSON
    where its name ends in .jsonl; - is standard input. Empty lines are left out.
    """
    if given and any((file, form, field, id_field)):
        raise click.UsageError("--document is in place of FILE, and goes with no option that is about files")
    if file is None and not given:
        raise click.UsageError("give texts with --document, or a FILE with one on each line; - is standard input")
    records = _read(file, form, field, id_field) if file else [Record(n, text, "") for n, text in enumerate(given, 1)]
    with connection.client() as client:
        documents = [(record.record_id, record.text) for record in records]
        response = client.rerank(query, documents, model=model, top_n=top_n, score_scale=scale, truncation=truncation)
    if as_json:
        click.echo(to_json(response))
    else:
        print_scores(((ranked.score, ranked.text) for ranked in response.results), ("SCORE", "TEXT"))
    return _report_failures(response, records, "document" if given else "line")


def _read(file: Path, form: str | None, field: str | None, id_field: str | None) -> list[Record]:
    source = None if str(file) == "-" else file
    wanted = layout(source, form, field, id_field)
    if source is not None:
        records = read_records(source, wanted, str(source))
        return _checked([record for record in records if record.text], str(source))
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(sys.stdin.buffer.read())
        copy.flush()
        records = read_records(Path(copy.name), wanted, "standard input")
        return _checked([record for record in records if record.text], "standard input")


def _checked(records: list[Record], name: str) -> list[Record]:
    if not records:
        raise click.UsageError(f"{name} has no texts")
    return records


def _report_failures(response: RerankResponse, records: list[Record], what: str) -> int:
    for failure in response.failed:
        tell(f"{what} {records[failure.index].line}: {describe_item(failure.error)}")
    return 1 if response.failed else 0
