"""The microphone of this machine, through the optional package sounddevice."""

import queue
from collections.abc import Iterator
from typing import Protocol

import click

SAMPLE_RATE_HZ = 16000
_CHUNK_FRAMES = 640
_KEPT_CHUNKS = 1500
"""A minute: what a server that does not keep up may be behind; after that, sound is lost, and told."""


class _Stream(Protocol):
    """What this module needs of sounddevice.RawInputStream."""

    def start(self) -> None: ...
    def close(self) -> None: ...


class Microphone:
    """Sound of the default microphone, int16, mono, in pieces of 40 ms. Starts when it is iterated.

    ClickException where there is none, or no package for it.
    """

    sample_rate_hz = SAMPLE_RATE_HZ
    channel_count = 1

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_KEPT_CHUNKS)
        self._lost_chunks = 0
        self._stream: _Stream = self._opened()

    def _opened(self) -> _Stream:
        try:
            import sounddevice
        except ModuleNotFoundError:
            raise click.ClickException(
                "the microphone needs the package sounddevice: pip install 'clients/python[microphone]'; or name a WAV "
                "file, which is played instead"
            ) from None
        except OSError as error:  # it is there, and the library PortAudio is not
            raise click.ClickException(f"the microphone cannot be used: {error}") from None
        try:
            stream: _Stream = sounddevice.RawInputStream(
                samplerate=SAMPLE_RATE_HZ,
                channels=1,
                dtype="int16",
                blocksize=_CHUNK_FRAMES,
                callback=self._take,
            )
        except sounddevice.PortAudioError as error:
            raise click.ClickException(f"there is no microphone that can be used: {error}") from None
        return stream

    def _take(self, chunk: object, _frames: int, _time: object, _status: object) -> None:
        """Called by a thread of PortAudio's, which must not wait."""
        try:
            self._chunks.put_nowait(bytes(chunk))  # type: ignore[call-overload]  # a buffer of cffi's
        except queue.Full:
            self._lost_chunks += 1

    @property
    def lost_s(self) -> float:
        """How much sound was lost so far, because nobody took it, in seconds."""
        return self._lost_chunks * _CHUNK_FRAMES / SAMPLE_RATE_HZ

    def __iter__(self) -> Iterator[bytes]:
        self._stream.start()
        while (chunk := self._chunks.get()) is not None:
            yield chunk

    def close(self) -> None:
        """Lets go of the microphone."""
        self._stream.close()
        while not self._chunks.empty():
            self._chunks.get_nowait()
        self._chunks.put(None)
