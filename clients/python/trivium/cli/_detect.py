"""`trivium detect`: in which language texts are written."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivium.analysis import DetectLanguageResponse
from trivium.cli import _options
from trivium.cli._errors import describe_item, tell
from trivium.cli._reporting import one_line, to_json

GUESS_BELOW = 0.3
"""What langid-140 says with less is wrong as often as not; the help names the number."""

EPILOG = """\b
Examples:
  trivium detect "Wie spät ist es?" "Quelle heure est-il ?"
  trivium detect --top-k 3 "Bom dia" --json | jq '.results[0].languages'
"""


@click.command(epilog=EPILOG)
@click.argument("texts", nargs=-1, required=True, type=_options.TEXT)
@click.option("-k", "--top-k", type=click.IntRange(min=1), help="Show this many of the likeliest.  [default: 1]")
@click.option("--min-score", type=float, help="Show only languages with at least this score.")
@_options.task_model_option
@_options.json_option
@_options.connection_options
def detect(
    connection: _options.Connection,
    texts: tuple[str, ...],
    top_k: int | None,
    min_score: float | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Tell in which language each of TEXTS is written, as BCP-47 codes; zxx is no language.

    A language with a score under 0.3 is a guess, and has a question mark; whole sentences are told better than words.
    """
    with connection.client() as client:
        try:
            response = client.detect_language(texts, model=model, top_k=top_k, min_score=min_score)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(to_json(response))
    else:
        _print(response, texts)
    for result in response.failed:
        assert result.error is not None
        tell(f"text {result.index + 1}: {describe_item(result.error)}")
    return 1 if response.failed else 0


def _print(response: DetectLanguageResponse, texts: tuple[str, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("LANGUAGE", "SCORE", "TEXT"):
        table.add_column(heading)
    for result in response.results:
        text = Text(one_line(texts[result.index]))
        if not result.languages:
            table.add_row("-", "-", text)
        for language in result.languages:
            is_guess = language.score < GUESS_BELOW
            code = Text(f"{language.language_code}{'?' if is_guess else ''}")
            table.add_row(code, f"{language.score:.4f}", text, style="dim" if is_guess else None)
    Console(soft_wrap=True, highlight=False).print(table)
