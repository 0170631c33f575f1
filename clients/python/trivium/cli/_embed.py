"""`trivium embed`: the vectors of a file of texts, as a numpy file."""

import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trivium.cli import _options
from trivium.cli._reporting import CallFailed, one_line, to_json
from trivium.cli._text_files import Layout, Record, layout, read_records
from trivium.cli._vector_file import Failure, Origin, VectorFile
from trivium.embeddings import EmbedOptions, EmbedPurpose, EmbedResult, TruncationPolicy, VectorEncoding
from trivium.errors import TriviumError

EPILOG = """\b
Examples:
  trivium embed notes.txt -o notes.npy                       a vector for each line
  trivium embed docs.jsonl --field body --id-field key -o docs.npy --purpose document
  zcat big.jsonl.gz | trivium embed - --format jsonl -o big.npy --truncation keep_start
  python -c 'import numpy; print(numpy.load("big.npy", mmap_mode="r").shape)'

\b
A run that was stopped or killed goes on where it was when it is repeated with the same input and options.
Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""

_SHOWN_FAILURES = 10


def _names(values: type[EmbedPurpose] | type[TruncationPolicy]) -> click.Choice[str]:
    return click.Choice([value.lower() for value in values], case_sensitive=False)


_ENCODINGS = click.Choice([value.lower().removesuffix("_bytes") for value in VectorEncoding if value != "FLOAT_LIST"])


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .npy file to write: float32, a row for each text, in their order.",
)
@_options.task_model_option
@click.option("--format", "form", type=click.Choice(["txt", "jsonl"]), help="What FILE is.  [default: by its name]")
@click.option("--field", type=_options.TEXT, metavar="NAME", help="The text in a line of JSON.  [default: text]")
@click.option(
    "--id-field", type=_options.TEXT, metavar="NAME", help="The id in a line of JSON; OUTPUT.ids.jsonl gets them."
)
@click.option("--purpose", type=_names(EmbedPurpose), help="What the vectors are for.")
@click.option("--prompt", "prompt_name", type=_options.TEXT, metavar="NAME", help="The model's prompt of this name.")
@click.option("--dimensions", type=click.IntRange(min=1), help="Cut each vector to its first components.")
@click.option("--normalize/--no-normalize", default=None, help="Give each vector the length 1.  [default: yes]")
@click.option("--truncation", type=_names(TruncationPolicy), help="What to do with a long text.  [default: error]")
@click.option("--encoding", type=_ENCODINGS, help="How vectors are sent; less than float32 is coarser, and quicker.")
@click.option(
    "--on-error",
    type=click.Choice(["fail", "zero"]),
    default="fail",
    show_default=True,
    help="Texts that fail: write no file, or rows of zeros and OUTPUT.errors.jsonl.",
)
@click.option("--restart", is_flag=True, help="Begin anew where a run was not finished.")
@_options.json_option
@_options.connection_options
def embed(
    connection: _options.Connection,
    file: Path,
    output: Path,
    model: str | None,
    form: str | None,
    field: str | None,
    id_field: str | None,
    purpose: str | None,
    prompt_name: str | None,
    dimensions: int | None,
    normalize: bool | None,
    truncation: str | None,
    encoding: str | None,
    on_error: str,
    restart: bool,
    as_json: bool,
) -> None:
    """Embed the texts of FILE, one on each line, and write their vectors to a numpy file.

    FILE is plain text, or lines of JSON where its name ends in .jsonl; - is standard input, which is copied to a
    file beside OUTPUT. The whole of FILE is checked before anything is sent.
    """
    source = None if str(file) == "-" else file
    _check_output(output, source)
    wanted = layout(source, form, field, id_field)
    options = EmbedOptions(
        purpose=purpose,
        prompt_name=prompt_name,
        dimensions=dimensions,
        normalize=normalize,
        truncation=truncation,
        encoding=encoding,
    )
    with _spooled(source, output) as path:
        name = "standard input" if source is None else str(source)
        settings: dict[str, object] = {"field": wanted.field, "model": model, **options}
        origin = _survey(path, wanted, name, settings)
        with VectorFile(output, origin, restart=restart) as vectors:
            resumed = vectors.checkpoint.rows
            begun = time.monotonic()
            try:
                _fill(vectors, connection, model, read_records(path, wanted, name), options)
            except (TriviumError, KeyboardInterrupt):
                if vectors.checkpoint.rows:
                    kept = f"{vectors.checkpoint.rows} of {origin.rows} vectors are kept"
                    click.echo(f"{kept}; the same command goes on with the others", err=True)
                raise
            finally:
                if vectors.checkpoint.rows:
                    vectors.save()
            _finish(vectors, output, on_error)
        if wanted.id_field is not None:
            _write_ids(output, read_records(path, wanted, name))
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
    connection: _options.Connection,
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
    why = f"{result.error.reason or result.error.code.name}: {result.error.message}"
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
        click.echo(f"line {failure.line}: {one_line(failure.error)}", err=True)
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
