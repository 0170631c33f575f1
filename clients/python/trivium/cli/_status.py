"""`trivium status`: what a server is, and which models it has."""

import sys
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from trivium import Client
from trivium.admin_info import ServerInfo
from trivium.cli import _options
from trivium.cli._reporting import one_line, plain, to_json
from trivium.models import Model, ModelChanged, ModelEvent, ModelRemoved, ModelState

EPILOG = """\b
Examples:
  trivium status
  trivium status --watch
  trivium status --json | jq '.models[].state'
"""

_COLOURS = {ModelState.READY: "green", ModelState.FAILED: "red", ModelState.AVAILABLE: "dim"}


@click.command(epilog=EPILOG)
@click.option("--watch", is_flag=True, help="Go on, with a line for every change of a model, until Ctrl-C.")
@_options.json_option
@_options.connection_options
def status(connection: _options.Connection, watch: bool, as_json: bool) -> None:
    """Show the server and its models, with the state of each.

    CONTEXT is how many tokens prompt and answer may have together: the model's own limit, or the server's
    generation.max_context_tokens where that is less.

    With --json it is one JSON object; with --json --watch, one for each change.
    """
    with connection.client() as client:
        if watch:
            _watch(client, as_json)
            return
        info, models = client.admin.server_info(), client.models.list()
    if as_json:
        click.echo(to_json({"target": connection.target, "server": info, "models": models}))
    else:
        _print(connection.target, info, models)


def _print(target: str, info: ServerInfo, models: list[Model]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    state = "draining" if info.draining else "serving"
    uptime = datetime.now(UTC) - info.start_time
    console.print(f"[bold]{target}[/]  Trivium {info.server_version}, {state}, up {_span(uptime.total_seconds())}")
    if not models:
        console.print("no models; `trivium models pull NAME` fetches one")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("MODEL", "STATE", "CONTEXT", "CAN", "NOTE"):
        table.add_column(heading, overflow="fold")
    for model in models:
        table.add_row(*_row(model))
    console.print(table)


def _row(model: Model) -> tuple[str, str, str, str, str]:
    colour = _COLOURS.get(model.state, "yellow")
    note = one_line(model.last_error.message) if model.last_error else ""
    can = ", ".join(capability.lower().replace("_", " ") for capability in model.capabilities)
    context = str(model.limits.max_context_tokens or "")
    return model.name, f"[{colour}]{model.state.lower()}[/]", context, can, note


def _watch(client: Client, as_json: bool) -> None:
    for event in client.models.watch():
        if line := _event_line(event, as_json):
            click.echo(line)
            sys.stdout.flush()


def _event_line(event: ModelEvent, as_json: bool) -> str | None:
    match event:
        case ModelChanged(model=model):
            return to_json({"event": "model", "model": plain(model)}) if as_json else f"{model.name}  {_words(model)}"
        case ModelRemoved(name=name):
            return to_json({"event": "removed", "name": name}) if as_json else f"{name}  removed"
        case _:
            return to_json({"event": "snapshot_end"}) if as_json else None


def _words(model: Model) -> str:
    why = f": {one_line(model.last_error.message)}" if model.last_error else ""
    return f"{model.state.lower()}{why}"


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return next(
        text
        for text, wanted in (
            (f"{days} d {hours} h", days),
            (f"{hours} h {minutes} min", hours),
            (f"{minutes} min", minutes),
            (f"{seconds} s", True),
        )
        if wanted
    )
