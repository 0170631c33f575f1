"""`trivium compare`: how alike texts are."""

import click

from trivium.cli import _options
from trivium.cli._errors import describe_item, tell
from trivium.cli._reporting import to_json
from trivium.cli._score_table import print_scores
from trivium.embeddings import TruncationPolicy

EPILOG = """\b
Examples:
  trivium compare "A cat sleeps." "A kitten naps." "Shares fell again."
  trivium compare "A cat sleeps." "A kitten naps." --json | jq '.results[0].similarity'
"""


@click.command(epilog=EPILOG)
@click.argument("text", type=_options.TEXT)
@click.argument("others", nargs=-1, required=True, type=_options.TEXT)
@_options.task_model_option
@click.option(
    "--truncation",
    type=click.Choice([value.lower() for value in TruncationPolicy]),
    help="What to do with a long text.  [default: error]",
)
@_options.json_option
@_options.connection_options
def compare(
    connection: _options.Connection,
    text: str,
    others: tuple[str, ...],
    model: str | None,
    truncation: str | None,
    as_json: bool,
) -> int:
    """Compare TEXT with each of the OTHERS: the cosine of their vectors, 1 for the same direction, most alike first."""
    with connection.client() as client:
        response = client.compare_items(text, others, model=model, truncation=truncation)
    if as_json:
        click.echo(to_json(response))
    else:
        scored = [(result.similarity, others[result.index]) for result in response.results]
        scored.sort(key=lambda row: -2.0 if row[0] is None else row[0], reverse=True)
        print_scores(scored, ("COSINE", "TEXT"))
    for result in response.failed:
        assert result.error is not None
        tell(f"text {result.index + 2}: {describe_item(result.error)}")
    return 1 if response.failed else 0
