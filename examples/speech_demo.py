"""The part of the demo that listens and speaks."""

import time
import wave
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

import trivium
from trivium.speech import ActivityKind, SpeechActivity, TranscriptUpdate

HEARER, DETECTOR, SPEAKER = "moonshine-tiny-en", "silero-vad", "hibari-heart"
SPEECH_MODELS = (HEARER, DETECTOR, SPEAKER)
LISTEN_S = 15.0
SENTENCE = "On Monday the 3rd of March, 24 boxes arrived at half past nine, and nobody was at the door."
_CHUNK_S = 0.04


class Playback:
    """The beginning of a WAV file, in pieces, as fast as it would be heard. began_s: when, by time.monotonic()."""

    def __init__(self, path: Path, duration_s: float) -> None:
        self._path = path
        self._duration_s = duration_s
        self.began_s = 0.0
        with wave.open(str(path), "rb") as file:
            self.sample_rate_hz, self.channel_count = file.getframerate(), file.getnchannels()

    def __iter__(self) -> Iterator[bytes]:
        self.began_s = time.monotonic()
        frames = round(self.sample_rate_hz * _CHUNK_S)
        with wave.open(str(self._path), "rb") as file:
            for number in range(round(self._duration_s / _CHUNK_S)):
                time.sleep(max(0.0, self.began_s + (number + 1) * _CHUNK_S - time.monotonic()))
                yield file.readframes(frames)


def listen(client: trivium.Client, recording: Path, console: Console) -> None:
    """Plays a recording in real time, and shows its words while they are spoken."""
    playback = Playback(recording, LISTEN_S)
    num_interim, delays_s = 0, []
    # When the speaker ceased, in the utterance that goes on; None while somebody speaks.
    ceased_s: float | None = None
    stream = client.speech.stream(
        playback,
        sample_rate_hz=playback.sample_rate_hz,
        channel_count=playback.channel_count,
        model=HEARER,
        activity=True,
    )
    with Live(console=console, refresh_per_second=12, transient=True) as live, stream:
        for event in stream.events():
            match event:
                case SpeechActivity(kind=ActivityKind.SPEECH_START):
                    ceased_s = None
                case SpeechActivity(kind=ActivityKind.SPEECH_END, offset_s=offset_s):
                    ceased_s = offset_s
                case TranscriptUpdate(is_final=False):
                    num_interim += 1
                    stable = len(event.stable_text)
                    live.update(Text.assemble((event.text[:stable], "cyan"), (event.text[stable:], "dim")))
                case TranscriptUpdate():
                    live.update(Text(""))
                    heard_s = time.monotonic() - playback.began_s
                    # One that the end of the sound cut off had no pause to wait for.
                    if ceased_s is not None and heard_s < LISTEN_S:
                        delays_s.append(heard_s - ceased_s)
                    console.print(f"[dim]{heard_s:5.1f} s[/]  {event.text}")
    console.print(f"[dim]{num_interim} interim results[/]")
    if delays_s:
        console.print(
            f"[dim]utterances were final at most {max(delays_s):.1f} s after the speaker ceased, of which 0.4 s are "
            "the pause that ends them[/]"
        )


def speak(client: trivium.Client, folder: Path, console: Console) -> None:
    """Has a sentence spoken, saves it, and has it transcribed back."""
    folder.mkdir(exist_ok=True)
    path = folder / "spoken.wav"
    began_s = time.monotonic()
    speech = client.speech.speak(SENTENCE, model=SPEAKER)
    took_s = time.monotonic() - began_s
    speech.save(path)
    console.print(f"written:  {SENTENCE}")
    console.print(f"heard:    {client.speech.transcribe(path, model=HEARER).text}")
    console.print(f"[dim]{speech.duration_s:.1f} s of sound, made in {1000 * took_s:.0f} ms[/]")
    console.print(f"spoken: [bold]{path}[/]")
