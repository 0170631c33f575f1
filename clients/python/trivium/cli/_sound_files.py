"""Sound that commands write to files, and play from them."""

import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import click

from trivium.speech import AudioEncoding, AudioFormat

STDOUT = "-"
ENCODINGS = {
    "wav": AudioEncoding.WAV,
    "flac": AudioEncoding.FLAC,
    "opus": AudioEncoding.OGG_OPUS,
    "mp3": AudioEncoding.MP3,
}
_SUFFIXES = {".wav": "wav", ".flac": "flac", ".opus": "opus", ".ogg": "opus", ".mp3": "mp3"}
_CHUNK_S = 0.1


class SoundFile:
    """A file that is written while its sound arrives, under another name until finish(). Use it in `with`.

    A WAV file gets its length at the end, unless it goes to standard output. Raises UsageError for a name that says no
    format, ClickException where it cannot be written.
    """

    def __init__(self, output: str, file_format: str | None) -> None:
        kind = file_format or ("wav" if output == STDOUT else _SUFFIXES.get(Path(output).suffix.lower()))
        if kind is None:
            raise click.UsageError(f"--output {output}: name it .wav, .flac, .opus, .ogg or .mp3, or give --format")
        if output == STDOUT and sys.stdout.isatty():
            raise click.UsageError("--output -: standard output is a terminal, which plays no sound")
        if output != STDOUT and not Path(output).absolute().parent.is_dir():
            raise click.UsageError(f"--output {output}: there is no folder {Path(output).parent}")
        self._path = None if output == STDOUT else Path(output)
        if self._path is not None and self._path.is_dir():
            raise click.UsageError(f"--output {output}: it is a folder; name the file")
        self.kind = kind
        """What is written: one of ENCODINGS."""
        self._is_own_wav = kind == "wav" and self._path is not None
        self.encoding = AudioEncoding.PCM_S16LE if self._is_own_wav else ENCODINGS[kind]
        """What to ask the server for."""
        self._file: BinaryIO | None = None
        self._wave: wave.Wave_write | None = None

    @property
    def _scratch(self) -> Path:
        assert self._path is not None, "standard output is no file of ours"
        return self._path.with_name(f".{self._path.name}.part")

    def write(self, audio: bytes, audio_format: AudioFormat) -> None:
        """Writes the next piece of sound."""
        try:
            if self._file is None:
                self._open(audio_format)
            if self._wave is not None:
                self._wave.writeframesraw(audio)
            else:
                assert self._file is not None, "it was opened above"
                self._file.write(audio)
                if self._path is None:
                    self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._trouble(error) from None

    def _open(self, audio_format: AudioFormat) -> None:
        if self._path is None:
            self._file = sys.stdout.buffer
            return
        self._file = self._scratch.open("wb")
        if self._is_own_wav:
            self._wave = wave.open(self._file, "wb")  # noqa: SIM115  # closed by _close()
            self._wave.setnchannels(1)
            self._wave.setsampwidth(2)
            self._wave.setframerate(audio_format.sample_rate_hz)

    def finish(self) -> None:
        """Gives the file its name: all of it was written."""
        try:
            self._close()
            if self._path is not None:
                self._scratch.replace(self._path)
        except OSError as error:
            raise self._trouble(error) from None

    def _close(self) -> None:
        opened, self._wave = self._wave, None
        if opened is not None:
            opened.close()
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            file.close()

    def _trouble(self, error: OSError) -> click.ClickException:
        return click.ClickException(f"cannot write {self._path or 'to standard output'}: {error.strerror or error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if self._path is not None:
            self._scratch.unlink(missing_ok=True)


class PlayedFile:
    """A WAV file with samples of 16 bits, given in pieces as fast as it would be heard.

    UsageError for another file, ClickException for one that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._wave = wave.open(str(path), "rb")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise click.ClickException(f"cannot read {path}: {error.strerror or error}") from None
        except (wave.Error, EOFError) as error:
            why = f"{path}: it is no WAV file of plain samples ({error}); `trivium transcribe` reads others"
            raise click.UsageError(why) from None
        if self._wave.getsampwidth() != 2:
            width = 8 * self._wave.getsampwidth()
            self._wave.close()
            raise click.UsageError(f"{path}: its samples have {width} bits, not 16; `trivium transcribe` reads it")
        self.sample_rate_hz = self._wave.getframerate()
        self.channel_count = self._wave.getnchannels()

    def __iter__(self) -> Iterator[bytes]:
        frames = round(self.sample_rate_hz * _CHUNK_S)
        due = time.monotonic()
        while chunk := self._wave.readframes(frames):
            due += _CHUNK_S
            time.sleep(max(0.0, due - time.monotonic()))
            yield chunk

    def close(self) -> None:
        """Closes the file."""
        self._wave.close()
