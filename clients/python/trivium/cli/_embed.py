"""`trivium embed`: the vectors of texts."""

from pathlib import Path

import click

from trivium.cli import _options
from trivium.cli._embed_file import FileJob, embed_file
from trivium.cli._embed_texts import embed_texts
from trivium.cli._text_files import layout
from trivium.embeddings import EmbedOptions, EmbedPurpose, TruncationPolicy, VectorEncoding

EPILOG = """\b
Examples:
  trivium embed --text "Where is my parcel?" --json          one vector, to standard output
  trivium embed notes.txt -o notes.npy                       a vector for each line, to a file
  trivium embed docs.jsonl --field body --id-field key -o docs.npy --purpose document
  zcat big.jsonl.gz | trivium embed - --format jsonl -o big.npy --truncation keep_start
  python -c 'import numpy; print(numpy.load("big.npy", mmap_mode="r").shape)'

\b
A run over a file that was stopped or killed goes on where it was when it is repeated with the same input and options.
Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""


def _names(values: type[EmbedPurpose] | type[TruncationPolicy]) -> click.Choice[str]:
    return click.Choice([value.lower() for value in values], case_sensitive=False)


_ENCODINGS = click.Choice([value.lower().removesuffix("_bytes") for value in VectorEncoding if value != "FLOAT_LIST"])


@click.command(epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--text", "texts", multiple=True, type=_options.TEXT, help="A text, in place of FILE. Repeatable.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .npy file to write from FILE: float32, a row for each text, in their order.",
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
    help="Lines that fail: write no file, or rows of zeros and OUTPUT.errors.jsonl.  [default: fail]",
)
@click.option("--restart", is_flag=True, help="Begin anew where a run was not finished.")
@_options.json_option
@_options.connection_options
def embed(
    connection: _options.Connection,
    file: Path | None,
    texts: tuple[str, ...],
    output: Path | None,
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
    on_error: str | None,
    restart: bool,
    as_json: bool,
) -> int:
    """Turn texts into vectors.

    The vectors of FILE, one for each line, go to a numpy file. FILE is plain text, or lines of JSON where its name ends
    in .jsonl; - is standard input, which is copied to a file beside OUTPUT. The whole of FILE is checked before
    anything is sent.

    With --text, vectors go to standard output: their first components, or with --json all of them.
    """
    options = EmbedOptions(
        purpose=purpose,
        prompt_name=prompt_name,
        dimensions=dimensions,
        normalize=normalize,
        truncation=truncation,
        encoding=encoding,
    )
    if texts:
        if any((file, output, form, field, id_field, on_error, restart)):
            raise click.UsageError("--text is in place of FILE, and goes with no option that is about files")
        return embed_texts(texts, connection, model, options, as_json=as_json)
    if file is None:
        raise click.UsageError("give a FILE with a text on each line, - to read standard input, or texts with --text")
    if output is None:
        raise click.UsageError("say with --output which .npy file to write")
    source = None if str(file) == "-" else file
    job = FileJob(
        source=source,
        output=output,
        layout=layout(source, form, field, id_field),
        on_error=on_error or "fail",
        restart=restart,
    )
    embed_file(job, connection, model, options, as_json=as_json)
    return 0
