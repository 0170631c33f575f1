"""Files of sound, decoded block by block."""

import dataclasses
import io
import struct
import tempfile

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.speech.audio_bombs import chunk, encoded, good_files, layout, simple_wav, tone, wav
from trivium_server.errors import InputTooLarge, UndecodableMedia
from trivium_server.speech.audio_file import AudioReader, open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat

AUTO = AudioFormat(encoding=AudioEncoding.AUTO)
FORMATS = [
    ("WAV", "PCM_U8", {}),
    ("WAV", "PCM_16", {}),
    ("WAV", "PCM_24", {}),
    ("WAV", "PCM_32", {}),
    ("WAV", "FLOAT", {}),
    ("WAV", "DOUBLE", {}),
    ("WAV", "ULAW", {}),
    ("WAV", "ALAW", {}),
    ("WAVEX", "PCM_24", {}),
    ("RF64", "PCM_16", {}),
    ("FLAC", "PCM_S8", {}),
    ("FLAC", "PCM_16", {}),
    ("FLAC", "PCM_24", {}),
    ("OGG", "OPUS", {}),
    ("MP3", "MPEG_LAYER_III", {}),
    ("MP3", "MPEG_LAYER_III", {"compression_level": 0.5, "bitrate_mode": "CONSTANT"}),
]
ENCODINGS = {
    "WAV": AudioEncoding.WAV,
    "WAVEX": AudioEncoding.WAV,
    "RF64": AudioEncoding.WAV,
    "FLAC": AudioEncoding.FLAC,
    "OGG": AudioEncoding.OGG_OPUS,
    "MP3": AudioEncoding.MP3,
}


def opened(content: bytes, audio_format: AudioFormat = AUTO, max_s: float = 100.0) -> AudioReader:
    return open_audio(content, audio_format, max_s=max_s, field="audio")


def decoded(content: bytes, audio_format: AudioFormat = AUTO) -> NDArray[np.float32]:
    with opened(content, audio_format) as reader:
        blocks = list(reader.blocks())
        assert reader.num_frames_read == reader.num_frames
        assert not reader.was_cut_short
        assert all(len(block) == reader.sample_rate_hz for block in blocks[:-1])
        return np.concatenate(blocks)


def refusal(content: bytes, audio_format: AudioFormat = AUTO) -> str:
    with pytest.raises(UndecodableMedia) as caught, opened(content, audio_format) as reader:
        for _ in reader.blocks():
            pass
    assert caught.value.violations[0].field == "audio"
    return caught.value.violations[0].description


@pytest.mark.parametrize(("name", "kind", "options"), FORMATS)
@pytest.mark.parametrize(("rate", "num_channels"), [(8_000, 1), (16_000, 1), (44_100, 2), (48_000, 6)])
def test_decodes_what_libsndfile_decodes_whole(
    name: str, kind: str, options: dict[str, object], rate: int, num_channels: int
) -> None:
    if (name, rate) == ("OGG", 44_100):
        rate = 24_000
    if name == "MP3":
        num_channels = min(num_channels, 2)
    content = encoded(tone(rate, num_channels, 2.3), rate, name, kind, **options)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    with opened(content) as reader:
        assert (reader.encoding, reader.sample_rate_hz, reader.num_channels) == (ENCODINGS[name], rate, num_channels)
        assert reader.duration_s == len(expected) / rate
    # mpg123 decodes the last frames a little otherwise after soundfile has sought.
    assert np.abs(decoded(content) - expected.clip(-1, 1)).max() <= 2e-6


@pytest.mark.parametrize("num_frames", [1, 2, 15_999, 16_000, 16_001, 32_000])
def test_every_frame_comes_once(num_frames: int) -> None:
    samples = np.arange(num_frames, dtype=np.int16)
    assert np.array_equal(decoded(simple_wav(samples.tobytes()))[:, 0], samples / np.float32(32_768))


@pytest.mark.parametrize("content", good_files().values(), ids=good_files())
def test_a_file_on_disk_is_read_like_one_in_memory(content: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(5)
        with open_audio(file, AUTO, max_s=100, field="audio") as reader:
            blocks = np.concatenate(list(reader.blocks()))
        assert not file.closed
    assert np.array_equal(blocks, decoded(content))


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        (AudioEncoding.PCM_S16LE, b"\x01\0\x02\0\0\x40\xfc\xff", [[2**-15, 2**-14], [0.5, -(2**-13)]]),
        (AudioEncoding.PCM_F32LE, np.array([[0.5, -0.5], [2, -2]], "<f4").tobytes(), [[0.5, -0.5], [1, -1]]),
        (AudioEncoding.MULAW, b"\xff\x7f\x80\x00", [[0, 0], [32124 / 32768, -32124 / 32768]]),
        (AudioEncoding.ALAW, b"\xd5\x55\xaa\x2a", [[8 / 32768, -8 / 32768], [32256 / 32768, -32256 / 32768]]),
    ],
)  # fmt: skip
def test_raw_sound_is_what_the_caller_says(encoding: AudioEncoding, data: bytes, expected: list[list[float]]) -> None:
    stereo = AudioFormat(encoding=encoding, sample_rate_hz=8_000, num_channels=2)
    assert decoded(data, stereo).tolist() == expected
    mono = dataclasses.replace(stereo, num_channels=0)
    assert decoded(data, mono).shape == (4, 1)
    with opened(data + b"\0", stereo) as reader:
        assert [len(block) for block in reader.blocks()] == [2]
        assert reader.was_cut_short


