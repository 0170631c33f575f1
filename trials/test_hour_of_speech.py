"""An hour of speech in one file takes the server no more memory than its first minutes do."""

import difflib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import trivium
from tests.recordings import SPOKEN, load_speech
from trivium_models.store import Store

MODELS = ("moonshine-tiny-en", "silero-vad")
RECORDING = "two_cities.wav"
RATE_HZ = 16_000
LENGTH_S = 3600
MAX_GROWTH_MB = 32


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server process that hears: its target and process id."""
    store = {Store().pull(name).folder.parent for name in MODELS}.pop()
    target = f"unix:{tmp_path}/trivium.sock"
    command = [sys.executable, "-m", "trivium_server", "--listen", target, "--models-dir", str(store)]
    command += [word for name in MODELS for word in ("--model", name)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            with trivium.Client(target) as client:
                for name in MODELS:
                    client.wait_ready(120, model=name)
            yield target, process.pid
        finally:
            process.terminate()
        assert process.wait(60) == 0


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_length(server: tuple[str, int]) -> None:
    target, pid = server
    spoken = load_speech(RECORDING)
    num_turns = -(-LENGTH_S * RATE_HZ // len(spoken))
    file = io.BytesIO()
    soundfile.write(file, np.tile(spoken, num_turns), RATE_HZ, format="FLAC", subtype="PCM_16")
    # The control: the sound, had it been kept, would not fit under the bar.
    assert spoken.nbytes * num_turns / 1e6 > 2 * MAX_GROWTH_MB
    readings: list[tuple[float, float]] = []
    heard_s = 0.0
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.25):
            readings.append((heard_s, resident_mb(pid)))

    def note(progress: trivium.speech.TranscriptionProgress) -> None:
        nonlocal heard_s
        heard_s = progress.processed_s

    watcher = threading.Thread(target=watch)
    watcher.start()
    began_s = time.monotonic()
    try:
        with trivium.Client(target) as client:
            client.speech.transcribe(spoken, sample_rate_hz=RATE_HZ)  # warm-up: arenas, caches
            transcript = client.speech.transcribe(file.getvalue(), on_progress=note, timeout_s=3000)
    finally:
        is_over.set()
        watcher.join()
    first = [reading for at_s, reading in readings if 0 < at_s < LENGTH_S / 10]
    later = [reading for at_s, reading in readings if at_s >= LENGTH_S / 10]
    took_s = time.monotonic() - began_s
    print(
        f"{transcript.duration_s:.0f} s of speech in {took_s:.0f} s; {len(transcript.segments)} segments; "
        f"resident {max(first):.0f} MB in the first tenth, then at most {max(later):.0f} MB"
    )
    assert transcript.duration_s >= LENGTH_S
    assert len(later) > 20
    assert max(later) - max(first) < MAX_GROWTH_MB
    expected = words(SPOKEN[RECORDING])
    turn_s = len(spoken) / RATE_HZ
    shares = []
    for turn in range(num_turns):
        # A segment may begin before its turn, or end behind it.
        near = [each for each in transcript.segments if turn * turn_s - 8 < each.start_s < (turn + 1) * turn_s]
        understood = words(" ".join(each.text for each in near))
        matcher = difflib.SequenceMatcher(None, understood, expected, autojunk=False)
        shares.append(sum(block.size for block in matcher.get_matching_blocks()) / len(expected))
    print(f"of {num_turns} turns the one that was understood least has {min(shares):.2f} of its words")
    assert min(shares) > 0.7
