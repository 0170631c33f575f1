"""Transcribes with moonshine-voice and the model in it. Runs in .venv-peers/speech. See ../speech.py.

Reads one JSON line for each burst from standard input, {"files", "live", "chunk_s", "period_s"}, and answers {"texts",
"num_updates"}. live: each file comes as a stream, in chunks, as fast as it is taken; the library transcribes it anew
after each period_s of sound.
"""

import json
import sys
from pathlib import Path

from moonshine_voice import ModelArch, Transcriber
from moonshine_voice.transcriber import LineCompleted, LineUpdated, Transcript, TranscriptEvent
from moonshine_voice.utils import get_model_path, load_wav_file


class Loop:
    """One transcriber."""

    def __init__(self) -> None:
        # The sound of each line is returned again unless one asks it not to be, as lists of Python's numbers.
        self._transcriber = Transcriber(
            str(get_model_path("tiny-en")), ModelArch.TINY, options={"return_audio_data": "false"}
        )

    def whole(self, file: str) -> str:
        samples, rate_hz = load_wav_file(Path(file))
        return _text(self._transcriber.transcribe_without_streaming(samples, rate_hz))

    def live(self, file: str, *, chunk_s: float, period_s: float) -> tuple[str, int]:
        """Returns the text, and how many times an unfinished line was told."""
        samples, rate_hz = load_wav_file(Path(file))
        lines: list[str] = []
        num_updates = 0

        def hear(event: TranscriptEvent) -> None:
            nonlocal num_updates
            if isinstance(event, LineCompleted):
                lines.append(event.line.text)
            elif isinstance(event, LineUpdated):
                num_updates += 1

        stream = self._transcriber.create_stream(update_interval=period_s)
        stream.add_listener(hear)
        stream.start()
        step = round(chunk_s * rate_hz)
        for at in range(0, len(samples), step):
            stream.add_audio(samples[at : at + step], rate_hz)
        stream.stop()
        stream.close()
        return " ".join(lines), num_updates


def _text(transcript: Transcript) -> str:
    return " ".join(line.text for line in transcript.lines)


def main() -> None:
    loop = Loop()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        texts, num_updates = [], 0
        for file in asked["files"]:
            if asked.get("live"):
                text, count = loop.live(file, chunk_s=asked["chunk_s"], period_s=asked["period_s"])
                num_updates += count
            else:
                text = loop.whole(file)
            texts.append(text)
        print(json.dumps({"texts": texts, "num_updates": num_updates}), flush=True)


if __name__ == "__main__":
    main()
