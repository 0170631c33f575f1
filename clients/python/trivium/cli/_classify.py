"""`trivium classify`: what a text is about."""

import click

from trivium.cli import _options
from trivium.cli._errors import CallFailed, describe_item
from trivium.cli._reporting import to_json
from trivium.cli._score_table import print_scores
from trivium.embeddings import TruncationPolicy

EPILOG = """\b
Examples:
  trivium classify "The match ended in a draw." --label sport --label politics
  trivium classify - -l bug -l question --template "This message is a {}." < mail.txt
  trivium classify "I loved it." --model my-classifier --json | jq -r '.results[0].labels[0].label'
"""


@click.command(epilog=EPILOG)
@click.argument("text", required=False, type=_options.TEXT)
@click.option(
    "-l",
    "--label",
    "labels",
    multiple=True,
    type=_options.TEXT,
    help="A label to choose from. Repeatable; a classifier has its own.",
)
@click.option("--template", type=_options.TEXT, metavar="TEXT", help="What a label stands for, with {} where it goes.")
@click.option("-k", "--top-k", type=click.IntRange(min=1), help="Show this many of the best.  [default: all]")
@click.option("--min-score", type=float, help="Show only labels with at least this score.")
@click.option(
    "--truncation",
    type=click.Choice([value.lower() for value in TruncationPolicy]),
    help="What to do with a long text.  [default: error]",
)
@_options.task_model_option
@_options.json_option
@_options.connection_options
def classify(
    connection: _options.Connection,
    text: str | None,
    labels: tuple[str, ...],
    template: str | None,
    top_k: int | None,
    min_score: float | None,
    truncation: str | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Score labels for TEXT, best first; - reads it from standard input.

    Scores of a classifier are probabilities; those of a model that compares vectors are cosines, which say which label
    fits best and not how likely it is.
    """
    given = _options.read_prompt(text)
    with connection.client() as client:
        try:
            response = client.classify(
                given,
                labels,
                model=model,
                template=template,
                top_k=top_k,
                min_score=min_score,
                truncation=truncation,
            )
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
    result = response.results[0]
    if as_json:
        click.echo(to_json(response))
    if result.error is not None:
        raise CallFailed(describe_item(result.error))
    if not as_json:
        heading = response.score_scale if response.score_scale != "UNSPECIFIED" else "SCORE"
        print_scores(((label.score, label.label) for label in result.labels), (heading, "LABEL"))
