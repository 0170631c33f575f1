"""What the commands read and print: results as JSON, text that cannot control a terminal."""

import base64
import json
import math
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime

import click

from trivium.errors import TriviumError

_MAX_SINGLE = 3.4e38
"""Rounding to nine digits stays within 32 bits below it."""

# Everything that could move the cursor, change colours or ring: a model's text must not control a terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
