"""`trivium voices`: who can speak."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivium.cli import _options
from trivium.cli._reporting import for_stdout, one_line, to_json
from trivium.speech import Voice

EPILOG = """\b
Examples:
  trivium voices
  trivium voices --language en --json | jq -r '.[].name'
"""


@click.command(epilog=EPILOG)
@click.option("-l", "--language", type=_options.TEXT, metavar="CODE", help="Only those that speak this language.")
@click.option("-m", "--model", type=_options.TEXT, metavar="NAME", help="Only those of this model.")
@_options.json_option
@_options.connection_options
def voices(connection: _options.Connection, language: str | None, model: str | None, as_json: bool) -> None:
    """List the voices of the models that are ready, by the name that `trivium say --voice` takes."""
    with connection.client() as client:
        found = client.speech.voices(model=model, language=language)
    if as_json:
        click.echo(for_stdout(to_json(found)))
    elif found:
        _print(found)
    else:
        click.echo("the server has no such voice; `trivium status` shows its models", err=True)


def _print(found: list[Voice]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("VOICE", "MODEL", "LANGUAGES", "RATE", "NOTE"):
        table.add_column(heading, overflow="fold")
    for voice in found:
        note = ", ".join(f"{name} {value}" for name, value in sorted(voice.traits.items()))
        cells = (voice.name, voice.model, ", ".join(voice.language_codes), f"{voice.sample_rate_hz} Hz", note)
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    Console(soft_wrap=True, highlight=False).print(table)
