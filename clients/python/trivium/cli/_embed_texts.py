"""Vectors of texts of the command line, shown or as JSON."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivium.cli._errors import describe_item, tell
from trivium.cli._options import Connection
from trivium.cli._reporting import one_line, to_json
from trivium.embeddings import EmbedOptions, EmbedResponse, EmbedResult

_SHOWN_COMPONENTS = 4


def embed_texts(
    texts: tuple[str, ...], connection: Connection, model: str | None, options: EmbedOptions, *, as_json: bool
) -> int:
    """Prints the vector of each text, with --json the whole of it. Returns the exit status: 1 where a text failed."""
    with connection.client() as client:
        response = client.embed_items(texts, model=model, **options)
    if as_json:
        click.echo(to_json({"results": [_plain(result) for result in response.results], "info": response.info}))
    else:
        _print(texts, response)
    for result in response.failed:
        assert result.error is not None
        tell(f"text {result.index + 1}: {describe_item(result.error)}")
    return 1 if response.failed else 0


def _plain(result: EmbedResult) -> dict[str, object]:
    return {
        "index": result.index,
        "vector": None if result.vector is None else result.vector.tolist(),
        "input_tokens": result.input_tokens,
        "truncated": result.truncated,
        "error": result.error,
    }


def _print(texts: tuple[str, ...], response: EmbedResponse) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("DIMENSIONS", "TOKENS", "VECTOR", "TEXT"):
        table.add_column(heading, justify="right" if heading in ("DIMENSIONS", "TOKENS") else "left")
    for result in response.results:
        size, beginning = "-", "-"
        if result.vector is not None:
            size = str(result.vector.size)
            rest = " …" if result.vector.size > _SHOWN_COMPONENTS else ""
            beginning = " ".join(f"{value:.4f}" for value in result.vector[:_SHOWN_COMPONENTS]) + rest
        table.add_row(size, str(result.input_tokens), beginning, Text(one_line(texts[result.index])))
    Console(soft_wrap=True, highlight=False).print(table)
