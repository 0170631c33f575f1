"""`trivium transcribe`: what is said in recordings."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trivium.cli import _options
from trivium.cli._errors import describe, tell
from trivium.cli._image_files import STDIN, checked_files
from trivium.cli._reporting import for_stdout, one_line, plain, to_json
from trivium.errors import InvalidArgumentError
from trivium.speech import Transcript, TranscriptionProgress

EPILOG = """\b
Examples:
  trivium transcribe talk.mp3
  trivium transcribe film.wav --srt -o film.srt
  trivium transcribe *.flac --vtt -o captions/
  trivium transcribe interview.wav --language de --translate
  ffmpeg -i film.mkv -f flac - | trivium transcribe -

\b
Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""
_KINDS = ("srt", "vtt", "json")


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.option("--srt", "kind", flag_value="srt", help="Write captions as SubRip.")
@click.option("--vtt", "kind", flag_value="vtt", help="Write captions as WebVTT.")
@click.option("--json", "kind", flag_value="json", help="Print JSON: segments with times, and all that is known.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to this file, or for several into this folder.  [default: standard output]",
)
@click.option(
    "-l",
    "--language",
    "languages",
    multiple=True,
    type=_options.TEXT,
    metavar="CODE",
    help="The language spoken, such as en. Repeat it for several that may be.  [default: any that the model knows]",
)
@click.option("--translate", is_flag=True, help="Write English, whatever is spoken; for a model that can.")
@click.option("--words", is_flag=True, help="Time each word, which captions and --json show; for a model that can.")
@click.option("--prompt", type=_options.TEXT, metavar="TEXT", help="Names and terms that may come, as spelled.")
@click.option("--separate-channels", is_flag=True, help="Transcribe each channel by itself.")
@_options.task_model_option
@_options.connection_options
def transcribe(
    connection: _options.Connection,
    files: tuple[str, ...],
    kind: str | None,
    output: Path | None,
    languages: tuple[str, ...],
    translate: bool,
    words: bool,
    prompt: str | None,
    separate_channels: bool,
    model: str | None,
) -> int:
    """Write down what is said in each of FILES; - is standard input.

    WAV, FLAC, Ogg Opus and MP3 are read, by their content. The text goes to standard output; captions and JSON where
    they are asked for, or where the name of the output ends in .srt, .vtt or .json. With several files and --json, it
    is an object on a line for each.
    """
    checked_files(files)
    target = _Target.checked(output, kind, files)
    failed = False
    with connection.client() as client:
        for name in files:
            try:
                with _shown_progress(name) as on_progress:
                    transcript = client.speech.transcribe(
                        sys.stdin.buffer if name == STDIN else name,
                        model=model,
                        language=languages,
                        task="translate" if translate else "transcribe",
                        word_timings=words,
                        prompt=prompt,
                        separate_channels=separate_channels,
                        on_progress=on_progress,
                        timeout_s=connection.timeout_s,
                    )
            except InvalidArgumentError as error:  # this recording's fault; the next one may do
                failed = True
                tell(f"{name}: {describe(error, connection.target)}")
                continue
            except OSError as error:
                raise click.ClickException(f"cannot read {name}: {error.strerror or error}") from None
            except (TypeError, ValueError) as error:
                raise click.UsageError(f"{name}: {error}") from error
            target.write(name, transcript)
            for warning in transcript.info.warnings:
                tell(f"{name}: {warning.message}")
    return 1 if failed else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where transcripts go, and as what: `txt` or one of _KINDS. path: a file, a folder for several, or neither."""

    path: Path | None
    kind: str
    is_folder: bool
    is_headed: bool

    @staticmethod
    def checked(output: Path | None, kind: str | None, names: tuple[str, ...]) -> "_Target":
        """UsageError where a transcript could not be written, or would replace a recording or another transcript."""
        several = len(names) > 1
        is_folder = output is not None and (several or output.is_dir())
        if output is not None and several and output.is_file():
            raise click.UsageError(f"--output {output}: give a folder for several files")
        if output is not None and not is_folder and kind is None and output.suffix[1:].lower() in _KINDS:
            kind = output.suffix[1:].lower()
        if several and output is None and kind in {"srt", "vtt"}:
            raise click.UsageError(f"--{kind}: captions of several files are no file together; give --output FOLDER")
        target = _Target(
            path=output, kind=kind or "txt", is_folder=is_folder, is_headed=several and kind is None and output is None
        )
        target._check(names)
        return target

    def _check(self, names: tuple[str, ...]) -> None:
        paths = [path for name in names if (path := self._path(name)) is not None]
        if twice := next((path for path in paths if paths.count(path) > 1), None):
            raise click.UsageError(f"--output {self.path}: two files would both be written to {twice}")
        sources = [Path(name) for name in names if name != STDIN]
        for path in paths:
            if path.exists() and any(path.samefile(source) for source in sources):
                raise click.UsageError(f"--output {self.path}: it would replace the recording {path}")
            if not self.is_folder and not path.parent.is_dir():
                raise click.UsageError(f"--output {self.path}: there is no folder {path.parent}")

    def _path(self, name: str) -> Path | None:
        if self.path is None or not self.is_folder:
            return self.path
        return self.path / f"{'stdin' if name == STDIN else Path(name).stem}.{self.kind}"

    def write(self, name: str, transcript: Transcript) -> None:
        """Writes a transcript. ClickException where that fails."""
        try:
            text = self._content(name, transcript)
        except LookupError as error:
            raise click.ClickException(str(error)) from None
        path = self._path(name)
        if path is None:
            if self.is_headed:
                click.echo(f"==> {one_line(name)} <==")
            click.echo(for_stdout(text), nl=not text.endswith("\n"))
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"cannot write {path}: {error.strerror or error}") from None
        click.echo(f"written: {one_line(str(path))}", err=True)

    def _content(self, name: str, transcript: Transcript) -> str:
        match self.kind:
            case "srt":
                return transcript.srt()
            case "vtt":
                return transcript.webvtt()
            case "json":
                return to_json({"file": name, **_fields(transcript)})
            case _:
                return transcript.text


def _fields(transcript: Transcript) -> dict[str, object]:
    found = plain(transcript)
    assert isinstance(found, dict), "a dataclass becomes an object"
    return found


@contextmanager
def _shown_progress(name: str) -> Iterator[Callable[[TranscriptionProgress], None] | None]:
    """Shows a bar on a terminal, and gives what moves it; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        label = "standard input" if name == STDIN else one_line(Path(name).name)
        task = progress.add_task("", total=None)

        def move(far: TranscriptionProgress) -> None:
            if far.audio_s:
                progress.update(task, description=f"hearing {label}", total=far.audio_s, completed=far.processed_s)
            else:
                progress.update(task, description=f"sending {label}", total=far.total_bytes, completed=far.sent_bytes)

        yield move
