"""`trivium say`: a text as sound."""

import sys
from contextlib import closing
from pathlib import Path

import click

from trivium import Client
from trivium._call_settings import LONGEST_STREAM_S
from trivium.cli import _options
from trivium.cli._errors import tell
from trivium.cli._reporting import for_stdout, one_line, read_stdin, to_json
from trivium.cli._sound_files import ENCODINGS, STDOUT, SoundFile
from trivium.cli._spoken_text import PacedText
from trivium.models import Capability
from trivium.speech import AudioChunk, SpeechMark, SpeechMarkKind

EPILOG = """\b
Examples:
  trivium say "Good morning." -o morning.wav
  trivium say --voice heart --rate 1.2 -o letter.mp3 < letter.txt
  trivium generate "Tell me a story." | trivium say -o story.opus
  trivium say "Good morning." -o - | aplay

\b
Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""
_SHORT_LEN = 400  # characters that every server takes at once


@click.command(epilog=EPILOG)
@click.argument("text", required=False, type=_options.TEXT)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="The file of sound, written as its name ends: .wav, .flac, .opus, .ogg or .mp3; - is standard output.",
)
@click.option(
    "-f", "--format", "file_format", type=click.Choice(tuple(ENCODINGS)), help="Write it like this, whatever its name."
)
@click.option("-v", "--voice", type=_options.TEXT, metavar="NAME", help="Who speaks; see `trivium voices`.")
@click.option("-l", "--language", type=_options.TEXT, metavar="CODE", help="The language that the voice speaks.")
@click.option("-r", "--rate", type=float, metavar="FACTOR", help="How fast, 0.5 to 2.  [default: 1]")
@click.option("--gain", "gain_db", type=float, metavar="DECIBELS", help="How much louder, -40 to 20.  [default: 0]")
@click.option(
    "--sample-rate", "sample_rate_hz", type=int, metavar="HERTZ", help="Samples per second.  [default: the voice's]"
)
@click.option("--words", is_flag=True, help="With --json: when each word is spoken, too.")
@_options.task_model_option
@_options.json_option
@_options.connection_options
def say(
    connection: _options.Connection,
    text: str | None,
    output: str,
    file_format: str | None,
    voice: str | None,
    language: str | None,
    rate: float | None,
    gain_db: float | None,
    sample_rate_hz: int | None,
    words: bool,
    model: str | None,
    as_json: bool,
) -> None:
    """Speak TEXT into a file; - or no TEXT reads it from standard input.

    The text may be of any length. The file is written while it is spoken, and is there when all of it was. With --json,
    one object tells how long it is and when each sentence is spoken.
    """
    if as_json and output == STDOUT:
        raise click.UsageError("--json and the sound cannot both go to standard output; give a file to --output")
    if words and not as_json:
        raise click.UsageError("--words needs --json, which shows them")
    wanted = _text(text)
    file = SoundFile(output, file_format)
    marks: list[SpeechMark] = []
    with connection.client() as client, file, closing(PacedText(wanted, _ahead_len(client, model, wanted))) as paced:
        try:
            stream = client.speech.speak_stream(
                paced,
                model=model,
                voice=voice,
                language=language,
                encoding=file.encoding,
                sample_rate_hz=sample_rate_hz,
                speaking_rate=rate,
                volume_gain_db=gain_db,
                word_timings=words,
                timeout_s=connection.timeout_s or LONGEST_STREAM_S,
            )
            with stream:
                for event in stream.events():
                    if isinstance(event, AudioChunk):
                        assert stream.ready is not None, "it is the first event"
                        file.write(event.audio, stream.ready.format)
                    elif isinstance(event, SpeechMark):
                        marks.append(event)
                        if event.kind is SpeechMarkKind.SENTENCE:
                            paced.note_spoken(event.source_end)
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
        if not marks:
            raise click.ClickException("the text has nothing that can be spoken")
        file.finish()
        for warning in stream.info.warnings if stream.info else ():
            tell(warning.message)
    _report(output, stream.duration_s or 0.0, file.kind, marks, as_json)


def _text(text: str | None) -> str:
    if text in (None, "-"):
        if sys.stdin.isatty():
            raise click.UsageError("give a text, or pipe one to standard input")
        text = read_stdin(sys.stdin.read)
    if text is None or not text.strip():
        raise click.UsageError("the text is empty; there is nothing to speak")
    return text


def _ahead_len(client: Client, model: str | None, text: str) -> int:
    """Returns how much of the text the server may be given before it was spoken: half of what it takes."""
    if len(text) <= _SHORT_LEN:
        return _SHORT_LEN
    models = [each for each in client.models.list(Capability.SYNTHESIZE_SPEECH) if model in (None, each.name)]
    limits = [each.limits.max_input_characters for each in models if each.is_ready]
    return min((limit // 2 for limit in limits if limit), default=_SHORT_LEN)


def _report(output: str, duration_s: float, kind: str, marks: list[SpeechMark], as_json: bool) -> None:
    if as_json:
        shown = {"output": output, "format": kind, "duration_s": duration_s, "marks": marks}
        click.echo(for_stdout(to_json(shown)))
    elif output != STDOUT:
        click.echo(f"{one_line(str(Path(output)))}: {duration_s:.1f} s")
