"""Files of texts: one on each line, plain or as JSON."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from trivium.cli._reporting import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file of texts is to be read. field is None for plain lines; id_field names the ids in JSON lines."""

    field: str | None
    id_field: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A text, its id where the file has one, and its line from 1."""

    line: int
    text: str
    record_id: str


def layout(path: Path | None, form: str | None, field: str | None, id_field: str | None) -> Layout:
    """Returns how a file is read: as --format says, else by its name; standard input (None) is plain lines."""
    if form is None and path is not None and path.suffix == ".json":
        raise click.UsageError(
            f"{path}: say with --format what it is: jsonl, an object on each line, or txt, a text on each line"
        )
    is_json = form == "jsonl" if form else path is not None and path.suffix in (".jsonl", ".ndjson")
    if not is_json and (field or id_field):
        raise click.UsageError("--field and --id-field are for JSON lines; give --format jsonl")
    return Layout(field=field or "text" if is_json else None, id_field=id_field)


def read_records(path: Path, wanted: Layout, name: str) -> Iterator[Record]:
    """Reads a file, a line at a time. UsageError, with `name` and the line, for what is no text or no such JSON.

    A line of plain text may be empty; lines of JSON that are empty are skipped.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{name}, line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError:
                raise click.UsageError(f"{where}: it is not text in UTF-8") from None
            if wanted.field is None:
                yield Record(number, text, "")
            elif text.strip():
                yield _from_json(text, number, wanted, where)


def _from_json(line: str, number: int, wanted: Layout, where: str) -> Record:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{where}: it is not JSON: {one_line(str(error))}") from None
    if not isinstance(entry, dict):
        raise click.UsageError(f"{where}: it is not a JSON object")
    assert wanted.field is not None
    text = _value(entry, wanted.field, where)
    if not isinstance(text, str):
        raise click.UsageError(f"{where}: {wanted.field!r} is not text")
    _check_unicode(text, wanted.field, where)
    if wanted.id_field is None:
        return Record(number, text, "")
    record_id = _value(entry, wanted.id_field, where)
    if not isinstance(record_id, str | int) or isinstance(record_id, bool):
        raise click.UsageError(f"{where}: {wanted.id_field!r} is neither text nor a whole number")
    _check_unicode(str(record_id), wanted.id_field, where)
    return Record(number, text, str(record_id))


def _value(entry: dict[str, object], field: str, where: str) -> object:
    with suppress(KeyError):
        return entry[field]
    there = ", ".join(sorted(entry)[:8]) or "none"
    raise click.UsageError(f"{where}: there is no field {field!r}; there are: {one_line(there)}")


def _check_unicode(text: str, field: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise click.UsageError(f"{where}: {field!r} has half of a surrogate pair, which is no text") from None
