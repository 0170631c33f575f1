"""Samples without a header, in pieces of any length."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.audio_format import SAMPLE_BYTES, AudioEncoding, AudioFormat
from trivium_server.speech.raw_audio import NotFiniteError, RawDecoder, SampleKind, samples

RAW = (AudioEncoding.PCM_S16LE, AudioEncoding.PCM_F32LE, AudioEncoding.MULAW, AudioEncoding.ALAW)


def decoder(encoding: AudioEncoding, num_channels: int = 1) -> RawDecoder:
    return RawDecoder(AudioFormat(encoding=encoding, sample_rate_hz=8_000, num_channels=num_channels))


@pytest.mark.parametrize(("kind", "name"), [(SampleKind.MULAW, "ULAW"), (SampleKind.ALAW, "ALAW")])
def test_codes_are_those_of_libsndfile(kind: SampleKind, name: str) -> None:
    codes = bytes(range(256))
    reference, _ = soundfile.read(
        io.BytesIO(codes), format="RAW", subtype=name, samplerate=8_000, channels=1, dtype="float32"
    )
    assert np.array_equal(samples(codes, kind), reference)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (SampleKind.U8, b"\x00\x80\xff", [-1, 0, 127 / 128]),
        (SampleKind.S16, b"\x00\x80\x00\x00\xff\x7f\x00\x40", [-1, 0, 32767 / 32768, 0.5]),
        (SampleKind.S24, b"\x00\x00\x80\x00\x00\x00\xff\xff\x7f\x00\x00\x40", [-1, 0, 8388607 / 8388608, 0.5]),
        (SampleKind.S32, b"\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x40", [-1, 0, 0.5]),
        (SampleKind.F32, np.array([-1, 0.25, 7, -7], "<f4").tobytes(), [-1, 0.25, 1, -1]),
        (SampleKind.F64, np.array([-1, 0.25, 1e300, -2], "<f8").tobytes(), [-1, 0.25, 1, -1]),
        (SampleKind.MULAW, b"\x00\xff\x7f\x80", [-32124 / 32768, 0, 0, 32124 / 32768]),
        (SampleKind.ALAW, b"\x2a\xaa\xd5\x55", [-32256 / 32768, 32256 / 32768, 8 / 32768, -8 / 32768]),
    ],
)
def test_each_kind_reads_its_extremes(kind: SampleKind, data: bytes, expected: list[float]) -> None:
    result = samples(data, kind)
    assert result.dtype == np.float32
    assert result.tolist() == pytest.approx(expected, abs=0)


@pytest.mark.parametrize("kind", list(SampleKind))
def test_no_bytes_are_no_samples(kind: SampleKind) -> None:
    assert samples(b"", kind).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "code"), [(SampleKind.F32, "<f4"), (SampleKind.F64, "<f8")])
def test_what_is_no_number_is_refused(kind: SampleKind, code: str, value: float) -> None:
    with pytest.raises(NotFiniteError):
        samples(np.array([0, value, 0.5], code).tobytes(), kind)


@pytest.mark.parametrize("encoding", RAW)
@given(data=st.data())
def test_any_split_gives_the_same_samples(encoding: AudioEncoding, data: st.DataObject) -> None:
    num_channels = data.draw(st.integers(1, 8))
    frame_bytes = SAMPLE_BYTES[encoding] * num_channels
    sound = np.random.default_rng(1).uniform(-1, 1, 8 * 40).astype("<f4").tobytes()[: frame_bytes * 10 + 3]
    whole = decoder(encoding, num_channels).decode(sound)
    assert whole.shape == (len(sound) // frame_bytes, num_channels)

    edges = sorted(data.draw(st.lists(st.integers(0, len(sound)), max_size=12)))
    pieces = decoder(encoding, num_channels)
    parts = [pieces.decode(sound[a:b]) for a, b in zip([0, *edges], [*edges, len(sound)], strict=True)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert pieces.num_bytes_left == len(sound) % frame_bytes


def test_channels_are_parted() -> None:
    sound = np.array([[1, -1], [2, -2], [3, -3]], "<i2").tobytes()
    block = decoder(AudioEncoding.PCM_S16LE, 2).decode(sound)
    assert (block * 32768).tolist() == [[1, -1], [2, -2], [3, -3]]