def test_a_header_decides_and_not_what_was_said() -> None:
    wav_file, flac = good_files()["wav"], good_files()["flac"]
    assert decoded(wav_file, AudioFormat(encoding=AudioEncoding.WAV, sample_rate_hz=8_000)).shape == (32_000, 1)
    assert refusal(flac, AudioFormat(encoding=AudioEncoding.WAV)) == "the file is said to be WAV, and is FLAC"


def test_an_id3_tag_before_the_sound_is_passed_over() -> None:
    tag = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    for name in ("mp3", "flac"):
        assert np.array_equal(decoded(tag + good_files()[name]), decoded(good_files()[name]))


def test_tags_and_junk_within_an_mp3_are_passed_over() -> None:
    content = good_files()["mp3"]
    middle = content.index(b"\xff\xf3", len(content) // 2)
    whole = decoded(content)
    tag = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    for between in (tag, bytes(100), tag + tag[:10] + bytes(256)):
        assert np.array_equal(decoded(content[:middle] + between + content[middle:]), whole)
    assert np.array_equal(decoded(content + b"TAG" + bytes(125)), whole)


def test_variable_bitrate_without_a_tag_is_read_to_its_end() -> None:
    # Alone, the decoder guesses the length of such a file from its first frame, and stops there.
    content = encoded(tone(16_000, 1, 8.0), 16_000, "MP3", "MPEG_LAYER_III")
    first = content.index(b"\xff\xf3", 4)
    assert b"Xing" in content[:first]
    assert len(decoded(content[first:])) >= 8 * 16_000


def test_streams_that_do_not_say_how_long_they_are() -> None:
    samples = tone(16_000)
    expected = decoded(encoded(samples, 16_000, "WAV", "PCM_16"))
    data = (expected * 32_768).astype("<i2").tobytes()
    assert np.array_equal(decoded(simple_wav(data, 0xFFFFFFFF)), expected)
    flac = bytearray(good_files()["flac"])
    expected = decoded(bytes(flac))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert np.array_equal(decoded(bytes(flac)), expected)


def test_bits_that_do_not_fill_their_bytes_stand_above() -> None:
    values = np.array([0x7FF0, -0x8000, 0x10], "<i2")
    content = wav(chunk(b"fmt ", layout(bits=12)), chunk(b"data", values.tobytes()))
    assert decoded(content)[:, 0].tolist() == [0x7FF0 / 32_768, -1, 16 / 32_768]


def test_chunks_before_and_after_the_sound_are_passed_over() -> None:
    content = wav(
        chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 3) + b"abc\0"),
        chunk(b"odd ", b"x"),
        chunk(b"fmt ", layout() + bytes(2)),
        chunk(b"data", b"\1\0\2\0"),
        chunk(b"id3 ", bytes(50)),
    )
    assert decoded(content)[:, 0].tolist() == [1 / 32_768, 2 / 32_768]


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus"])
def test_a_file_that_breaks_off_ends_there_and_says_so(name: str) -> None:
    content = encoded(tone(16_000, 1, 5.0), 16_000, *{"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"),
        "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}[name])  # fmt: skip
    whole = decoded(content)
    with opened(content[: len(content) * 3 // 4]) as reader:
        part = np.concatenate(list(reader.blocks()))
        assert reader.was_cut_short
    assert 2.5 * 16_000 < len(part) < 4.5 * 16_000
    assert np.abs(part - whole[: len(part)])[:-2_000].max() <= 2e-6


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus"])
def test_duration_is_limited_by_the_header(name: str) -> None:
    content = good_files()[name]
    with opened(content) as reader:
        seconds, rate = reader.duration_s, reader.sample_rate_hz
    with opened(content, max_s=seconds) as reader:
        assert sum(map(len, reader.blocks())) == reader.num_frames
    with pytest.raises(InputTooLarge) as caught:
        opened(content, max_s=seconds - 2 / rate)
    (violation,) = caught.value.violations
    assert violation.description.endswith(f"seconds of sound; the limit is {int(seconds - 2 / rate)}")


@pytest.mark.parametrize("num_channels", [8, 9])
def test_channels_are_limited(num_channels: int) -> None:
    content = simple_wav(bytes(num_channels * 200), channels=num_channels, align=2 * num_channels)
    if num_channels == 8:
        assert decoded(content).shape == (100, 8)
        return
    with pytest.raises(InputTooLarge, match="has 9 channels; the limit is 8"):
        opened(content)


@pytest.mark.parametrize(("rate", "is_read"), [(7_999, False), (8_000, True), (48_000, True), (48_001, False)])
def test_rates_are_limited(rate: int, is_read: bool) -> None:
    content = simple_wav(bytes(200), rate=rate)
    if is_read:
        assert decoded(content).shape == (100, 1)
    else:
        assert refusal(content) == f"the file has {rate} samples a second; from 8000 to 48000 are read"


def test_a_closed_reader_leaves_the_file_open() -> None:
    file = io.BytesIO(good_files()["opus"])
    reader = open_audio(file, AUTO, max_s=10, field="audio")
    assert len(reader.read()) == 16_000
    reader.close()
    assert not file.closed
