"""`trivium models load` and `unload`: which models a running server keeps in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from trivium.admin_info import LoadProgress
from trivium.cli import _options
from trivium.cli._reporting import one_line, to_json
from trivium.settings import DEFAULT_UNARY_TIMEOUT_S

LOAD_EPILOG = """\b
Examples:
  trivium models pull smollm2-135m-instruct     into the store, where a server finds it
  trivium models load smollm2-135m-instruct     into the memory of the server that runs
"""
UNLOAD_EPILOG = """\b
Examples:
  trivium models unload smollm2-135m-instruct
  trivium models unload smollm2-135m-instruct --drain 5
"""


@click.command(epilog=LOAD_EPILOG)
@click.argument("name", type=_options.TEXT)
@_options.json_option
@_options.connection_options
def load(connection: _options.Connection, name: str, as_json: bool) -> None:
    """Load the model NAME into a running server, and wait until it answers calls.

    The server reads it from its own model store, also when it was pulled after the server had started. A model that is
    ready stays as it is. Ctrl-C ends the waiting and not the load.
    """
    with connection.client() as client, _bar() as bar:
        task = bar.add_task("waiting", total=100)
        last: LoadProgress | None = None
        with client.admin.load_model(name, timeout_s=connection.timeout_s) as stream:
            for last in stream:
                bar.update(task, description=last.model.state.lower(), completed=last.percent or 0)
    assert last is not None, "a load that ends well ends with the model"
    click.echo(to_json(last.model) if as_json else f"{one_line(name)} is {last.model.state.lower()}")


@click.command(epilog=UNLOAD_EPILOG)
@click.argument("name", type=_options.TEXT)
@click.option(
    "--drain",
    "drain_s",
    type=float,
    metavar="SECONDS",
    help="How long its running calls may go on, up to 3600.  [default: the server's drain.grace_s]",
)
@_options.json_option
@_options.connection_options
def unload(connection: _options.Connection, name: str, drain_s: float | None, as_json: bool) -> None:
    """Unload the model NAME from a running server, which frees its memory; it stays in the store.

    Running calls of the model may finish first, new ones are refused. Ctrl-C ends the waiting and not the unloading.
    """
    timeout_s = connection.timeout_s or DEFAULT_UNARY_TIMEOUT_S + (drain_s or 0)
    with connection.client() as client:
        model = client.admin.unload_model(name, drain_s, timeout_s=timeout_s)
    click.echo(to_json(model) if as_json else f"{one_line(name)} is unloaded")


@contextmanager
def _bar() -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield bar
