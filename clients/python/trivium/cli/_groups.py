"""Groups of commands: ours are imported when they run, and a name that there is not gets those that look like it."""

import difflib
import importlib
from collections.abc import Mapping
from types import MappingProxyType

import click

OwnCommands = Mapping[str, tuple[str, str]]
"""Commands of ours by name: where each is, as module:attribute, and what it does."""


class LazyGroup(click.Group):
    """A group with commands of ours in `own`, beside those that click knows."""

    own: OwnCommands = MappingProxyType({})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.own, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.own:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.own[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), cutoff=0.55)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(ctx, name)) for name in self.list_commands(ctx)])

    def summary(self, ctx: click.Context, name: str) -> str:
        """Returns what a command does, in a line."""
        if name in self.own:
            return self.own[name][1]
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=80) if command else ""


class _HalfGroup(LazyGroup):
    """Our commands under one that cannot be used: every other name is that command, which says why."""

    def __init__(self, name: str, other: click.Command) -> None:
        super().__init__(name, help=f"{other.help}\n\nThe commands below need it not.", short_help=other.short_help)
        self._other = other

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._other


def extended(name: str, command: click.Command, own: OwnCommands) -> click.Command:
    """Returns another distribution's group with our own commands in it; that group itself stays as it is."""
    group: LazyGroup
    if isinstance(command, click.Group):
        group = LazyGroup(
            name,
            commands=command.commands,
            params=command.params,
            callback=command.callback,
            help=command.help,
            epilog=command.epilog,
            short_help=command.short_help,
        )
        group.own = {key: entry for key, entry in own.items() if key not in command.commands}
    else:
        group = _HalfGroup(name, command)
        group.own = own
    return group


def unusable(name: str, why: str) -> click.Command:
    """Returns a command that is listed with the reason why it does not work, and says it when called."""

    @click.command(
        name,
        help=f"({why})",
        short_help=f"({why})",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        raise click.ClickException(f"`trivium {name}` is {why}")

    return refuse
