"""What the commands print besides answers: errors as one line, results as JSON."""

import base64
import json
import math
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import IO

import click

from trivium._connect_trouble import ConnectTrouble
from trivium._target import is_local
from trivium.errors import InputTooLong, ServerUnavailable, TriviumError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

_MAX_SINGLE = 3.4e38
"""Rounding to nine digits stays within 32 bits below it."""

# Everything that could move the cursor, change colours or ring: a model's text must not control a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
    return f"{error.reason or error.code.name}: {error.message}{_whose_limit(error)}{request}"


def _whose_limit(error: TriviumError) -> str:
    if not isinstance(error, InputTooLong):
        return ""
    return "; the limit is the model's own, or the server's generation.max_context_tokens where that is less"


def no_server(target: str, error: ServerUnavailable) -> str:
    """Returns the line for a target where nothing answers."""
    for trouble, remedy in _TROUBLES.items():
        if error.message == trouble.value:
            return f"the server at {target} {remedy}"
    if is_local(target):
        return f"no Trivium server at {target}; start one with `trivium serve`"
    return f"no Trivium server at {target}: {error.message}"


def read_stdin(read: Callable[[], str]) -> str:
    """Returns what `read` reads from standard input. UsageError where that is not text."""
    try:
        text = read()
        text.encode("utf-8")  # Python reads other bytes as halves of surrogate pairs in some locales
    except UnicodeError:
        raise click.UsageError(f"standard input is not text in {sys.stdin.encoding.upper()}") from None
    return text


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
    if isinstance(value, TriviumError):
        return {
            "code": value.code.name,
            "reason": value.reason,
            "message": value.message,
            "metadata": plain(dict(value.metadata)),
        }
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
    return _shortest(value) if isinstance(value, float) else value


def _shortest(value: float) -> float:
    """Returns a float that has 32 bits on the wire as it was meant: 0.3 and not 0.30000001192092896."""
    if not _is_single(value):
        return value
    candidates = (float(f"{value:.{digits}g}") for digits in range(1, 10))  # nine digits tell all of them apart
    return next(short for short in candidates if _single(short) == value)


def _is_single(value: float) -> bool:
    return math.isfinite(value) and abs(value) < _MAX_SINGLE and _single(value) == value


def _single(value: float) -> float:
    narrowed: float = struct.unpack("f", struct.pack("f", value))[0]
    return narrowed
