"""`trivium tokens`: how long a prompt is for a model."""

import click

from trivium.cli import _options
from trivium.cli._reporting import one_line, to_json

EPILOG = """\b
Examples:
  trivium tokens "Name two colours."
  trivium tokens --completion - < book.txt
  trivium tokens --show "Name two colours."
"""


@click.command(epilog=EPILOG)
@click.argument("prompt", required=False, type=_options.TEXT)
@_options.model_option
@_options.system_option
@click.option("--completion", is_flag=True, help="Count the prompt as plain text, without a chat template.")
@click.option("--show", is_flag=True, help="Print the tokens too: id and text.")
@_options.json_option
@_options.connection_options
def tokens(
    connection: _options.Connection,
    prompt: str | None,
    model: str | None,
    system: str,
    completion: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Count the tokens of a PROMPT.

    The chat template counts too; - reads the prompt from standard input. Prints the number alone, so that scripts can
    use it.
    """
    wanted = _options.make_prompt(_options.read_prompt(prompt), system, completion)
    with connection.client(model) as client:
        count = client.text.count_tokens(wanted, include_tokens=show)
    if as_json:
        info = {"request_id": count.info.request_id, "model": count.info.model, "timing": count.info.timing}
        # Without info.usage: its tokens are those that a model read, and no model ran.
        shown = {"token_count": count.token_count, "context_limit": count.context_limit, "tokens": count.tokens}
        click.echo(to_json({**shown, "info": info}))
        return
    for token in count.tokens:
        text = token.token_bytes.decode("utf-8", errors="replace")
        click.echo(f"{token.id:>8}  {one_line(text) if token.is_special else repr(text)}")
    click.echo(count.token_count)
