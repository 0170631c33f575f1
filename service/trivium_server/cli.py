"""`trivium serve`: reads the settings, starts the server, and says in one line what is wrong when it cannot."""

import asyncio
import os
import sys
from pathlib import Path

import click

from trivium_server.config import FLAGS, Config, ConfigError, as_toml, load_config, settings, toml_value
from trivium_server.telemetry import configure_logging

_EXIT_FAILED = 1
_EXIT_BAD_SETTINGS = 2

_HEADINGS = {
    "What is served": ("model", "models_dir"),
    "Where": ("listen",),
    "How fast, how many": ("threads", "slots", "precision"),
    "Settings and logs": ("config_file", "print_config", "log_level", "log_format"),
}

_EPILOG = """\b
Examples:
  trivium serve
  trivium serve --model smollm2-135m-instruct --threads 4
  trivium serve --listen 127.0.0.1:0 --log-format json
  trivium serve --print-config > trivium.toml
  trivium serve --config trivium.toml

\b
Environment:
  Every setting of the file can be given as TRIVIUM_SECTION_KEY, for example
  TRIVIUM_SERVER_LISTEN or TRIVIUM_GENERATION_SLOTS. A flag wins over the
  environment, the environment over the file, the file over the default.
  TRIVIUM_CONFIG names the file where --config does not.

\b
Stopping:
  On SIGTERM or Ctrl-C running calls finish, new ones are refused, and the
  exit code is 0. A second signal ends the process at once.
"""


def _about(key: str) -> str:
    setting = next(setting for setting in settings() if setting.key == key)
    default = toml_value(setting.default).strip('"')
    return f"{setting.about} [{setting.key}; default: {default}]"


class _GroupedCommand(click.Command):
    """Shows the options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {item.name: item.get_help_record(ctx) for item in self.get_params(ctx)}
        for heading, names in _HEADINGS.items():
            with formatter.section(heading):
                formatter.write_dl([record for name in names if (record := records.pop(name))])
        with formatter.section("Other options"):
            formatter.write_dl([record for record in records.values() if record])


@click.command("serve", cls=_GroupedCommand, epilog=_EPILOG)
@click.option("--config", "config_file", metavar="FILE", envvar="TRIVIUM_CONFIG", help="TOML file with settings.")
@click.option("--listen", metavar="ADDRESS", help=_about("server.listen"))
@click.option("--models-dir", metavar="FOLDER", help=_about("models.dir"))
@click.option("--model", metavar="NAME", multiple=True, help=_about("models.load") + " May be given several times.")
@click.option("--threads", metavar="N", help=_about("runtime.intra_op_threads"))
@click.option("--precision", metavar="MODE", help=_about("runtime.precision"))
@click.option("--slots", metavar="N", help=_about("generation.slots"))
@click.option("--log-level", metavar="LEVEL", help=_about("log.level"))
@click.option("--log-format", metavar="FORMAT", help=_about("log.format"))
@click.option("--print-config", is_flag=True, help="Print all settings with what they mean, as a TOML file, and exit.")
def serve(config_file: str | None, print_config: bool, **given: str | tuple[str, ...] | None) -> None:
    """Serves the models of the model store over gRPC.

    Listens on 127.0.0.1:50051 unless told otherwise: plaintext and without keys, so on this machine only. Models load
    while the server already answers health and model calls; the log says when they are ready. Get a model first with
    `trivium models pull smollm2-135m-instruct`.
    """
    flags: dict[str, object] = {}
    for key, flag in FLAGS.items():
        value = given[flag.removeprefix("--").replace("-", "_")]
        if value:
            flags[key] = list(value) if isinstance(value, tuple) else value
    try:
        config = load_config(file=Path(config_file) if config_file else None, env=os.environ, flags=flags)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"trivium: {problem}", err=True)
        sys.exit(_EXIT_BAD_SETTINGS)
    if print_config:
        click.echo(as_toml(config))
        return
    _run(config)


def _run(config: Config) -> None:
    # Imported late: --help and a wrong setting need no ONNX Runtime.
    from trivium_server.app import NoModelError, leave, serve_until_drained
    from trivium_server.rpc.server import ListenError

    configure_logging(config.log.level, config.log.format)
    try:
        code = asyncio.run(serve_until_drained(config))
    except (NoModelError, ListenError) as error:
        click.echo(f"trivium: {error}", err=True)
        code = _EXIT_BAD_SETTINGS if isinstance(error, ListenError) else _EXIT_FAILED
    leave(code)
