"""Run as a program: decodes every bomb in a process of its own, and says what each took. One JSON object per line."""

import json
import time
from itertools import chain
from pathlib import Path

from tests.speech import audio_bombs
from trivium_server.errors import InputTooLarge, UndecodableMedia
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

MAX_S = 3600.0
_WORTH_ANOTHER_TRY_S = 0.5
_ANY = AudioFormat(encoding=AudioEncoding.AUTO)


def memory_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def outcome(content: bytes) -> str:
    try:
        with open_audio(content, _ANY, max_s=MAX_S, field="audio") as reader:
            for _ in reader.blocks():
                pass
    except (UndecodableMedia, InputTooLarge) as error:
        return f"refused: {error.message}"
    seconds = f"{reader.num_frames_read / reader.sample_rate_hz:.2f} s"
    return f"{seconds}, cut short" if reader.was_cut_short else seconds


def timed(content: bytes) -> tuple[str, float]:
    started = time.process_time()
    return outcome(content), time.process_time() - started


def main() -> None:
    for name, content in chain.from_iterable(
        group() for group in (audio_bombs.floods, audio_bombs.lies, audio_bombs.broken, audio_bombs.cuts)
    ):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = memory_kib("VmRSS")
        result, took = timed(content)
        added = (memory_kib("VmHWM") - before) / 1024
        # Others use the processor too, and its caches.
        for _ in range(2 if took > _WORTH_ANOTHER_TRY_S else 0):
            took = min(took, timed(content)[1])
        print(json.dumps({"name": name, "outcome": result, "cpu_s": took, "added_mib": added}), flush=True)


if __name__ == "__main__":
    main()
