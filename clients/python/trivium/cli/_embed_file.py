"""Vectors of a file of texts, as a numpy file: begun, gone on with after a stop, and finished."""

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trivium.cli._errors import CallFailed, describe_item, tell
from trivium.cli._options import Connection
from trivium.cli._reporting import to_json
from trivium.cli._text_files import Layout, Record, read_records
from trivium.cli._vector_file import Failure, Origin, VectorFile
from trivium.embeddings import EmbedOptions, EmbedResult
from trivium.errors import TriviumError

_SHOWN_FAILURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FileJob:
    """What to embed, and where to. source is None for standard input; on_error is `fail` or `zero`."""

    source: Path | None
    output: Path
    layout: Layout
    on_error: str
    restart: bool


def embed_file(
    job: FileJob, connection: Connection, model: str | None, options: EmbedOptions, *, as_json: bool
) -> None:
    """Embeds the texts of a file and writes their vectors. UsageError, CallFailed or TriviumError where it cannot."""
    output = job.output
    _check_output(output, job.source)
    with _spooled(job.source, output) as path:
        name = "standard input" if job.source is None else str(job.source)
        settings: dict[str, object] = {"field": job.layout.field, "model": model, **options}
        origin = _survey(path, job.layout, name, settings)
        with VectorFile(output, origin, restart=job.restart) as vectors:
            resumed = vectors.checkpoint.rows
            begun = time.monotonic()
            try:
                _fill(vectors, connection, model, read_records(path, job.layout, name), options)
            except (TriviumError, KeyboardInterrupt):
                if vectors.checkpoint.rows:
                    kept = f"{vectors.checkpoint.rows} of {origin.rows} vectors are kept"
                    click.echo(f"{kept}; the same command goes on with the others", err=True)
                raise
            finally:
                if vectors.checkpoint.rows:
                    vectors.save()
            _finish(vectors, output, job.on_error)
        if job.layout.id_field is not None:
            _write_ids(output, read_records(path, job.layout, name))
    _report(vectors, output, resumed, time.monotonic() - begun, as_json)


def _check_output(output: Path, source: Path | None) -> None:
    """UsageError for an output that would surprise: the input itself, another kind of file, or no folder for it."""
    if output.suffix != ".npy":
        raise click.UsageError(f"{output}: the output is a numpy file, so its name must end in .npy")
    if source is not None and output.exists() and output.samefile(source):
        raise click.UsageError(f"{output} is the input; write the vectors to another file")
    if not output.parent.is_dir():
        raise click.UsageError(f"{output}: there is no folder {output.parent}")


@contextlib.contextmanager
def _spooled(source: Path | None, output: Path) -> Iterator[Path]:
    """Gives a file that can be read twice: standard input is copied to one."""
    if source is not None:
        yield source
        return
    try:
        copy = tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.input.")  # noqa: SIM115  # `with copy` below
    except OSError as error:
        raise click.ClickException(f"cannot write to {output.parent}: {error.strerror}") from None
    with copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def _survey(path: Path, wanted: Layout, name: str, settings: dict[str, object]) -> Origin:
    """Reads the whole input once: its digest and number of texts. UsageError where a line is wrong."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows = sum(1 for _ in read_records(path, wanted, name))
    if not rows:
        raise click.UsageError(f"{name} has no texts")
    return Origin(input_sha256=digest, rows=rows, settings=settings)


def _fill(
    vectors: VectorFile,
    connection: Connection,
    model: str | None,
    records: Iterator[Record],
    options: EmbedOptions,
) -> None:
    """Embeds what the file has not got yet."""
    done, total = vectors.checkpoint.rows, vectors.checkpoint.origin.rows
    if done == total:
        return
    pending: deque[Record] = deque()  # those that were sent, in their order; bounded by the stream
    with connection.client() as client, _progress() as progress:
        task = progress.add_task(f"{done} were done before" if done else "", total=total, completed=done)
        texts = _texts(islice(records, done, None), pending)
        with client.embed_stream(texts, model=model, timeout_s=connection.timeout_s, **options) as stream:
            for place, result in enumerate(stream):
                if place == 0 and stream.model is not None:
                    vectors.check_model(stream.model.name, stream.model.digest)
                _add(vectors, result, pending.popleft())
                progress.advance(task)


def _texts(records: Iterator[Record], pending: deque[Record]) -> Iterator[str]:
    for record in records:
        pending.append(record)
        yield record.text


def _add(vectors: VectorFile, result: EmbedResult, record: Record) -> None:
    if result.vector is not None:
        vectors.add(result.vector, result.input_tokens)
        return
    assert result.error is not None
    why = describe_item(result.error)
    row = vectors.checkpoint.rows
    vectors.add(Failure(row=row, line=record.line, record_id=record.record_id, error=why), 0)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _finish(vectors: VectorFile, output: Path, on_error: str) -> None:
    """Gives the file its name, unless a text failed and that is not accepted."""
    state = vectors.checkpoint
    errors = output.with_name(f"{output.name}.errors.jsonl")
    if not state.failed:
        vectors.finish()
        errors.unlink(missing_ok=True)
        return
    if on_error == "fail" or not state.dimensions:
        raise CallFailed(_explain(vectors, on_error))
    scratch = errors.with_name(f"{errors.name}.new")
    with scratch.open("w", encoding="utf-8") as file:
        for failure in vectors.failures():
            file.write(f"{json.dumps(asdict(failure), ensure_ascii=False)}\n")
    scratch.replace(errors)
    vectors.finish()


def _explain(vectors: VectorFile, on_error: str) -> str:
    state = vectors.checkpoint
    for failure in islice(vectors.failures(), _SHOWN_FAILURES):
        tell(f"line {failure.line}: {failure.error}")
    if state.failed > _SHOWN_FAILURES:
        click.echo(f"and {state.failed - _SHOWN_FAILURES} more", err=True)
    if not state.dimensions:
        return f"all {state.rows} texts failed; no file was written"
    assert on_error == "fail"
    return (
        f"{state.failed} of {state.rows} texts failed; no file was written. The same command with --on-error zero "
        "writes what is there, with zeros for them"
    )


def _write_ids(output: Path, records: Iterator[Record]) -> None:
    path = output.with_name(f"{output.name}.ids.jsonl")
    scratch = path.with_name(f"{path.name}.new")
    with scratch.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(f"{json.dumps(record.record_id, ensure_ascii=False)}\n")
    scratch.replace(path)


def _report(vectors: VectorFile, output: Path, resumed: int, seconds: float, as_json: bool) -> None:
    state = vectors.checkpoint
    if as_json:
        shown = {
            "output": str(output),
            "rows": state.rows,
            "dimensions": state.dimensions,
            "model": state.model,
            "model_digest": state.model_digest,
            "input_tokens": state.input_tokens,
            "failed": state.failed,
            "resumed_at": resumed,
            "seconds": round(seconds, 3),
        }
        click.echo(to_json(shown))
        return
    click.echo(f"{output}: {state.rows} x {state.dimensions} by {state.model}, {state.input_tokens} tokens")
    if state.failed:
        click.echo(f"{state.failed} rows are zeros; see {output}.errors.jsonl", err=True)
