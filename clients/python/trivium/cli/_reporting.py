"""What the commands print besides answers: errors as one line, results as JSON."""

import base64
import json
import re
import sys
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import IO

import click

from trivium.errors import ServerUnavailable, TriviumError
from trivium.settings import is_local

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

# Everything that could move the cursor, change colours or ring: a model's text must not control a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class CallFailed(click.ClickException):
    """A call failed; shown as one line on standard error."""

    exit_code = EXIT_FAILED

    def show(self, file: IO[str] | None = None) -> None:
        """Prints the line."""
        click.echo(f"trivium: {one_line(self.message)}", file=file or sys.stderr)


def describe(error: TriviumError, target: str) -> str:
    """Returns what happened with reason and request id, and what to do where that is plain."""
    if isinstance(error, ServerUnavailable):
        return no_server(target, error)
    request = f" (request {error.request_id})" if error.request_id else ""
    return f"{error.reason or error.code.name}: {error.message}{request}"


def no_server(target: str, error: ServerUnavailable) -> str:
    """Returns the line for a target where nothing answers."""
    if is_local(target):
        return f"no Trivium server at {target}; start one with `trivium serve`"
    return f"no Trivium server at {target}: {error.message}; --no-tls if it does not use TLS"


def one_line(text: str) -> str:
    """Returns the text without line breaks and control characters."""
    return _CONTROL.sub("", " ".join(text.split()))


def printable(text: str) -> str:
    """Returns model text as it may go to a terminal: control characters are shown and not obeyed."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def for_stdout(text: str) -> str:
    """Returns model text as it is for a file or a pipe, made harmless for a terminal."""
    return printable(text) if sys.stdout.isatty() else text


def write_answer(text: str) -> None:
    """Writes model text to standard output at once; unlike click.echo, leaves a pipe's text as it is."""
    sys.stdout.write(for_stdout(text))
    sys.stdout.flush()


def to_json(value: object) -> str:
    """Returns a result as one line of JSON. Bytes are base64, times ISO 8601; the `raw` messages are left out."""
    return json.dumps(plain(value), ensure_ascii=False)


def plain(value: object) -> object:
    """Returns a result as what JSON knows."""
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value) if entry.name != "raw"}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.isoformat()
    return value
