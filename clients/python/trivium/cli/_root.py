"""The command group: our own commands, and those of other installed distributions."""

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

import click

from trivium._version import __version__
from trivium.cli._errors import EXIT_INTERRUPTED, show
from trivium.cli._groups import LazyGroup, extended, unusable

PLUGIN_GROUP = "trivium.commands"
OWN_COMMANDS = {
    "chat": ("trivium.cli._chat:chat", "Talk with a model."),
    "generate": ("trivium.cli._generate:generate", "Answer one prompt."),
    "embed": ("trivium.cli._embed:embed", "Turn texts into vectors, of a file or of the command line."),
    "rerank": ("trivium.cli._rerank:rerank", "Order texts by how well they answer a query."),
    "compare": ("trivium.cli._compare:compare", "Tell how alike texts are."),
    "classify": ("trivium.cli._classify:classify", "Score labels for a text."),
    "detect": ("trivium.cli._detect:detect", "Tell in which language texts are written."),
    "see": ("trivium.cli._see:see", "Tell what images show: labels, objects, faces, text."),
    "read": ("trivium.cli._read:read", "Print what is written in images."),
    "transcribe": ("trivium.cli._transcribe:transcribe", "Write down what is said in recordings, as text or captions."),
    "dictate": ("trivium.cli._dictate:dictate", "Write down what is said while it is spoken."),
    "say": ("trivium.cli._say:say", "Speak a text into a file of sound."),
    "voices": ("trivium.cli._voices:voices", "List who can speak."),
    "tokens": ("trivium.cli._tokens:tokens", "Count the tokens of a prompt."),
    "status": ("trivium.cli._status:status", "Show the server and its models, with the state of each."),
}
"""Where each command is, and what it does: the list of commands is shown without importing them."""

KNOWN_PLUGINS = {
    "models": ("trivium-models", "Fetch models, look at them, check them, remove them."),
    "serve": ("trivium-server", "Serve the models of the model store over gRPC."),
}
"""Commands that a newcomer reads about, the distribution that each comes with, and what it does: to list them costs
most of a second less than to import them."""


SUBCOMMANDS = {
    "models": {
        "load": ("trivium.cli._load:load", "Load a model of a running server."),
        "unload": ("trivium.cli._load:unload", "Free the memory of a model of a running server."),
    }
}
"""Our own commands under a plugin's: they need a server and no model store, and are there without the plugin."""


class TriviumGroup(LazyGroup):
    """Our own commands, and those of other distributions."""

    own = OWN_COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *KNOWN_PLUGINS, *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.own:
            return super().get_command(ctx, cmd_name)
        found = _plugin(cmd_name)
        own = SUBCOMMANDS.get(cmd_name)
        return extended(cmd_name, found, own) if found and own else found

    def summary(self, ctx: click.Context, name: str) -> str:
        distribution, summary = KNOWN_PLUGINS.get(name, (None, ""))
        point = _plugins().get(name)
        if point is not None and point.dist is not None and point.dist.name == distribution:
            return summary
        return super().summary(ctx, name)


def _plugin(name: str) -> click.Command | None:
    if name in _plugins():
        return _load_plugin(name, _plugins()[name])
    if name in KNOWN_PLUGINS:
        return unusable(name, f"not installed; it comes with {KNOWN_PLUGINS[name][0]}")
    return None


def _plugins() -> dict[str, EntryPoint]:
    """Other distributions' commands. Of two with one name, the first by distribution; our own names are not theirs."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=PLUGIN_GROUP), key=lambda p: (p.dist.name if p.dist else "", p.name)):
        if point.name not in OWN_COMMANDS:
            found.setdefault(point.name, point)
    return found


def _load_plugin(name: str, point: EntryPoint) -> click.Command:
    try:
        command = point.load()
    except Exception as error:  # noqa: BLE001  # whatever somebody else's package raises must not take ours down
        return unusable(name, f"broken in {_owner(point)}: {type(error).__name__}: {error}")
    if not isinstance(command, click.Command):
        return unusable(name, f"broken in {_owner(point)}: {point.value} is not a click command")
    return command


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


@click.group(
    cls=TriviumGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="trivium", message="%(prog)s %(version)s")
def trivium() -> None:
    """Run language models on your own server, and talk to them.

    \b
    First steps:
      trivium models pull smollm2-135m-instruct   fetch a model
      trivium serve                               start a server on 127.0.0.1:50051
      trivium chat                                talk to it

    Commands find the server with --target or $TRIVIUM_TARGET. `trivium COMMAND --help` explains each.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status. Errors of a call become one line on standard error."""
    try:
        result = trivium.main(arguments, prog_name="trivium", standalone_mode=False)
    except click.ClickException as error:
        show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    sys.stdout.flush()
    return result if isinstance(result, int) else 0
