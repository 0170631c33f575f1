"""`trivium dictate`: what is said, while it is spoken."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import click

from trivium import TranscriptStream
from trivium._call_settings import LONGEST_STREAM_S
from trivium.cli import _options
from trivium.cli._dictation_screen import DictationScreen, JsonScreen, LinesScreen, TerminalScreen
from trivium.cli._errors import tell
from trivium.cli._microphone import Microphone
from trivium.cli._sound_files import PlayedFile
from trivium.speech import Endpointing, GoAway, TranscriptUpdate

EPILOG = """\b
Examples:
  trivium dictate
  trivium dictate >> notes.txt
  trivium dictate talk.wav
  trivium dictate --pause 1 --json | jq -r 'select(.is_final) | .text'

\b
Exit status: 0 done, also by one Ctrl-C, 1 failed, 2 wrong usage,
130 stopped by a second Ctrl-C, which does not wait for the last words.
"""


@click.command(epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-l",
    "--language",
    "languages",
    multiple=True,
    type=_options.TEXT,
    metavar="CODE",
    help="The language spoken, such as en. Repeat it for several that may be.  [default: any that the model knows]",
)
@click.option(
    "--pause", "pause_s", type=float, metavar="SECONDS", help="A pause of so long ends an utterance.  [default: 0.4]"
)
@click.option("--prompt", type=_options.TEXT, metavar="TEXT", help="Names and terms that may come, as spelled.")
@_options.task_model_option
@_options.json_option
@_options.connection_options
def dictate(
    connection: _options.Connection,
    file: Path | None,
    languages: tuple[str, ...],
    pause_s: float | None,
    prompt: str | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Write down what is said into the microphone, while it is spoken.

    Ctrl-C ends it, once the last words are written; so does an hour, or --timeout.

    FILE, a WAV file, is played instead of the microphone, as fast as it would be heard.

    On a terminal, words appear dimmed while they may still change, and each utterance as a line when it is over. Into a
    file or a pipe go the lines alone; with --json an object for each change of an utterance, `is_final` at its last.
    """
    screen = _screen(as_json)
    with connection.client() as client, closing(PlayedFile(file) if file else Microphone()) as source:
        try:
            stream = client.speech.stream(
                source,
                sample_rate_hz=source.sample_rate_hz,
                channel_count=source.channel_count,
                model=model,
                language=languages,
                prompt=prompt,
                interim_results=screen.shows_interim,
                endpointing=None if pause_s is None else Endpointing(trailing_silence_s=pause_s),
                timeout_s=connection.timeout_s or LONGEST_STREAM_S,
            )
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
        with stream, _finishing_at_ctrl_c(stream), screen:
            for event in stream.events():
                if isinstance(event, TranscriptUpdate):
                    screen.show(event)
                elif isinstance(event, GoAway):
                    tell(f"the server ends this in {event.time_left_s:.0f} s; begin another then")
        if isinstance(source, Microphone) and source.lost_s:
            tell(f"the server did not keep up, and {source.lost_s:.1f} s of sound were lost")
    if stream.info is not None:
        for warning in stream.info.warnings:
            tell(warning.message)


def _screen(as_json: bool) -> DictationScreen:
    if as_json:
        return JsonScreen()
    return TerminalScreen() if sys.stdout.isatty() else LinesScreen()


@contextmanager
def _finishing_at_ctrl_c(stream: TranscriptStream) -> Iterator[None]:
    """The first Ctrl-C ends the sending, so that what was said is still written; another one stops at once."""
    before = signal.getsignal(signal.SIGINT)

    def finish(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stream.finish()

    signal.signal(signal.SIGINT, finish)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
