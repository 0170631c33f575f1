"""`trivium read`: what is written in images."""

from pathlib import Path

import click

from trivium.cli import _options
from trivium.cli._errors import describe, tell
from trivium.cli._image_files import DrawnFiles, checked_files, read_image
from trivium.cli._reporting import for_stdout, one_line, plain, to_json
from trivium.cli._vision_tables import outcome_json, print_words
from trivium.errors import InvalidArgumentError
from trivium.vision import RecognizedText

EPILOG = """\b
Examples:
  trivium read scan.png > scan.txt
  trivium read scan.png --words
  trivium read page-*.jpg --draw drawn/
  pngpaste - | trivium read -
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.option("--words", is_flag=True, help="Print each word with its place.")
@click.option("--min-score", type=float, help="Leave out lines with a smaller score.")
@click.option(
    "--draw", type=click.Path(path_type=Path), metavar="FILE", help="Draw what was read; a folder for several files."
)
@_options.task_model_option
@_options.json_option
@_options.connection_options
def read(
    connection: _options.Connection,
    files: tuple[str, ...],
    words: bool,
    min_score: float | None,
    draw: Path | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Print the text of each of FILES in reading order; - is standard input.

    JPEG, PNG, WebP, GIF, BMP and TIFF are read. Places are in pixels of the upright image; with --json, an object on a
    line for each file, as fractions of its width and height.
    """
    checked_files(files)
    drawn = DrawnFiles(draw, files) if draw else None
    failed = False
    with connection.client() as client:
        for name in files:
            try:
                text = client.vision.read_text(
                    read_image(name), model=model, include_word_boxes=words, min_score=min_score
                )
            except InvalidArgumentError as error:  # this image's fault; the next one may do
                failed = True
                tell(f"{name}: {describe(error, connection.target)}")
                continue
            except (TypeError, ValueError) as error:
                raise click.UsageError(str(error)) from error
            if len(files) > 1 and not as_json:
                click.echo(f"==> {one_line(name)} <==")
            _show(name, text, words, as_json)
            if drawn is not None:
                click.echo(f"drawn: {drawn.save(name, text)}", err=True)
    return 1 if failed else 0


def _show(name: str, text: RecognizedText, words: bool, as_json: bool) -> None:
    if as_json:
        image = plain(text.image)
        click.echo(to_json({"file": name, "image": image, "model": text.model.name, **outcome_json(text)}))
    elif words:
        print_words(text)
    else:
        click.echo(for_stdout(text.text))
