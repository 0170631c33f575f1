"""A recording that is long. The hour of real speech is in trials/."""

import asyncio
import contextlib
import io
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.architectures.hearing import Ears, running, soon
from tests.architectures.tiny_speech import sound, write_detector, write_recognizer
from trivium_server.architectures.speech.transcription import FileProgress, transcribe_file
from trivium_server.architectures.speech_capabilities import SAMPLE_RATE_HZ, RecognitionOptions, SpeechMeter
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

# Ten seconds, with two seconds of speech in them.
TURN = sound([0.25, 0.5, 0.75, 0.375] * 5 + [0] * 80)
NUM_TURNS = 120
MOST_GROWTH_MB = 24
AUTO = AudioFormat(encoding=AudioEncoding.AUTO)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@pytest.mark.alone
def test_memory_does_not_grow_with_the_length(tmp_path: Path, loop: asyncio.Runner) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.tile(TURN, NUM_TURNS), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    # Kept whole, it would take several times the room that is left.
    assert NUM_TURNS * TURN.nbytes / 1e6 > 3 * MOST_GROWTH_MB
    recognizer, detector = write_recognizer(tmp_path / "hears"), write_detector(tmp_path / "detects")
    readings: list[float] = []
    progress = FileProgress()

    async def hear(ears: Ears, pool: ThreadPoolExecutor) -> None:
        with open_audio(file.getvalue(), AUTO, max_s=3600.0, field="audio") as reader:
            segments = transcribe_file(
                reader,
                recognizer=ears.recognizer,
                detector=ears.detector,
                options=RecognitionOptions(),
                separate_channels=False,
                deadline_s=soon(),
                meter=SpeechMeter(),
                progress=progress,
                pool=pool,
            )
            async with contextlib.aclosing(segments):
                readings.extend([resident_mb() async for _ in segments])

    with running(loop, recognizer=recognizer, detector=detector) as ears, ThreadPoolExecutor(1) as pool:
        loop.run(hear(ears, pool))
    assert len(readings) == NUM_TURNS
    assert progress.heard_s == progress.audio_s == 10.0 * NUM_TURNS
    # Two minutes are enough for all buffers to have their size.
    assert max(readings[12:]) - readings[12] < MOST_GROWTH_MB
