"""What the commands say when something is wrong: `trivium:`, what happened, and what to do where that is plain."""

import sys
from typing import IO

import click

from trivium._connect_trouble import ConnectTrouble
from trivium._target import is_local
from trivium.cli._reporting import one_line
from trivium.errors import InputTooLong, ModelNotChosen, ServerUnavailable, TriviumError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

_TROUBLES = {
    ConnectTrouble.SERVER_IS_PLAIN: "does not speak TLS; use --no-tls, or http:// in place of https://",
    ConnectTrouble.SERVER_MAY_WANT_TLS: "closed the connection before it answered; if it speaks TLS, use --tls",
    ConnectTrouble.UNKNOWN_CERTIFICATE: (
        "has a certificate that no trusted authority signed; give the one that signed it as --ca-file"
    ),
    ConnectTrouble.OTHER_HOST: "has a certificate for another name; use a name that it has in --target",
    ConnectTrouble.SERVER_MAY_WANT_CERTIFICATE: (
        "closed the encrypted connection before it answered; it may ask for a client certificate, which this command "
        "cannot give"
    ),
}
"""What each trouble is called where options are the remedy, and not arguments; after `the server at HOST:PORT`."""

_PARAMETERS = {
    "audio": ("file", "files"),
    "candidate_labels": ("labels",),
    "content": ("file", "files"),
    "conversation": ("prompt",),
    "drain_timeout": ("drain_s",),
    "encoding": ("file_format",),
    "include_word_timings": ("words",),
    "items": ("text", "texts"),
    "label_template": ("template",),
    "language_code": ("language",),
    "language_codes": ("languages", "language"),
    "messages": ("prompt",),
    "model": ("model", "name"),
    "sample_rate_hertz": ("sample_rate_hz",),
    "score_scale": ("scale",),
    "source": ("text",),
    "speaking_rate": ("rate",),
    "system_instruction": ("system",),
    "target": ("others",),
    "targets": ("others",),
    "task": ("translate",),
    "text": ("text", "texts", "prompt"),
    "text_fragment": ("text",),
    "trailing_silence": ("pause_s",),
    "voice_name": ("voice",),
    "volume_gain_db": ("gain_db",),
}
"""What commands call a parameter that sets a field of a request, by the last part of the field's path, unless it is
called like that."""


class CallFailed(click.ClickException):
    """A call failed."""

    exit_code = EXIT_FAILED


def show(error: click.ClickException, file: IO[str] | None = None) -> None:
    """Prints the error of a command as one line, and for wrong usage where the right one is explained."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show(file)
        return
    tell(error.format_message(), file)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"Try '{error.ctx.command_path} --help' for help.", file=file or sys.stderr)


def tell(message: str, file: IO[str] | None = None) -> None:
    """Prints a line about what is wrong to standard error."""
    click.echo(f"trivium: {one_line(message)}", file=file or sys.stderr)


def describe(error: TriviumError, target: str) -> str:
    """Returns what happened with reason and request id, and what to do where that is plain."""
    if isinstance(error, ServerUnavailable):
        return no_server(target, error)
    request = f" (request {error.request_id})" if error.request_id else ""
    return f"{describe_item(error)}{request}"


def describe_item(error: TriviumError) -> str:
    """Returns what happened to one of the texts of a call: as `describe` does, without the request."""
    wrong = [f"{in_options(violation.field)}: {violation.description}" for violation in error.field_violations]
    return f"{error.reason or error.code.name}: {'; '.join(wrong) or error.message}{_remedy(error)}"


def in_options(field: str) -> str:
    """Returns the option or argument of the running command that sets a field of a request; else the field itself."""
    context = click.get_current_context(silent=True)
    last = field.rpartition(".")[2].partition("[")[0]
    names = _PARAMETERS.get(last, (last,))
    for parameter in context.command.params if context else ():
        if parameter.name in names:
            is_option = isinstance(parameter, click.Option)
            return max(parameter.opts, key=len) if is_option else parameter.human_readable_name
    return field


def _remedy(error: TriviumError) -> str:
    if isinstance(error, ModelNotChosen) and error.metadata:
        return " with --model"
    if not isinstance(error, InputTooLong):
        return ""
    if in_options("truncation") != "truncation":
        # The query of a ranking is never cut.
        is_query = error.metadata.get("field") == "query"
        return "" if is_query else "; --truncation keep_start or keep_end reads a part of it"
    return "; the limit is the model's own, or the server's generation.max_context_tokens where that is less"


def no_server(target: str, error: ServerUnavailable) -> str:
    """Returns the line for a target where nothing answers."""
    for trouble, remedy in _TROUBLES.items():
        if error.message == trouble.value:
            return f"the server at {target} {remedy}"
    if is_local(target) or error.message == ConnectTrouble.NOTHING_LISTENS.value.format(target=target):
        return f"no Trivium server at {target}; start one with `trivium serve`"
    return f"no Trivium server at {target}: {error.message}"
