"""Sound written as files and as streams."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.speech.audio_bombs import tone
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat
from trivium_server.speech.audio_writer import AudioWriter, whole_file, written_rate
from trivium_server.speech.raw_audio import ALAW_LEVELS, MULAW_LEVELS
from trivium_server.speech.resampling import Samples, resampled

WRITTEN = [encoding for encoding in AudioEncoding if encoding is not AudioEncoding.AUTO]
EXACT = [AudioEncoding.WAV, AudioEncoding.FLAC, AudioEncoding.PCM_S16LE, AudioEncoding.PCM_F32LE]
# How far apart sound may be that went through a format, as a part of its loudness (root mean square).
LOSS = {
    AudioEncoding.PCM_F32LE: 0.0,
    AudioEncoding.PCM_S16LE: 1e-4,
    AudioEncoding.WAV: 1e-4,
    AudioEncoding.FLAC: 1e-4,
    AudioEncoding.MULAW: 0.02,
    AudioEncoding.ALAW: 0.02,
    AudioEncoding.OGG_OPUS: 0.2,
    AudioEncoding.MP3: 0.1,
}


def voice(rate: int, seconds: float = 2.0) -> Samples:
    return tone(rate, 1, seconds)[:, 0]


def read_back(content: bytes, encoding: AudioEncoding, rate: int) -> Samples:
    audio_format = AudioFormat(encoding=encoding, sample_rate_hz=rate)
    with open_audio(content, audio_format, max_s=100, field="audio") as reader:
        assert (reader.sample_rate_hz, reader.num_channels) == (rate, 1)
        blocks = np.concatenate(list(reader.blocks()))[:, 0]
        assert not reader.was_cut_short
    return blocks


def streamed(sound: Samples, encoding: AudioEncoding, rate: int, sizes: list[int], to_hz: int = 0) -> list[bytes]:
    writer = AudioWriter(encoding, from_hz=rate, sample_rate_hz=to_hz)
    pieces, at = [], 0
    while at < len(sound):
        for size in sizes:
            pieces.append(writer.write(sound[at : at + size]))
            at += size
    return [*pieces, writer.finish()]


def loss(result: Samples, sound: Samples) -> float:
    """Returns how loud the difference is, as a part of the sound."""
    return float(np.sqrt(np.mean((result - sound) ** 2) / np.mean(sound**2)))


@pytest.mark.parametrize("encoding", WRITTEN)
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_a_file_has_the_sound_that_was_written(encoding: AudioEncoding, rate: int) -> None:
    sound = voice(rate)
    result = read_back(whole_file(sound, encoding, from_hz=rate), encoding, rate)
    assert len(result) == len(sound)
    assert loss(result, sound) <= LOSS[encoding]


@pytest.mark.parametrize("encoding", WRITTEN)
@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_pieces_of_a_stream_are_one_sound(encoding: AudioEncoding, rate: int) -> None:
    sound = voice(rate)
    result = read_back(b"".join(streamed(sound, encoding, rate, [rate // 100])), encoding, rate)
    # An MP3 stream cannot say what its last frame has too much.
    assert 0 <= len(result) - len(sound) <= (1152 if encoding is AudioEncoding.MP3 else 0)
    assert loss(result[: len(sound)], sound) <= LOSS[encoding]


@pytest.mark.parametrize("encoding", [*EXACT, AudioEncoding.MULAW, AudioEncoding.ALAW, AudioEncoding.MP3])
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_any_pieces_make_the_same_stream(encoding: AudioEncoding, sizes: list[int]) -> None:
    sound = voice(16_000, 0.7)
    once = b"".join(streamed(sound, encoding, 16_000, [len(sound)], to_hz=24_000))
    assert b"".join(streamed(sound, encoding, 16_000, sizes, to_hz=24_000)) == once


@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_any_pieces_make_the_same_opus(sizes: list[int]) -> None:
    # Each stream has a number of its own; what is heard is the same.
    sound, encoding = voice(24_000, 0.7), AudioEncoding.OGG_OPUS
    once = read_back(b"".join(streamed(sound, encoding, 24_000, [len(sound)])), encoding, 24_000)
    assert np.array_equal(read_back(b"".join(streamed(sound, encoding, 24_000, sizes)), encoding, 24_000), once)


@pytest.mark.parametrize("encoding", WRITTEN)
@pytest.mark.parametrize("num_samples", [0, 1, 2, 100])
def test_the_shortest_sounds_are_files(encoding: AudioEncoding, num_samples: int) -> None:
    sound = voice(24_000)[:num_samples]
    for content in (
        whole_file(sound, encoding, from_hz=24_000),
        b"".join(streamed(sound, encoding, 24_000, [1])),
    ):
        if num_samples:
            assert len(read_back(content, encoding, 24_000)) >= num_samples
        elif encoding is AudioEncoding.WAV:
            assert soundfile.info(io.BytesIO(content)).samplerate == 24_000
        else:
            assert content == b""


def test_a_wav_file_says_how_long_it_is_and_a_stream_does_not() -> None:
    sound = voice(16_000, 0.1)
    content = whole_file(sound, AudioEncoding.WAV, from_hz=16_000)
    assert struct.unpack_from("<I", content, 4) == (len(content) - 8,)
    assert content[36:44] == b"data" + struct.pack("<I", 3_200)
    first, *_ = streamed(sound, AudioEncoding.WAV, 16_000, [160])
    assert (first[4:8], first[36:44]) == (b"\xff" * 4, b"data" + b"\xff" * 4)
    assert content[44:] == whole_file(sound, AudioEncoding.PCM_S16LE, from_hz=16_000)


@pytest.mark.parametrize(
    ("encoding", "asked", "written"),
    [
        (AudioEncoding.OGG_OPUS, 22_050, 24_000),
        (AudioEncoding.OGG_OPUS, 44_100, 48_000),
        (AudioEncoding.OGG_OPUS, 12_000, 12_000),
        (AudioEncoding.MP3, 20_000, 22_050),
        (AudioEncoding.MP3, 44_100, 44_100),
        (AudioEncoding.WAV, 12_345, 12_345),
        (AudioEncoding.MULAW, 8_000, 8_000),
    ],
)
def test_a_rate_that_a_format_lacks_becomes_the_next_higher(encoding: AudioEncoding, asked: int, written: int) -> None:
    assert written_rate(encoding, asked) == written
    sound = voice(24_000, 1.0)
    content = whole_file(sound, encoding, from_hz=24_000, sample_rate_hz=asked)
    result = read_back(content, encoding, written)
    expected = resampled(sound, 24_000, written)
    assert len(result) == len(expected)
    assert loss(result, expected) <= LOSS[encoding]


@pytest.mark.parametrize("rate", [0, 7_999, 48_001])
def test_other_rates_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="is not from 8000 to 48000"):
        written_rate(AudioEncoding.WAV, rate)


@pytest.mark.parametrize("encoding", EXACT)
def test_what_is_too_loud_is_cut_off(encoding: AudioEncoding) -> None:
    sound = np.array([0, 1, -1, 1.5, -1.5, 40], np.float32)
    result = read_back(whole_file(sound, encoding, from_hz=16_000), encoding, 16_000)
    assert np.abs(result - sound.clip(-1, 1)).max() <= 2**-15


@pytest.mark.parametrize(
    ("encoding", "levels"), [(AudioEncoding.MULAW, MULAW_LEVELS), (AudioEncoding.ALAW, ALAW_LEVELS)]
)
def test_codes_are_the_nearest(encoding: AudioEncoding, levels: np.ndarray) -> None:
    values = np.arange(-32_768, 32_768)
    codes = np.frombuffer(whole_file((values / 32_768).astype(np.float32), encoding, from_hz=8_000), np.uint8)
    ascending = np.sort(levels.astype(int))
    right = np.searchsorted(ascending, values).clip(1, 255)
    nearest = np.minimum(np.abs(values - ascending[right - 1]), np.abs(values - ascending[right]))
    assert np.array_equal(np.abs(values - levels[codes]), nearest)


@pytest.mark.parametrize(
    ("encoding", "latency_s"),
    [
        (AudioEncoding.WAV, 0.0),
        (AudioEncoding.PCM_S16LE, 0.0),
        (AudioEncoding.MULAW, 0.0),
        (AudioEncoding.OGG_OPUS, 0.11),
        (AudioEncoding.MP3, 0.144),
        (AudioEncoding.FLAC, 0.256),
    ],
)
def test_a_stream_is_late_by_no_more_than_is_said(encoding: AudioEncoding, latency_s: float) -> None:
    rate = 16_000
    sound = voice(rate)
    so_far = b""
    writer = AudioWriter(encoding, from_hz=rate)
    for at in range(0, len(sound), rate // 100):
        so_far += writer.write(sound[at : at + rate // 100])
        heard = 0
        if at / rate > latency_s:
            audio_format = AudioFormat(encoding=encoding, sample_rate_hz=rate)
            with open_audio(so_far, audio_format, max_s=100, field="audio") as reader:
                heard = sum(len(block) for block in reader.blocks())
        assert (at + rate // 100 - heard) / rate <= latency_s + 0.011
    writer.finish()
