"""Structured logs: an event name, a text for people, and fields. One line each, as text or as JSON.

Nothing that a request contains is ever logged; strings that a client controls go through `printable`.
"""

import datetime
import json
import logging
import sys
from typing import Literal, TextIO

ROOT = "trivium"
ACCESS = "trivium.access"
_MAX_CLIENT_TEXT = 128


def printable(text: str, limit: int = _MAX_CLIENT_TEXT) -> str:
    """Returns a client's string fit for a log line: at most `limit` characters, control characters escaped."""
    cut = text[:limit]
    if cut.isascii() and cut.isprintable():
        return cut
    shown = ""
    for character in cut:
        escaped = character.encode("unicode_escape").decode("ascii")
        if len(shown) + len(escaped) > 4 * limit:
            break
        shown += escaped
    return shown


class TextFormatter(logging.Formatter):
    """`12:00:01.123 INFO  server ready  address=127.0.0.1:50051`."""

    def format(self, record: logging.LogRecord) -> str:
        # A person reads this beside a clock: local time.
        moment = datetime.datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f"  {key}={_plain(value)}" for key, value in _fields(record).items() if value != "")
        line = f"{moment} {record.levelname:<7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, then the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: round(v, 6) if isinstance(v, float) else v for key, v in _fields(record).items()}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _plain(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    is_plain = text.isprintable() and text and " " not in text and '"' not in text
    return text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable())


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    style: Literal["auto", "text", "json"],
    stream: TextIO | None = None,
) -> None:
    """Sends the logs of this package to `stream` (standard error), replacing what an earlier call set up."""
    out = stream or sys.stderr
    as_text = style == "text" or (style == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def log(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    """Logs a message with fields."""
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"fields": fields})
