"""Files of sound that are made to hurt: each is refused or decoded, quickly, in little memory, and says why."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.speech.audio_bombs import good_files, silent_opus
from trivium_server.errors import InputTooLarge, UndecodableMedia
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

_MAX_CPU_S = 1.0
_MAX_ADDED_MIB = 244  # 256 MB
_ROOT = Path(__file__).parents[2]
_AUTO = AudioFormat(encoding=AudioEncoding.AUTO)


@functools.cache
def measured() -> dict[str, dict[str, object]]:
    program = [sys.executable, "-m", "tests.speech.measured_audio_child"]
    child = subprocess.run(program, cwd=_ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return {line["name"]: line for line in map(json.loads, child.stdout.splitlines())}


def test_each_bomb_takes_little_time_and_memory() -> None:
    bombs = measured()
    assert len(bombs) > 200
    slow = [line for line in bombs.values() if not 0 <= line["cpu_s"] < _MAX_CPU_S]  # type: ignore[operator]  # JSON
    large = [line for line in bombs.values() if not line["added_mib"] < _MAX_ADDED_MIB]  # type: ignore[operator]  # JSON
    assert not slow
    assert not large


def test_an_hour_takes_no_more_memory_than_a_second() -> None:
    assert measured()["flac, 59 minutes of silence"]["outcome"] == "3538.94 s"
    assert measured()["flac, 59 minutes of silence"]["added_mib"] < 16  # type: ignore[operator]  # JSON


@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        ("wav, 100 channels", "has 100 channels; the limit is 8"),
        ("wav, 1 Hz", "has 1 samples a second; from 8000 to 48000 are read"),
        ("wav, no channels", "says that it has no channels"),
        ("wav, no samples", "has no sound"),
        ("wav, nan", "has samples that are no numbers"),
        ("wav, infinite", "has samples that are no numbers"),
        ("wav, adpcm", "is a WAV with ADPCM, which is not read; send PCM"),
        ("wav, a list of 4 GB", "is cut short"),
        ("wav, 100000 chunks", "has too many chunks"),
        ("flac, 8 hours of silence", "has 28799 seconds of sound; the limit is 3600"),
        ("flac, 8 hours, of unknown length", "has 28799 seconds of sound; the limit is 3600"),
        ("flac, 8 hours that say 10 seconds", "has more sound than it says"),
        ("flac says 2^36 samples", "seconds of sound; the limit is 3600"),
        ("flac says one sample", "has more sound than it says"),
        ("flac says 24 bits", "has something else where its first frame should be"),
        ("flac, a million blocks", "has too many blocks of metadata"),
        ("opus, 8 hours of silence", "seconds of sound; the limit is 3600"),
        ("opus, 3 pages that say 8 hours", "has 28800 seconds of sound; the limit is 3600"),
        ("opus, 8 hours that say 10 seconds", "has pages that go back in time"),
        ("opus, 100 channels", "has 100 channels; the limit is 8"),
        ("opus, a second sound with two channels", "has more than one stream, one after the other"),
        ("opus, two sounds at once", "has more than one stream"),
        ("opus, wrong sums", "has sound that cannot be decoded"),
        ("opus, 200000 empty pages", "has too many pages"),
        ("ogg vorbis", "has Ogg Vorbis, which is not read; send Ogg Opus"),
        ("mp3, 8 hours", "seconds of sound; the limit is 3600"),
        ("mp3, only syncs", "is of a type that is not read; read are WAV, FLAC, OGG_OPUS, MP3"),
        ("mp3, a tag of 256 MB that is not there", "is cut short"),
        ("mp3, a million tags", "has too many tags"),
        ("mpeg, layer II", "is MPEG audio of layer II, which is not read; send MP3"),
        ("mp4", "is an MP4 file, which is not read; read are WAV, FLAC, OGG_OPUS, MP3"),
        ("nothing", "is empty"),
    ],
)
def test_refusal_says_why(bomb: str, reason: str) -> None:
    assert str(measured()[bomb]["outcome"]).startswith("refused: audio: ")
    assert str(measured()[bomb]["outcome"]).endswith(reason)


@pytest.mark.parametrize(
    ("bomb", "seconds"),
    [
        ("wav, says 4 GB", "1.00 s, cut short"),
        ("wav, of unknown length", "1.00 s"),
        ("rf64, says 2^63", "1.00 s, cut short"),
        ("wav, as loud as it gets", "1.00 s"),
        ("wav, 3000 nested lists", "1.00 s"),
        ("flac, of unknown length", "2.00 s"),
        ("flac, a picture of 16 MiB", "2.00 s"),
        ("flac, a title that is no text", "2.00 s"),
        ("flac, 2^32 comments", "2.00 s"),
        ("opus, 2 minutes that say 59", "122.39 s, cut short"),
        ("opus, tags of 2^32 entries", "0.99 s"),
        ("mp3, tag says 2^32 frames", "2.60 s, cut short"),
        ("mp3, tag says one frame", "2.60 s"),
        ("mp3, a tag of 32 MiB", "2.60 s"),
        ("mp3, another rate in the middle", "2.60 s, cut short"),
        ("mp3, two channels in the middle", "2.60 s, cut short"),
    ],
)
def test_what_can_be_decoded_is(bomb: str, seconds: str) -> None:
    assert measured()[bomb]["outcome"] == seconds


def test_no_cut_file_passes_for_a_whole_one() -> None:
    cut = {
        name: str(line["outcome"])
        for name, line in measured().items()
        if "cut at" in name or "without its last" in name
    }
    assert len(cut) == 77
    assert [name for name, result in cut.items() if not result.endswith("cut short") and "refused" not in result] == []


_EDIT = st.tuples(
    st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "drop", "double", "cut"]), st.integers(0, 255)
)


def _mutated(content: bytes, edits: list[tuple[float, str, int]]) -> bytes:
    for place, what, value in edits:
        # Headers are at the beginning, and are what is worth breaking.
        at = int(place**3 * len(content))
        match what:
            case "set":
                content = content[:at] + bytes((value,)) + content[at + 1 :]
            case "drop":
                content = content[:at] + content[at + value :]
            case "double":
                content = content[: at + value] + content[at:]
            case _:
                content = content[: len(content) - value]
    return content


_GOOD_FILES = functools.cache(lambda: tuple(good_files().values()))


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10), st.lists(_EDIT, min_size=1, max_size=8))
def test_mutated_files_are_decoded_or_refused(index: int, edits: list[tuple[float, str, int]]) -> None:
    try:
        with open_audio(_mutated(_GOOD_FILES()[index], edits), _AUTO, max_s=60, field="audio") as reader:
            for block in reader.blocks():
                assert block.dtype == np.float32
                assert block.shape[1] == reader.num_channels
                assert np.abs(block).max() <= 1
            assert reader.num_frames_read <= min(reader.num_frames, 60 * reader.sample_rate_hz)
            assert reader.was_cut_short or reader.num_frames_read == reader.num_frames
    except (UndecodableMedia, InputTooLarge):
        pass


def test_silence_that_is_within_the_limit_is_decoded() -> None:
    # What the bombs of hours are made of is sound that libopus decodes.
    with open_audio(silent_opus(61), _AUTO, max_s=3600, field="audio") as reader:
        blocks = np.concatenate(list(reader.blocks()))
        assert not reader.was_cut_short
    assert len(blocks) == reader.num_frames == 2 * 255 * 1920 - 104
    assert np.abs(blocks).max() < 1e-3
